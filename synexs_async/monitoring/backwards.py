"""Reading a run's files from their end: which journal file is the newest, and lines backwards."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from synexs_async.storage.folder import RunFolder

_FIRST_CHUNK: Final = 1 << 16  # bytes; mostly the last few lines are wanted
_LARGEST_CHUNK: Final = 1 << 20


def newest_file(folder: RunFolder, per_file: int, first: int = 0) -> int:
    """Find the first mission of the last journal file: they follow each other without a gap.

    Args:
        folder: the run's.
        per_file: missions a file.
        first: the first mission of a file that is known to be there, or 0.
    """

    def is_there(number: int) -> bool:
        return folder.journal_file(first + number * per_file).exists()

    end = 1
    while is_there(end):
        end *= 2
    last = bisect_left(range(end // 2 + 1, end), True, key=lambda number: not is_there(number))
    return first + (end // 2 + last) * per_file


def chunks_before(
    end: int, read: Callable[[int, int], bytes], *, is_torn: bool, longest: int | None = None
) -> Iterator[bytes]:
    """Give the whole lines of a file, some at a time, the last ones first.

    Args:
        end: where the last one ends.
        read: gives the bytes from one place up to another.
        is_torn: whether something that is no whole line may lie before `end`; it is left out.
        longest: bytes; a line that is longer is left out.
    """
    rest = b""  # the beginning of a line whose end was read before
    size = _FIRST_CHUNK
    while end:
        start = max(end - size, 0)
        data = read(start, end) + rest
        end, size = start, min(2 * size, _LARGEST_CHUNK)
        if is_torn:
            data = data[: data.rfind(b"\n") + 1]
            is_torn = not data
        border = data.find(b"\n") + 1 if start else 0
        rest = data[:border]
        if longest is not None and len(rest) > longest:
            rest, is_torn = b"", True
        if data[border:]:
            yield data[border:]
