"""Following a run from outside: what is new in its ledger, and whether it has ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Final

from synexs_async.storage.folder import RunFolder
from synexs_async.storage.ledger import Entry, decode_line
from synexs_async.storage.progress import Progress, told_progress

_SILENCE: Final = 60.0  # seconds; a run at work tells of itself every two


class LedgerTail:
    """Reads of a ledger what is new; all of it again where it was replaced.

    Attributes:
        has_gap: a batch was missing where the reading ended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = -1
        self._offset = 0
        self.has_gap = False

    def batches_from(self, first: int) -> Iterator[Entry]:
        """Give the entries of batches from mission `first` on, up to the first that is missing."""
        self.has_gap, had_gap = False, self.has_gap
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            there = os.fstat(file.fileno())
            is_other = there.st_ino != self._inode or there.st_size < self._offset
            if is_other or had_gap:  # a file's number may be used again, the gap be filled
                self._offset = 0
            self._inode = there.st_ino
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                entry = decode_line(line)
                if entry is None or not entry.is_batch or entry.first < first:
                    continue
                if entry.first > first:
                    self.has_gap = True  # a start that mends the ledger will fill it
                    return
                yield entry
                first = entry.end


class Ending:
    """Finds out whether a run has ended.

    Attributes:
        progress: what was read last of the progress file.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._heard = monotonic()
        self.progress: Progress | None = None

    def is_reached(self) -> bool:
        """Whether it says so, its process here is gone, or nothing was heard for a minute."""
        progress = told_progress(self._folder.path)
        if progress != self.progress:
            self.progress, self._heard = progress, monotonic()
        silent_seconds = monotonic() - self._heard
        if progress is None:
            return silent_seconds > _SILENCE
        return not is_at_work(progress, silent_seconds)


def is_at_work(progress: Progress, silent_seconds: float) -> bool:
    """Whether a run is going on that told this last, so long ago.

    Of a process here the number alone says little: after a restart of the machine another one may
    have it. A process that was stopped is silent too; once it goes on, so does the run.
    """
    if progress.status != "running" or silent_seconds > _SILENCE:
        return False
    return progress.host != socket.gethostname() or _is_alive(progress.pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True
