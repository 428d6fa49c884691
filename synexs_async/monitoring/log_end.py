"""The end of a run's log for those who ask for it again and again: only what is new is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import thread_time
from typing import Final

from synexs_async.monitoring.log import LEVELS, LogLine, LogReader, is_of_level, lines_backwards
from synexs_async.storage.folder import RunFolder

_KEPT: Final = 501  # lines of each level and up: who asks for 500 learns that there are more
_LONGEST_LOOK: Final = 0.3  # seconds of processor time, back from the end; and for what is new
_BLOCK: Final = 1000  # lines between looks at the clock: so many are looked at in any case


class LogEnd:
    """Keeps the last lines of a run's log, by level: few matter, among many that are read once.

    Attributes:
        is_whole: whether all lines that the log had at first were looked at.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = RunFolder(folder)
        self._log = LogReader(self._folder)
        self._kept: dict[int, deque[LogLine]] = {}
        self.is_whole = False

    def __del__(self) -> None:
        self._log.close()

    def read(self) -> None:
        """Read what is new. Where that takes too long, or it is another log, begin at its end."""
        if not self._go_on():
            self._begin()

    def last(self, count: int, level: str) -> list[LogLine]:
        """Return the last lines of a level and up, of some hundred that are kept."""
        least = LEVELS[level]
        lines = [*self._kept[least]]
        newest = self._log.unfinished
        if newest is not None and is_of_level(newest, least):
            lines.append(newest)
        return lines[-count:]

    def _go_on(self) -> bool:
        """Read what is new; False where all of it is better begun anew."""
        known = self._log.files.inodes
        deadline = thread_time() + _LONGEST_LOOK
        while known and (lines := self._log.read()) is not None:
            for line in lines:
                for kept in self._kept_with(line):
                    kept.append(line)
            if thread_time() > deadline:
                return False
        # Asked last: what another run wrote may have been read as what follows.
        return self._log.files.has_any_of(known)

    def _begin(self) -> None:
        self._log.close()
        self._log = LogReader(self._folder)
        self._kept = {least: deque(maxlen=_KEPT) for least in LEVELS.values()}
        self.is_whole = False
        self._log.files.skip_to_end()
        texts = self._texts_before()
        for least, kept in self._kept.items():  # the lowest first: lines of others lie further back
            lines = lines_backwards(texts, least)
            while len(kept) < _KEPT and (line := next(lines, None)) is not None:
                if line.timestamp or self.is_whole:  # else it is the second half of one
                    for each in self._kept_with(line):
                        if len(each) < _KEPT:
                            each.appendleft(line)

    def _texts_before(self) -> Iterator[bytes]:
        texts = self._log.files.lines_before()
        deadline = thread_time() + _LONGEST_LOOK
        while block := [*islice(texts, _BLOCK)]:
            yield from block
            if thread_time() > deadline:
                return
        self.is_whole = True

    def _kept_with(self, line: LogLine) -> Iterator[deque[LogLine]]:
        return (kept for least, kept in self._kept.items() if is_of_level(line, least))
