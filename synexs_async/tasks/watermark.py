"""A number that only grows, and can be waited for."""

from __future__ import annotations

import anyio


class Watermark:
    """How many missions, counted from 0 without a gap, a thing is safely done for."""

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self._closed = False
        self._changed = anyio.Event()

    def advance(self, value: int) -> None:
        """Raise the mark to `value`."""
        if value > self.value:
            self.value = value
            self._notify()

    def close(self) -> None:
        """Say that the mark will not rise any more."""
        self._closed = True
        self._notify()

    async def reached(self, value: int) -> bool:
        """Wait until the mark is at `value`; False when it was closed before."""
        while self.value < value and not self._closed:
            await self._changed.wait()
        return self.value >= value

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
