"""Following a run's folder: look, wait for a change, look again, until the run has ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import anyio
import anyio.to_thread

from synexs_async.errors import FolderError, SynexsError
from synexs_async.monitoring.changes import Changes
from synexs_async.storage.folder import RunFolder, holds_run
from synexs_async.storage.following import Ending

QUIET: Final = 0.1  # seconds without anything new, after which nothing more is under way
_PACE: Final = 0.5  # seconds between looks at what grows: each costs the run something
_MANY: Final = 500  # lines or records: what is held at a time, where there is more
_LONGEST_LOOK: Final = 0.2  # seconds
_LONGEST_WAIT: Final = 1.0  # seconds: nobody is told of a process that was killed

T = TypeVar("T")


class Reader(Protocol):
    """What is looked at with: files that are open."""

    def stop(self) -> None:
        """Let a look that is under way end soon, whatever it gives."""

    def close(self) -> None:
        """Give the files back."""


async def follow(
    folder: RunFolder,
    part: Path,
    reader: Reader,
    look: Callable[[], Sequence[T] | None],
    *,
    keep: bool,
) -> AsyncGenerator[T, None]:
    """Give what `look` finds, in a thread, until the run has ended and there is nothing more.

    Args:
        folder: the run's folder; while it holds no run, one is waited for.
        part: the folder in it that is looked at.
        reader: what `look` reads with; closed at the end.
        look: returns what is new, not too much of it at once; None where nothing is. What is
            passed over, as nobody asked for it, is new too.
        keep: go on when the run has ended.

    Raises:
        FolderError: the folder is neither a run's nor free to become one's, or can't be read.
    """
    rounds = _Rounds(folder, reader, look)
    thread = anyio.CapacityLimiter(1)  # the host's own threads stay the host's
    heard = monotonic()
    over_since: float | None = None
    try:
        with Changes(folder.path, part) as changes:
            while True:
                began = monotonic()
                found = await anyio.to_thread.run_sync(
                    rounds.look, abandon_on_cancel=True, limiter=thread
                )
                for item in found.items:
                    yield item
                if found.is_new:
                    changes.rest()
                    heard, over_since = monotonic(), None
                    if found.is_all:
                        await anyio.sleep(_PACE)
                    continue
                if keep or not found.is_over:
                    over_since = None
                elif over_since is None:
                    over_since = monotonic()
                elif began - over_since >= QUIET:
                    return
                is_calm = over_since is None and began - heard >= QUIET
                await changes.wait(_LONGEST_WAIT if is_calm else QUIET)
    finally:
        rounds.leave()


class _Found(NamedTuple, Generic[T]):
    """What was found at a look: whether anything is new, is all of that, and the run has ended."""

    items: list[T]
    is_new: bool
    is_all: bool
    is_over: bool


class _Rounds(Generic[T]):
    """Looks in threads that nobody waits for when they are cancelled; the last one closes."""

    def __init__(
        self, folder: RunFolder, reader: Reader, look: Callable[[], Sequence[T] | None]
    ) -> None:
        self._folder = folder
        self._reader = reader
        self._look = look
        self._ending: Ending | None = None
        self._failure: SynexsError | OSError | None = None
        self._looking = Lock()
        self._is_left = False

    def look(self) -> _Found[T]:
        """Find what is new, as far as it can be held, and, where nothing is, if the run is over."""
        try:
            with self._looking:
                if self._is_left:
                    return _Found([], False, True, True)
                if self._ending is None and holds_run(self._folder):
                    self._ending = Ending(self._folder)
                items, is_new, is_all = self._drain()
        except OSError as error:
            raise FolderError(self._folder.path, f"can't be read: {error.strerror}") from error
        finally:
            if self._is_left:
                self._reader.close()
        is_over = not is_new and self._ending is not None and self._ending.is_reached()
        return _Found(items, is_new, is_all, is_over)

    def _drain(self) -> tuple[list[T], bool, bool]:
        if self._failure is not None:
            raise self._failure
        items: list[T] = []
        is_new = False
        deadline = monotonic() + _LONGEST_LOOK
        while len(items) < _MANY and monotonic() < deadline and not self._is_left:
            try:
                found = self._look()
            except (SynexsError, OSError) as error:
                if not is_new:
                    raise
                self._failure = error  # what came before it is given first
                break
            if found is None:
                return items, is_new, True
            items += found
            is_new = True
        return items, is_new, False

    def leave(self) -> None:
        """Look no more; a look that is under way closes what it reads with."""
        self._is_left = True
        self._reader.stop()
        if self._looking.acquire(blocking=False):
            self._reader.close()
            self._looking.release()
