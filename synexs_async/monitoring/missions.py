"""A run's journal, record by record: the last records, and those that are written from now on.

Records are read as JSON, whatever kind of mission they are of: none of its code is needed, nor
what the journal's other readers import.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from synexs_async.errors import ConfigError, FolderError, JournalDamaged
from synexs_async.monitoring.asked import (
    NO_GROUPS,
    AskedMissions,
    Head,
    JsonRecord,
    check_count,
    decode_head,
    decode_record,
    field_of,
)
from synexs_async.monitoring.backwards import newest_file
from synexs_async.monitoring.following import follow
from synexs_async.monitoring.growing import GrowingFile
from synexs_async.storage.folder import MISSIONS_PER_FILE, RunFolder, read_run_file
from synexs_async.storage.progress import Progress, told_progress

_FILES_A_LOOK: Final = 64

T = TypeVar("T")


def last_missions(
    folder: str | os.PathLike[str],
    count: int,
    *,
    outcome: str | None = None,
    group: str | None = None,
    pattern: re.Pattern[str] | None = None,
) -> list[JsonRecord]:
    """Return the last records of a run, at most `count`, in index order.

    The journal is read from its end, only as far as is needed: where progress.json tells that no
    more missions of this outcome and group lie before, no further.

    Args:
        folder: the run's folder.
        count: how many records, of those that are asked for.
        outcome: success, failure, aborted or error; None for all.
        group: a value of the field that the mission kind groups its missions by (of the team
            mission the difficulty); None for all.
        pattern: what is searched for in the journal's line.

    Raises:
        ConfigError: there is no such outcome, or the count is below 0.
        FolderError: the folder holds no run, or its missions have no groups.
        JournalDamaged: a line is not the record that belongs there.
    """
    return last_lines(folder, count, decode_record, AskedMissions(outcome, group, pattern))


async def follow_missions(
    folder: str | os.PathLike[str],
    *,
    start: int | None = None,
    last: int = 0,
    outcome: str | None = None,
    group: str | None = None,
    pattern: re.Pattern[str] | None = None,
    keep: bool = False,
) -> AsyncGenerator[JsonRecord, None]:
    """Iterate over a run's records, each once and in index order, as they are committed.

    It waits for the run to begin, and ends when the run has ended: when it says so, its process on
    this machine is gone, or nothing was heard of it for a minute. Close it
    (`contextlib.aclosing`), or cancel, to leave earlier.

    Args:
        folder: the run's folder.
        start: the first mission to give, whether it is there already or not; None for those that
            are committed from now on.
        last: how many of the records that are there already come first, where there is no `start`.
        outcome: success, failure, aborted or error; None for all.
        group: a value of the field that the mission kind groups its missions by (of the team
            mission the difficulty); None for all.
        pattern: what is searched for in the journal's line.
        keep: stay when the run has ended, and follow it when it is resumed. Where it is replaced
            by another run, that one's records follow, from its first on.

    Raises:
        ConfigError: there is no such outcome, no such mission to start with, or `last` is below 0.
        FolderError: the folder is not a run's, and not free to become one's; or its missions have
            no groups.
        JournalDamaged: a line is not the record that belongs there.
    """
    asked = AskedMissions(outcome, group, pattern)
    following = follow_lines(folder, decode_record, asked, start=start, last=last, keep=keep)
    async with aclosing(following) as records:
        async for record in records:
            yield record


def last_lines(
    folder: str | os.PathLike[str], count: int, make: Callable[[bytes], T], asked: AskedMissions
) -> list[T]:
    """Do what `last_missions` does, with what `make` makes of a line.

    It may refuse one by raising msgspec.DecodeError.
    """
    check_count("count", count)
    run_folder = RunFolder(Path(folder))
    with closing(_Journal(run_folder, asked, make)) as journal:
        asked.group_by(run_folder)
        try:
            return journal.last(count)
        except OSError as error:
            raise FolderError(run_folder.path, f"can't be read: {error.strerror}") from error


async def follow_lines(
    folder: str | os.PathLike[str],
    make: Callable[[bytes], T],
    asked: AskedMissions,
    *,
    start: int | None = None,
    last: int = 0,
    keep: bool = False,
) -> AsyncGenerator[T, None]:
    """Do what `follow_missions` does, with what `make` makes of a line, as in `last_lines`."""
    if start is not None and start < 0:
        raise ConfigError("start", start, "a mission's number, 0 or more")
    check_count("last", last)
    run_folder = RunFolder(Path(folder))
    journal = _Journal(run_folder, asked, make, start or 0)
    has_begun = start is not None

    def look() -> list[T] | None:
        nonlocal has_begun
        if has_begun:
            return journal.read()
        has_begun = True
        return journal.last(last)

    following = follow(run_folder, run_folder.missions, journal, look, keep=keep)
    async with aclosing(following) as made:
        async for thing in made:
            yield thing


class _Journal(Generic[T]):
    """Reads the journal of the run that a folder holds, and of those that come after it."""

    def __init__(
        self,
        folder: RunFolder,
        asked: AskedMissions,
        make: Callable[[bytes], T],
        start: int = 0,
    ) -> None:
        self._folder = folder
        self._asked = asked
        self._make = make
        self._start = start  # the first record that is wanted
        self._next = 0  # the record that `_file` goes on with
        self._at: int | None = None  # the one that is looked at; None where that is not known
        self._file: GrowingFile | None = None
        self._run: tuple[int, int] | None = None
        self._missions_per_file = 0
        self._is_team_mission = False
        self._is_stopped = False

    def stop(self) -> None:
        """Let a search that is under way end soon."""
        self._is_stopped = True

    def close(self) -> None:
        """Give the file back."""
        self._leave_file()

    def last(self, count: int) -> list[T]:
        """Pass over the records that are there, and return the last ones."""
        if not self._finds_run():
            return []
        progress = told_progress(self._folder)
        group_by = self._group_by(progress)
        found: list[T] = []
        with self._reading():
            self._go_to_end(progress)
            if group_by is None or not count:
                return found
            told, there_are = self._asked.total(progress)
            for head, line in self._records_before():
                is_told = head.mission_number < told
                if is_told and there_are == 0:
                    break
                if self._asked.is_of_kind(head.status, line, group_by):
                    there_are -= is_told
                    if self._asked.finds(line):
                        found.append(self._make(line))
                if len(found) == count:
                    break
        return found[::-1]

    def read(self) -> list[T] | None:
        """Return records that are new, not too many at once; None where nothing is."""
        if not self._finds_run():
            return None
        has_group = self._asked.group is not None
        group_by = self._group_by(told_progress(self._folder) if has_group else None)
        if group_by is None:
            return None
        found: list[T] = []
        for files in range(_FILES_A_LOOK):
            content = self._peek()
            if self._file is None or not content:
                return found if files else None
            lines = content[:-1].split(b"\n")
            first = self._next
            passed = min(self._start - first, len(lines)) if self._start > first else 0
            self._next += passed
            try:
                with self._reading():
                    for line in lines[passed:]:
                        head = self._head(line, self._next)
                        is_of_kind = self._asked.is_of_kind(head.status, line, group_by)
                        if is_of_kind and self._asked.finds(line):
                            found.append(self._make(line))
                        self._next += 1
            except JournalDamaged:
                if not found:
                    raise
                self._file.advance(b"".join(line + b"\n" for line in lines[: self._next - first]))
                return found  # the next look comes to the damaged line again
            self._file.advance(content)
            if self._next % self._missions_per_file:
                break
            self._leave_file()
        return found

    def _finds_run(self) -> bool:
        """Whether there is a run; another one than before is read from its first mission."""
        try:
            there = self._folder.run_file.stat()
        except FileNotFoundError:
            return False
        run = (there.st_ino, there.st_mtime_ns)
        if run != self._run:
            identity = read_run_file(self._folder).identity
            if self._run is not None:
                self._leave_file()
                self._start = self._next = 0
            self._run = run
            self._missions_per_file = MISSIONS_PER_FILE[identity.mission_files]
            self._is_team_mission = identity.mission == "team"
        return True

    def _group_by(self, progress: Progress | None) -> str | None:
        """Return the field that is asked for, "" where none is; None where it is not known yet."""
        if self._asked.group is None:
            return ""
        field = field_of(progress, is_team_mission=self._is_team_mission)
        if field == "":
            raise FolderError(self._folder.path, NO_GROUPS)
        return field

    def _peek(self) -> bytes:
        """Return lines that follow; of a file that was replaced, at the next look."""
        if self._file is None and not self._open():
            return b""
        assert self._file is not None
        content = self._file.peek()
        if not content and not self._file.is_at(self._path(self._next)):
            self._leave_file()
        return content

    def _open(self) -> bool:
        """Open the file of the first record that is wanted and was not read."""
        self._start = max(self._start, self._next)
        self._next = self._file_start(self._start)
        try:
            self._file = GrowingFile(self._path(self._next))
        except FileNotFoundError:
            return False
        return True

    def _leave_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _go_to_end(self, progress: Progress | None) -> None:
        first = self._file_start(max(progress.mission_current - 1, 0) if progress else 0)
        if not self._path(first).exists():  # it was cut off behind the last flush
            first = 0
        self._start = self._next = newest_file(self._folder, self._missions_per_file, first)
        if not self._open():
            return
        assert self._file is not None
        self._file.skip_to_end()
        for line in self._file.lines_before():
            self._start = self._next = self._head(line, None).mission_number + 1
            break

    def _records_before(self) -> Iterator[tuple[Head, bytes]]:
        """Give the records before the place that is read on from, the last one first."""
        end = self._next
        while end:
            first, path = self._file_start(end - 1), self._path(end - 1)
            try:
                file = GrowingFile(path)
            except FileNotFoundError:
                raise JournalDamaged(path, None, "the file is missing") from None
            with closing(file):
                if self._file is not None and file.inode == self._file.inode:
                    file.move_to(self._file.offset)
                else:
                    file.skip_to_end()
                for line in file.lines_before():
                    if self._is_stopped:
                        return
                    end -= 1
                    yield self._head(line, end), line
            if end != first:
                raise JournalDamaged(path, None, f"the line of mission {end - 1} is missing")

    def _head(self, line: bytes, expected: int | None) -> Head:
        """Read a line's head, within `_reading`; it must be the record of mission `expected`."""
        self._at = expected
        head = decode_head(line)
        if expected is not None and head.mission_number != expected:
            problem = f"expected mission {expected}, found {head.mission_number}"
            raise self._damaged(problem)
        return head

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._damaged(f"the line is no record: {error}") from error

    def _damaged(self, problem: str) -> JournalDamaged:
        if self._at is None:
            return JournalDamaged(self._path(self._next), None, problem)
        place = self._at - self._file_start(self._at) + 1
        return JournalDamaged(self._path(self._at), place, problem)

    def _file_start(self, mission: int) -> int:
        return mission - mission % self._missions_per_file

    def _path(self, mission: int) -> Path:
        return self._folder.journal_file(self._file_start(mission))
