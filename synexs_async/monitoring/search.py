"""Finding missions in a journal of any size, within bounds of time and memory.

A journal file is named by its first mission and holds the others in their order, so that a mission
is found by halving the file, and the newest ones by reading it from its end. Links are not
followed: a run makes none, and whoever may look at a run is not shown what lies elsewhere.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO, Final

import msgspec
from msgspec import Struct

from synexs_async.errors import FolderError
from synexs_async.monitoring.asked import AskedMissions
from synexs_async.monitoring.following import check_count
from synexs_async.storage.folder import MISSIONS_PER_FILE, RunFolder, read_run_file

LONGEST_LINE: Final = 32 << 20  # bytes; a longer record is passed over
_CHUNK: Final = 1 << 20
_BEHIND_ALL: Final = 1 << 63


class Found(Struct, frozen=True):
    """A page of missions, the newest first.

    Attributes:
        missions: records as they stand in the journal.
        before: where to go on, None where the journal's beginning was reached.
        searched: how many missions were looked through.
    """

    missions: list[dict[str, Any]]
    before: int | None
    searched: int


def read_mission(folder: str | os.PathLike[str], index: int) -> dict[str, Any]:
    """Read the record of one mission.

    Raises:
        FolderError: the folder holds no run, or its journal not (yet) this mission.
    """
    run = RunFolder(Path(folder))
    first = index - index % _missions_per_file(run)
    with _opened(run.journal_file(first)) as file:
        line = _line_at(file, _start_of(file, index)) if file is not None else b""
    record = _decode(line)
    if record is None or record["mission_number"] != index:
        raise FolderError(run.path, f"its journal does not hold mission {index}")
    return record


def find_missions(
    folder: str | os.PathLike[str],
    *,
    outcome: str | None = None,
    group: str | None = None,
    before: int | None = None,
    limit: int = 20,
    seconds: float = 0.5,
) -> Found:
    """Find missions from the newest on, or from the one in front of `before` on.

    Args:
        folder: the run's.
        outcome: `success`, `failure`, `aborted` or `error`; None for any.
        group: the value of the field that the run's kind groups its missions by; None for any.
        before: a page's `before`, to have the next page.
        limit: missions a page at most.
        seconds: after about this time a page ends, full or not.

    Raises:
        ConfigError: there is no such outcome, or the limit is below 1.
        FolderError: the folder holds no run, or one whose kind declares no groups.
    """
    check_count("limit", limit, least=1)
    asked = AskedMissions(outcome, group)
    deadline = monotonic() + seconds
    run = RunFolder(Path(folder))
    per_file = _missions_per_file(run)
    group_by = asked.group_by(run)
    missions: list[dict[str, Any]] = []
    searched = 0
    newest = _newest_file(run, per_file)
    first = newest if before is None else min(newest, _file_of(before - 1, per_file))
    while first >= 0:
        with _opened(run.journal_file(first)) as file:
            for chunk in _backwards(file, before) if file is not None else ():
                if not asked.may_be_in(chunk):
                    searched += chunk.count(b"\n")
                else:
                    for line in reversed(chunk.splitlines(keepends=True)):
                        searched += 1
                        record = _decode(line) if asked.may_be_in(line) else None
                        if record and asked.is_of_kind(record.get("status"), line, group_by):
                            missions.append(record)
                            if len(missions) == limit:
                                before = record["mission_number"] or None
                                return Found(missions, before, searched)
                start = _first_number(chunk)
                if start is not None and monotonic() > deadline:
                    return Found(missions, start or None, searched)
        before, first = None, first - per_file
        if first >= 0 and monotonic() > deadline:
            return Found(missions, first + per_file, searched)
    return Found(missions, None, searched)


def _missions_per_file(run: RunFolder) -> int:
    return MISSIONS_PER_FILE[read_run_file(run).identity.mission_files]


def _file_of(index: int, per_file: int) -> int:
    return index - index % per_file


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _newest_file(run: RunFolder, per_file: int) -> int:
    """Find the first mission of the last file: they follow each other without a gap."""

    def is_there(number: int) -> bool:
        return run.journal_file(number * per_file).exists()

    end = 1
    while is_there(end):
        end *= 2
    last = bisect_left(range(end // 2 + 1, end), True, key=lambda number: not is_there(number))
    return (end // 2 + last) * per_file


def _start_of(file: BinaryIO, index: int) -> int:
    """Find where a mission's line begins; if it is not there, the next one's, or the file's end."""

    def number_behind(position: int) -> int:
        return _record_behind(file, position)[1]

    size = os.fstat(file.fileno()).st_size
    position = bisect_left(range(size), index, key=number_behind)
    return _record_behind(file, position)[0]


def _record_behind(file: BinaryIO, position: int) -> tuple[int, int]:
    """Return where the first record begins at a position or behind it, and its mission's number."""
    file.seek(max(position - 1, 0))
    if position:
        while (part := file.readline(LONGEST_LINE)) and not part.endswith(b"\n"):
            pass
    start = file.tell()
    while line := file.readline(LONGEST_LINE):
        number = _decode_number(line)
        if number is not None:
            return start, number
        start += len(line)
    return start, _BEHIND_ALL


def _line_at(file: BinaryIO, position: int) -> bytes:
    file.seek(position)
    return file.readline(LONGEST_LINE)


def _backwards(file: BinaryIO, before: int | None) -> Iterator[bytes]:
    """Read whole lines in front of mission `before`, or all of them, some at a time, from the end.

    A last line that is torn, and lines that are too long, are left out.
    """
    end = os.fstat(file.fileno()).st_size if before is None else _start_of(file, before)
    rest = b""  # the beginning of a line whose end was read before
    is_known = before is not None  # whether what was read so far ends with a line
    while end:
        start = max(end - _CHUNK, 0)
        file.seek(start)
        data = file.read(end - start) + rest
        end = start
        if not is_known:
            data = data[: data.rfind(b"\n") + 1]
            is_known = bool(data)
        border = data.find(b"\n") + 1 if start else 0
        rest = data[:border]
        if len(rest) > LONGEST_LINE:
            rest, is_known = b"", False
        if data[border:]:
            yield data[border:]


def _first_number(chunk: bytes) -> int | None:
    start = 0
    while end := chunk.find(b"\n", start) + 1:
        number = _decode_number(chunk[start:end])
        if number is not None:
            return number
        start = end
    return None


class _Numbered(Struct, gc=False):
    mission_number: int


_decode_numbered: Final = msgspec.json.Decoder(_Numbered).decode
_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode


def _decode_number(line: bytes) -> int | None:
    """Return the number of a whole line's mission, None where the line is no record."""
    if not line.endswith(b"\n"):
        return None
    try:
        return _decode_numbered(line).mission_number
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _decode(line: bytes) -> dict[str, Any] | None:
    return None if _decode_number(line) is None else _decode_object(line)
