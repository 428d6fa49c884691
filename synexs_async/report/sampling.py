"""Which of a journal's records a report reads: all of a small run's, of others evenly spread ones.

A chunk begins where its first mission would lie if all lines of the file were as long. So it is
found without reading what lies before it, and is the same whenever the same journal is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final

import msgspec

from synexs_async.monitoring.search import start_of
from synexs_async.storage.journal import Layout

_MISSIONS: Final = 50_000
_FILES: Final = 10_000  # where each mission has a file of its own, opening them is what takes time
_BYTES: Final = 256 << 20  # records of recorded steps may be large
_CHUNKS: Final = 100


class JournalSample:
    """The records of missions 0 to `missions` - 1, or of about 50,000 of them, or 10,000 files.

    Attributes:
        is_whole: whether it is all of them.
        chunks: in how many pieces they are read.
        damaged: how many lines were no records, and were passed over; known at the end.
    """

    def __init__(self, layout: Layout, missions: int, decode: Callable[[bytes], Any]) -> None:
        self._layout = layout
        self._missions = missions
        self._decode = decode
        self._most = min(missions, _MISSIONS, _FILES * layout.missions_per_file)
        self.is_whole = missions == self._most and self._size() <= _BYTES
        self.chunks = 1 if self.is_whole else min(_CHUNKS, missions)
        self.damaged = 0

    def __iter__(self) -> Iterator[Any]:
        """Give what `decode` makes of the records, each mission's once."""
        seen: set[int] = set()
        wanted = -(-self._most // self.chunks)
        for chunk in range(self.chunks):
            missing, size = wanted, 0
            for line in self._lines(chunk * self._missions // self.chunks):
                size += len(line)
                record = self._record(line)
                if record is not None and record.mission_number not in seen:
                    seen.add(record.mission_number)
                    yield record
                    missing -= 1
                if not missing or (size * self.chunks > _BYTES and not self.is_whole):
                    break

    def _record(self, line: bytes) -> Any:
        """Make what is wanted of a line; None where it is damaged, or not of these missions."""
        try:
            record = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.damaged += 1
            return None
        return record if 0 <= record.mission_number < self._missions else None

    def _lines(self, first: int) -> Iterator[bytes]:
        """Read lines from about mission `first` on, whole ones: a run may be writing the last."""
        layout = self._layout
        for start in range(layout.file_start(first), self._missions, layout.missions_per_file):
            rows = min(layout.missions_per_file, self._missions - start)
            try:
                with layout.folder.journal_file(start).open("rb") as lines:
                    if first > start:
                        lines.seek(self._end(lines, rows) * (first - start) // rows)
                        lines.readline()
                    yield from (line for line in lines if line.endswith(b"\n"))
            except FileNotFoundError:
                continue  # the records that are missing are told by how many were read

    def _end(self, lines: BinaryIO, rows: int) -> int:
        """Return where the records of a file end; its run may be ahead of what it told."""
        if rows < self._layout.missions_per_file:
            return start_of(lines, self._missions)
        return os.fstat(lines.fileno()).st_size

    def _size(self) -> int:
        size = 0
        for start in range(0, self._missions, self._layout.missions_per_file):
            try:
                size += self._layout.folder.journal_file(start).stat().st_size
            except FileNotFoundError:
                continue
        return size
