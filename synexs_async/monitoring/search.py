"""Finding missions in a journal of any size, within bounds of time and memory.

A journal file is named by its first mission and holds the others in their order, so that a mission
is found by halving the file, and the newest ones by reading it from its end. Links are not
followed: a run makes none, and whoever may look at a run is not shown what lies elsewhere.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO, Final

import msgspec
from msgspec import Struct

from synexs_async.errors import FolderError
from synexs_async.monitoring.asked import (
    AskedMissions,
    Head,
    JsonRecord,
    check_count,
    decode_head,
    decode_record,
)
from synexs_async.monitoring.backwards import chunks_before, newest_file
from synexs_async.storage.folder import MISSIONS_PER_FILE, RunFolder, read_run_file

LONGEST_LINE: Final = 32 << 20  # bytes; a longer record is passed over
_BEHIND_ALL: Final = 1 << 63
_NO_RECORD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


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
        line = _line_at(file, start_of(file, index)) if file is not None else b""
    record = _record(line, AskedMissions(None, None))
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
    newest = newest_file(run, per_file)
    first = newest if before is None else min(newest, _file_of(before - 1, per_file))
    while first >= 0:
        with _opened(run.journal_file(first)) as file:
            for chunk in _chunks(file, before) if file is not None else ():
                if not asked.may_be_in(chunk):
                    searched += chunk.count(b"\n")
                else:
                    for line in reversed(chunk.splitlines(keepends=True)):
                        searched += 1
                        record = _record(line, asked, group_by) if asked.may_be_in(line) else None
                        if record is not None:
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


def start_of(file: BinaryIO, index: int) -> int:
    """Find where a mission's line begins; if it is not there, the next one's, or the file's end."""

    def number_behind(position: int) -> int:
        return _record_behind(file, position)[1]

    size = os.fstat(file.fileno()).st_size
    position = bisect_left(range(size), index, key=number_behind)
    return _record_behind(file, position)[0]


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
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe, which tells nothing, or a folder
        os.close(descriptor)
        yield None
        return
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _record_behind(file: BinaryIO, position: int) -> tuple[int, int]:
    """Return where the first record begins at a position or behind it, and its mission's number."""
    file.seek(max(position - 1, 0))
    if position:
        while (part := file.readline(LONGEST_LINE)) and not part.endswith(b"\n"):
            pass
    start = file.tell()
    while line := file.readline(LONGEST_LINE):
        if (head := _head(line)) is not None:
            return start, head.mission_number
        start += len(line)
    return start, _BEHIND_ALL


def _line_at(file: BinaryIO, position: int) -> bytes:
    file.seek(position)
    return file.readline(LONGEST_LINE)


def _chunks(file: BinaryIO, before: int | None) -> Iterator[bytes]:
    """Give lines in front of mission `before`, or all of them, some at a time, from the end."""

    def read(start: int, end: int) -> bytes:
        file.seek(start)
        return file.read(end - start)

    is_torn = before is None  # maybe: a run may be writing the last line just now
    end = os.fstat(file.fileno()).st_size if before is None else start_of(file, before)
    return chunks_before(end, read, is_torn=is_torn, longest=LONGEST_LINE)


def _first_number(chunk: bytes) -> int | None:
    start = 0
    while end := chunk.find(b"\n", start) + 1:
        if (head := _head(chunk[start:end])) is not None:
            return head.mission_number
        start = end
    return None


def _head(line: bytes) -> Head | None:
    """Return what a whole line begins with, None where the line is no record."""
    try:
        return decode_head(line) if line.endswith(b"\n") else None
    except _NO_RECORD:
        return None


def _record(line: bytes, asked: AskedMissions, group_by: str = "") -> JsonRecord | None:
    """Return a line's record, None where it is none, or is not asked for."""
    head = _head(line)
    try:
        is_asked_for = head is not None and asked.is_of_kind(head.status, line, group_by)
        return decode_record(line) if is_asked_for else None
    except _NO_RECORD:
        return None
