"""Missions as async functions: many at once on the event loop, for those that wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

from synexs_async.missions.context import Context, Outcome
from synexs_async.missions.mission import Block, Place
from synexs_async.missions.plain import PlainMission

AsyncFunction = Callable[[Context[Any]], Awaitable[Outcome | str]]

_TRIES: Final = 6
_FIRST_PAUSE: Final = 0.1  # seconds; they double, with some chance in them
_LONGEST_PAUSE: Final = 5.0


class AsyncMission(PlainMission):
    """A mission kind made of an async function; `mission` says what each part is for."""

    place: Place = "tasks"

    def __init__(
        self,
        function: AsyncFunction,
        *,
        transient: tuple[type[Exception], ...],
        **declared: Any,
    ) -> None:
        super().__init__(function, **declared)  # type: ignore[arg-type] # never called as plain
        self._perform = function
        self._transient = transient

    async def perform(
        self,
        seed: int,
        index: int,
        mission_id: str,
        timeout: float | None,  # noqa: ASYNC109
    ) -> bytes:
        """Carry one mission out, and return its journal line.

        An error that is declared as transient is tried again, each time with a fresh context.

        Raises:
            TimeoutError: a try took longer than `timeout` seconds.
        """
        try:
            return await self._try(seed, index, mission_id, timeout)
        except self._transient:
            pass
        import stamina  # where nothing fails, nobody waits for it

        async for attempt in stamina.retry_context(
            on=self._transient,
            attempts=_TRIES - 1,
            timeout=None,
            wait_initial=_FIRST_PAUSE,
            wait_max=_LONGEST_PAUSE,
        ):
            with attempt:
                return await self._try(seed, index, mission_id, timeout)
        raise AssertionError("the last attempt returns or raises")

    async def _try(self, seed: int, index: int, mission_id: str, timeout: float | None) -> bytes:  # noqa: ASYNC109
        context: Context[Any] = Context(index, seed, self.values)
        if timeout is None:
            return self.line_of(context, await self._perform(context), mission_id)
        with anyio.move_on_after(timeout) as scope:
            return self.line_of(context, await self._perform(context), mission_id)
        assert scope.cancelled_caught
        raise TimeoutError(f"took longer than {timeout:g} s")

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Carry missions out one after the other, on an event loop of their own."""
        identify = self.identifiers(seed)

        async def perform() -> list[bytes]:
            indexes = range(first, first + count)
            return [await self.perform(seed, index, identify(index), None) for index in indexes]

        return self.read(first, anyio.run(perform))
