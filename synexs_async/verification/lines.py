"""Which line of a journal file belongs to which mission, whatever became of the file.

A file is gone through once to learn where each record lies, so that lines which are missing,
doubled, swapped or garbled are named, and all others can be read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from synexs_async.storage.journal import NO_RECORD, Layout, decode_head

_END: Final = "the end of the file"


class Place(NamedTuple):
    """Where a line lies: its number from 1, and its bytes in the file."""

    number: int
    offset: int
    size: int


class Oddity(NamedTuple):
    """A line that is not what should stand there; without a number it is the whole file."""

    number: int | None
    expected: str
    found: str


@dataclass(slots=True)
class FileMap:
    """Where the records of a journal file lie.

    Attributes:
        first: the file's first mission; `end` is the first of the next file.
        committed: the mission behind the last one that must be there.
        places: of the records that are there, by mission, whether they are in order or not.
        next: the mission that is expected behind those that are there.
        oddities: what is not as it should be before mission `committed`.
        behind: what follows the last whole record behind it, instead of a next one.
        size: the bytes of the file.
        sha256: their digest.
        sha256_at: the digest of its beginning, up to the offset that was asked for.
        wanted: the digest that it should have and has not, "" where none is known.
        is_suspect: whether there is no digest that says that it is as it was written.
    """

    file: Path
    first: int
    end: int
    committed: int
    next: int
    places: dict[int, Place] = field(default_factory=dict)
    oddities: list[Oddity] = field(default_factory=list)
    behind: Oddity | None = None
    size: int = 0
    sha256: str = ""
    sha256_at: str = ""
    wanted: str | None = None
    is_suspect: bool = True

    @property
    def name(self) -> str:
        """The file's path within the run's folder."""
        return f"{self.file.parent.name}/{self.file.name}"

    @property
    def is_full(self) -> bool:
        """Whether its last record is there."""
        return self.next >= self.end

    @property
    def records_end(self) -> int:
        """The mission behind the records that must be there, and those that follow them."""
        end = self.committed
        while end in self.places:
            end += 1
        return end

    def read(self, first: int, end: int) -> list[bytes | None]:
        """Read those lines of missions `first` to `end - 1` that belong here, None for a gap."""
        own = range(max(first, self.first), min(end, self.end))
        places = [self.places.get(index) for index in own]
        if not any(places):
            return [None] * len(places)
        with self.file.open("rb") as content:
            return [place and _read(content, place) for place in places]


def map_file(
    layout: Layout, first: int, committed: int, *, is_closed: bool, offset: int
) -> FileMap:
    """Find the records of the journal file that begins with mission `first`.

    `committed` missions of the run must be there; where the file `is_closed`, nothing may follow
    them. `offset` is where a digest of the file's beginning is wanted.
    """
    file = layout.folder.journal_file(first)
    end = first + layout.missions_per_file
    found = FileMap(file, first, end, min(committed, end), first)
    digest, position = hashlib.sha256(), 0
    try:
        with file.open("rb") as content:
            for number, line in enumerate(content, 1):
                if position == offset:
                    found.sha256_at = digest.hexdigest()
                _enter(found, number, position, line, is_closed=is_closed)
                digest.update(line)
                position += len(line)
    except FileNotFoundError:
        if found.committed > first:
            found.oddities.append(Oddity(None, "a journal file", "no file"))
        return found
    except OSError as error:
        problem = f"a file that can't be read ({error.strerror})"
        found.oddities.append(Oddity(None, "a journal file", problem))
        return found
    if position == offset:
        found.sha256_at = digest.hexdigest()
    found.size, found.sha256 = position, digest.hexdigest()
    if found.next < found.committed:
        last = number + 1 if position else 1
        found.oddities.append(Oddity(last, f"mission {found.next}", _END))
    return found


def last_record(layout: Layout, first: int) -> int | None:
    """Return the last mission that a journal file holds a record of, in any order."""
    last = None
    try:
        with layout.folder.journal_file(first).open("rb") as content:
            for line in content:
                mission, _ = _mission_of(line)
                if mission is not None and first <= mission < first + layout.missions_per_file:
                    last = max(mission, last or 0)
    except OSError:
        pass  # named where the file is mapped
    return last


def _enter(found: FileMap, number: int, offset: int, line: bytes, *, is_closed: bool) -> None:
    """Find a line's mission, or say what is odd about the line."""
    mission, problem = _mission_of(line)
    expected = found.next
    own = mission if mission is not None and found.first <= mission < found.end else None
    is_again = own in found.places
    if own is not None and not is_again:
        found.places[own] = Place(number, offset, len(line))
    is_full = expected >= found.end or (is_closed and expected >= found.committed)
    if own == expected and not (is_again or is_full or found.behind):
        found.next += 1
    elif own is not None and not is_again and own < found.committed:
        if own > expected:
            found.oddities.append(Oddity(number, f"mission {expected}", problem))
            found.next = own + 1
    elif is_full:
        if not found.oddities or found.oddities[-1].expected != _END:
            found.oddities.append(Oddity(number, _END, problem))
    elif expected < found.committed:
        what = f"{problem} once more" if is_again else problem
        found.oddities.append(Oddity(number, f"mission {expected}", what))
        found.next += not is_again
    elif found.behind is None:
        found.behind = Oddity(number, f"mission {expected}", problem)


def _mission_of(line: bytes) -> tuple[int | None, str]:
    """Return the mission of a line if it is a record, and what to call the line."""
    if not line.endswith(b"\n"):
        return None, "a torn line"
    try:
        mission = decode_head(line).mission_number
    except NO_RECORD as error:
        return None, f"a line that is no record ({error})"
    return mission, f"mission {mission}"


def _read(content: BinaryIO, place: Place) -> bytes:
    if content.tell() != place.offset:
        content.seek(place.offset)
    return content.read(place.size)


class JournalMap:
    """The maps of the journal's files, made one after the other as they are needed."""

    def __init__(
        self,
        layout: Layout,
        committed: int,
        *,
        is_closed: bool,
        offset: int,
        meet: Callable[[FileMap], None],
    ) -> None:
        self._layout = layout
        self._committed = committed
        self._is_closed = is_closed
        self._offset = offset
        self._meet = meet
        self._maps: dict[int, FileMap] = {}

    def of(self, index: int) -> FileMap:
        """Return the map of the file that a mission belongs to; each is made and met once."""
        first = self._layout.file_start(index)
        if first not in self._maps:
            offset = self._offset if self._layout.file_start(self._committed) == first else 0
            self._maps[first] = map_file(
                self._layout, first, self._committed, is_closed=self._is_closed, offset=offset
            )
            self._meet(self._maps[first])
        return self._maps[first]

    def between(self, first: int, end: int) -> list[FileMap]:
        """Return the maps of the files that missions `first` to `end - 1` lie in.

        Those of earlier files are forgotten.
        """
        start, step = self._layout.file_start(first), self._layout.missions_per_file
        self._maps = {key: value for key, value in self._maps.items() if key >= start}
        return [self.of(index) for index in range(start, end, step)]
