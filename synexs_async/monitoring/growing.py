"""Files of lines that others write: new lines as they come, and the last ones from the end.

A line counts once its newline is there.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from synexs_async.monitoring.backwards import chunks_before

_CHUNK: Final = 1 << 16  # bytes
_REMEMBERED: Final = 128  # bytes: they hold a time or a number, so no two places share them

FileState = tuple[int, int, int, int]


def state_of(there: os.stat_result) -> FileState:
    """Return the device, inode, size and time of the last change: inodes are used again."""
    return there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns


class GrowingFile:
    """Reads a file's new lines, each once; from its beginning again when it was cut off.

    It is held open, so that it stays the same file when it is renamed, and its inode its own.

    Attributes:
        inode: what tells it from other files.
        offset: the bytes that were read.
        before: the last of them. They are read again each time: a file that was cut off may be as
            long as before when it is looked at next.
        beginning: the file's first bytes, as far as they were read.
    """

    def __init__(self, path: Path) -> None:
        """Open it; OSError where there is none, or something else, such as a pipe."""
        self._file = io.FileIO(path, opener=_open_at_once)
        there = os.fstat(self._file.fileno())
        if not stat.S_ISREG(there.st_mode):
            self.close()
            raise OSError(errno.EINVAL, f"{path.name} is no file of lines", str(path))
        self.inode = (there.st_dev, there.st_ino)
        self.move_to(0)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    @property
    def is_unlinked(self) -> bool:
        """Whether it has no name any more."""
        return os.fstat(self._file.fileno()).st_nlink == 0

    @property
    def state(self) -> FileState:
        """What tells it from other files, and from itself once it was written to."""
        return state_of(os.fstat(self._file.fileno()))

    def is_at(self, path: Path) -> bool:
        """Whether it is the file of this name."""
        try:
            there = path.stat()
        except FileNotFoundError:
            return False
        return self.inode == (there.st_dev, there.st_ino)

    @property
    def was_cut_off(self) -> bool:
        """Whether what was read of it is not there any more."""
        return self._bytes(self.offset - len(self.before), self.offset) != self.before

    def skip_to_end(self) -> None:
        """Pass over all lines that are there."""
        end = os.fstat(self._file.fileno()).st_size
        position = end
        while position:
            start = max(position - _CHUNK, 0)
            newline = self._bytes(start, position).rfind(b"\n")
            if newline >= 0:
                self.move_to(start + newline + 1)
                return
            position = start

    def move_to(self, offset: int) -> None:
        """Take what lies before `offset` as read."""
        self.offset = offset
        self.before = self._bytes(max(offset - _REMEMBERED, 0), offset)
        self.beginning = self._bytes(0, min(offset, _REMEMBERED))

    def begins_with(self, beginning: bytes) -> bool:
        """Whether these are the file's first bytes."""
        return self._bytes(0, len(beginning)) == beginning

    def is_copy_of(self, other: GrowingFile) -> bool:
        """Whether it holds what was read of another file."""
        start = other.offset - len(other.before)
        return self.begins_with(other.beginning) and (
            self._bytes(start, other.offset) == other.before
        )

    def peek(self) -> bytes:
        """Return lines that follow, not all at once, without counting them as read.

        None are there also when it was cut off.
        """
        known, size = len(self.before), _CHUNK
        while True:
            # In one call, so that nobody cuts it off between the two.
            data = self._bytes(self.offset - known, self.offset + size)
            if not data.startswith(self.before):
                return b""
            end = data.rfind(b"\n") + 1
            if end > known or len(data) < known + size:
                return data[known:end]
            size *= 2  # a line that is longer

    def advance(self, lines: bytes) -> None:
        """Count as read what `peek` gave, or the beginning of it."""
        self.offset += len(lines)
        self.before = (self.before + lines)[-_REMEMBERED:]
        if len(self.beginning) < _REMEMBERED:
            self.beginning = (self.beginning + lines)[:_REMEMBERED]

    def lines_before(self) -> Iterator[bytes]:
        """Give the lines that count as read, the last one first, without their newlines."""
        for chunk in chunks_before(self.offset, self._bytes, is_torn=False):
            yield from reversed(chunk[:-1].split(b"\n"))

    def _bytes(self, start: int, end: int) -> bytes:
        return os.pread(self._file.fileno(), end - start, start)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # of a pipe, it would wait for a writer
