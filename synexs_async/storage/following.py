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

SILENCE: Final = 60.0  # seconds; a run at work tells of itself every two


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
        progress = told_progress(self._folder)
        if progress != self.progress:
            self.progress, self._heard = progress, monotonic()
        silent = monotonic() - self._heard
        return silent > SILENCE if progress is None else not is_at_work(progress, silent)


def is_at_work(progress: Progress, silent: float) -> bool:
    """Whether a run is that says so: `silent` seconds after it told that, and by its process.

    The process alone would not do: its number may be another one's by now.
    """
    if progress.status != "running" or silent > SILENCE:
        return False
    return progress.host != socket.gethostname() or _is_alive(progress.pid)


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False  # it would name a group of processes
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True
