"""Waiting until something changes in a run's folder, as the operating system tells it."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.to_thread
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

_STEP: Final = 100  # milliseconds between two looks at what the system has told
_GATHERED: Final = 200  # milliseconds; changes that follow each other are one
_POLL: Final = 300  # milliseconds, where the system can't tell


class Changes:
    """Notices what changes directly in some folders, also in ones that are not there yet.

    Where a folder is missing, the nearest one above it is watched until it is there; one that was
    replaced is watched anew. A file system that tells nothing, as one over a network may, is why
    every wait has an end.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._watched: dict[Path, tuple[int, int]] = {}
        self._watcher: RustNotify | None = None
        self._thread = anyio.CapacityLimiter(1)  # the host's own threads stay the host's

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.rest()

    def rest(self) -> None:
        """Watch nothing until the next wait: what is told in between costs, wanted or not."""
        self._watched = {}
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    async def wait(self, seconds: float) -> None:
        """Return when something has changed since the last return, or after so many seconds.

        The first call returns at once, as do the first after a rest and one that finds other
        folders than the last: what happened before they were watched can only be found by looking.
        """
        stop = Event()
        try:
            await anyio.to_thread.run_sync(
                self.wait_here,
                seconds,
                stop,
                abandon_on_cancel=True,  # the thread ends a step after `stop` is set
                limiter=self._thread,
            )
        finally:
            stop.set()

    def wait_here(self, seconds: float, stop: Event | None = None) -> None:
        """Do what `wait` does, in this thread; return soon after `stop` is set."""
        is_new, watcher = self._watch_anew(), self._watcher
        if not is_new and watcher is not None:
            try:
                watcher.watch(_GATHERED, _STEP, int(seconds * 1000), stop)
            except WatchfilesRustInternalError:  # for good, of a change to a name that is no UTF-8
                self.rest()

    def _watch_anew(self) -> bool:
        """Watch the folders that are there now; False where those are watched already."""
        there = dict(map(_nearest, self._folders))
        if there == self._watched:
            return False
        self.rest()
        try:
            self._watcher = _watcher([name for name in map(str, there) if _is_utf8(name)])
            self._watched = there
        except FileNotFoundError:
            pass  # it was moved away just now; the next call finds out
        return True


def _nearest(folder: Path) -> tuple[Path, tuple[int, int]]:
    """Find the folder, or the nearest one above it, and what tells it from another."""
    for path in (folder, *folder.parents):
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        return path, (found.st_dev, found.st_ino)
    raise FileNotFoundError(folder)


def _is_utf8(name: str) -> bool:
    """Whether watchfiles takes a name; what changes in other folders is found by looking."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _watcher(folders: list[str]) -> RustNotify:
    try:
        return RustNotify(folders, False, False, _POLL, False, True)
    except FileNotFoundError:
        raise
    except (OSError, WatchfilesRustInternalError):  # as many are watching as the system allows
        return RustNotify(folders, False, True, _POLL, False, True)
