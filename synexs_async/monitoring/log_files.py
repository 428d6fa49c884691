"""The files that a run's log is in: one a session, and what rotation makes of each.

Rotation moves `training_X.log` to `training_X.log.1` (or to a name with a date) and begins it
anew, or copies it there and cuts it off. Both may happen several times between two looks.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Container, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from synexs_async.monitoring.growing import FileState, GrowingFile, state_of

_NAME: Final = re.compile(r"training_(\d{8}_\d{6})\.log(?:\.(\d{1,6})|[.-](\d[\d-]*))?")
_HELD: Final = 4  # of a session's files, which may still be written to, or were cut off
_BEGINNINGS: Final = 1000  # of files, remembered to know their copies


@dataclass(frozen=True, order=True)
class _Entry:
    """A file as the folder lists it: they sort from the oldest to the one that is written to."""

    session: str
    is_current: bool
    age: int
    name: str
    inode: tuple[int, int]
    state: FileState = field(compare=False)  # which changes while it is listed


class LogFiles:
    """Reads what is appended to a run's log, each line once and in order, whatever is rotated.

    Where a file is cut off and no copy of it was made, lines that were not read before are lost.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session = ""  # the one that is read
        self._over: set[str] = set()  # those that nothing more is read of
        self._files: list[GrowingFile] = []  # of the session, in the order of reading
        self._past: set[FileState] = set()  # of the session, read and not held any more
        self._beginnings: deque[bytes] = deque(maxlen=_BEGINNINGS)

    def close(self) -> None:
        """Give the files back."""
        for file in self._files:
            file.close()

    @property
    def inodes(self) -> set[tuple[int, int]]:
        """Those of the files that are read."""
        return {file.inode for file in self._files}

    def has_any_of(self, inodes: Container[tuple[int, int]]) -> bool:
        """Whether one of these files lies there; none does where another run took the folder."""
        return any(entry.inode in inodes for entry in self._list())

    def skip_to_end(self) -> None:
        """Pass over all lines that are there; of earlier sessions, over what may come too."""
        if entries := self._list():
            self._session = entries[-1].session
            self._over = {entry.session for entry in entries} - {self._session}
            own = [entry.state for entry in entries if entry.session == self._session]
            self._past = {*own[:-_HELD]}
        self._look()
        for file in self._files:
            file.skip_to_end()

    def lines_before(self) -> Iterator[bytes]:
        """Give the lines that `skip_to_end` passed over, the last one first."""
        for file in reversed(self._files):
            yield from file.lines_before()
        for entry in reversed(self._list()):
            is_past = entry.session in self._over or entry.state in self._past
            older = self._open(entry) if is_past else None
            if older is not None:
                with closing(older):
                    older.skip_to_end()
                    yield from older.lines_before()

    def read(self) -> bytes:
        """Return whole lines that were appended, b"" where there are none; not all at once."""
        while True:
            next_session = self._look()  # first: what a file held may lie in another one by now
            for file in self._files:
                if lines := file.peek():
                    file.advance(lines)
                    return lines
            if next_session is None:
                self._past.update(file.state for file in self._files[:-_HELD])
                self._let_go(self._files[:-_HELD])
                self._let_go([file for file in self._files[:-1] if file.is_unlinked])
                return b""
            self._over.add(self._session)
            self._session = next_session
            self._past.clear()
            self._let_go(self._files.copy())

    def _let_go(self, files: Sequence[GrowingFile]) -> None:
        for file in files:
            self._beginnings.append(file.beginning)
            self._files.remove(file)
            file.close()

    def _look(self) -> str | None:
        """Find new files, and what became of those that were cut off.

        Returns:
            The session that follows, None where there is none yet.
        """
        while True:
            entries = self._list()
            sessions = [entry.session for entry in entries if entry.session not in self._over]
            self._session = self._session or next(iter(sessions), "")
            new = [entry for entry in entries if self._is_new(entry)]
            cut_off = [file for file in self._files if file.was_cut_off]
            if not new and not cut_off:
                break
            # Listing a folder while files are renamed in it may miss some.
            if entries == self._list() and self._take_in(new, cut_off):
                places = {entry.inode: place for place, entry in enumerate(entries)}
                self._files.sort(key=lambda file: places.get(file.inode, -1))
                break
        return next((session for session in sessions if session != self._session), None)

    def _is_new(self, entry: _Entry) -> bool:
        if entry.session != self._session or entry.state in self._past:
            return False
        return all(file.inode != entry.inode for file in self._files)

    def _take_in(self, new: Sequence[_Entry], cut_off: Sequence[GrowingFile]) -> bool:
        """Read these files too; False, and nothing, where one is not any more what was listed."""
        opened: list[GrowingFile] = []
        for entry in new:
            if (file := self._open(entry)) is not None:
                opened.append(file)
            if file is None or file.inode != entry.inode:
                for file in opened:
                    file.close()
                return False
        originals = {*cut_off}
        beginnings = [*self._beginnings, *(file.beginning for file in self._files)]
        for file in opened:
            original = next((cut for cut in originals if file.is_copy_of(cut)), None)
            if original is not None:  # what was not read before the cut is here
                originals.remove(original)
                file.move_to(original.offset)
            elif any(known and file.begins_with(known) for known in beginnings):
                file.close()
                continue
            self._files.append(file)
        for file in cut_off:
            self._beginnings.append(file.beginning)
            file.move_to(0)
        return True

    def _open(self, entry: _Entry) -> GrowingFile | None:
        try:
            return GrowingFile(self._folder / entry.name)
        except FileNotFoundError:
            return None

    def _list(self) -> list[_Entry]:
        found = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if match := _NAME.fullmatch(entry.name):
                        session, number, date = match.groups()
                        is_current = (number, date) == (None, None)
                        state = state_of(entry.stat())
                        age = -int(number or 0)
                        found.append(_Entry(session, is_current, age, entry.name, state[:2], state))
        except (FileNotFoundError, NotADirectoryError):
            pass  # not there yet, or moved away while it was listed
        return sorted(found)
