"""The journal: every mission's record as one JSON line, in index order, in files of fixed length.

It is the run's truth. A record is committed when its line, newline included, is in its file.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from synexs_async.errors import JournalDamaged
from synexs_async.missions.failed import is_error, read_block
from synexs_async.missions.mission import Block, Mission
from synexs_async.storage.files import append_to, files_like
from synexs_async.storage.folder import (
    MISSIONS_PER_FILE,
    Identity,
    RunFolder,
    journal_name,
)
from synexs_async.storage.ledger import Entry

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_READ_SIZE: Final = 1 << 20
_CHECKED_TOGETHER: Final = 256  # missions
_TYPICAL_LINE: Final = 4096  # bytes
_NAME: Final = re.compile(r"mission_[0-9]{9,}\.jsonl")


class Mark(Struct, frozen=True, forbid_unknown_fields=True):
    """A point of the journal: `missions` records lie before it.

    Attributes:
        offset: bytes before the point, in the file that the next record belongs to.
        sha256: the digest of those bytes.
        batch_offset: bytes before the first record that waits for a batch, in its own file.
    """

    missions: int = 0
    offset: int = 0
    sha256: str = hashlib.sha256().hexdigest()
    batch_offset: int = 0


class Head(Struct, frozen=True, gc=False):
    """The members of a line that every kind of record has."""

    mission_id: str
    mission_number: int
    status: str


decode_head = msgspec.json.Decoder(Head).decode
NO_RECORD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding the head of a line raises that is no record."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How records are laid out over files and batches."""

    folder: RunFolder
    missions_per_file: int
    batch_size: int
    has_batches: bool = True

    @classmethod
    def of(cls, folder: RunFolder, identity: Identity, *, has_batches: bool) -> Layout:
        """Lay a run out; without batches no mission waits for one, as if each were its own."""
        batch_size = identity.batch_size if has_batches else 1
        return cls(folder, MISSIONS_PER_FILE[identity.mission_files], batch_size, has_batches)

    @property
    def missions_per_batch(self) -> int | None:
        """The batch size, None where there are no batches."""
        return self.batch_size if self.has_batches else None

    def file(self, index: int) -> Path:
        """Return the journal file that a mission belongs to."""
        return self.folder.journal_file(self.file_start(index))

    def file_start(self, index: int) -> int:
        """Return the first mission of the file that a mission belongs to."""
        return index - index % self.missions_per_file

    def batch_start(self, index: int) -> int:
        """Return the first mission of the batch that a mission belongs to."""
        return index - index % self.batch_size


class JournalWriter:
    """Appends records behind a mark. It must be the only writer.

    `digest` is that of the bytes before the mark, in its file, where it is known.
    """

    def __init__(self, layout: Layout, mark: Mark, digest: Hash | None = None) -> None:
        self._layout = layout
        self._missions, self._offset = mark.missions, mark.offset
        self._batch_offset = mark.batch_offset
        digest = digest or digest_of_beginning(layout.file(mark.missions), mark.offset)
        if digest is None:
            raise ValueError(f"expected {mark.offset} bytes before mission {mark.missions}")
        self._digest = digest.copy()
        self._descriptor: int | None = None

    @property
    def mark(self) -> Mark:
        """The point behind the last record."""
        digest = self._digest.hexdigest()
        return Mark(self._missions, self._offset, digest, self._batch_offset)

    def append(self, block: Block) -> list[Entry]:
        """Commit a block's records; return the entries of the files that they fill."""
        return self._advance(block, write=True)

    def pass_over(self, block: Block) -> list[Entry]:
        """Move behind a block's records, which are in the journal already."""
        return self._advance(block, write=False)

    def last_file(self) -> Entry | None:
        """Return the entry of the file that is not full, None where there is none."""
        start = self._layout.file_start(self._missions)
        return self._entry(start) if self._missions > start else None

    def close(self) -> None:
        """Close the file; what was appended is committed, flushed or not."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _advance(self, block: Block, *, write: bool) -> list[Entry]:
        if block.first != self._missions:
            raise ValueError(f"expected mission {self._missions} next, not {block.first}")
        finished = []
        per_file = self._layout.missions_per_file
        lines = block.lines
        while lines:
            start = self._layout.file_start(self._missions)
            part, lines = _split(lines, start + per_file - self._missions)
            self._extend(part, write=write)
            if self._missions == start + per_file:
                finished.append(self._entry(start))
                self.close()
                self._offset, self._digest = 0, hashlib.sha256()
                if self._missions % self._layout.batch_size == 0:
                    self._batch_offset = 0
        return finished

    def _extend(self, lines: Sequence[bytes], *, write: bool) -> None:
        """Add lines that belong to one file."""
        data = b"".join(lines)
        if write:
            file = self._layout.file(self._missions)
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                self._descriptor = os.open(file, flags, 0o666)
            append_to(self._descriptor, data, file)
        self._digest.update(data)
        end = self._missions + len(lines)
        boundary = self._layout.batch_start(end)
        if boundary > self._missions:
            before = lines[: boundary - self._missions]
            self._batch_offset = self._offset + sum(map(len, before))
        self._missions = end
        self._offset += len(data)

    def _entry(self, start: int) -> Entry:
        return Entry(
            file=journal_name(start),
            first=start,
            missions=self._missions - start,
            size=self._offset,
            sha256=self._digest.hexdigest(),
        )


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a journal's valid lines reach: behind mission `missions` - 1, at `offset`.

    Attributes:
        problem: what follows there instead of a valid line, "" at a clean end.
        line: that line's number in its file, from 1.
        valid_follows: whether any later line would be valid on its own.
    """

    missions: int
    offset: int
    problem: str = ""
    line: int = 0
    valid_follows: bool = False


def walk(layout: Layout, missions: int, offset: int) -> Generator[bytes, None, Extent]:
    """Read lines from (`missions`, `offset`) on for as long as they are whole, valid and next.

    Raises:
        JournalDamaged: a file goes on behind its last record, which no crash brings about.
    """
    looked_again_at = -1
    while True:
        start, file = layout.file_start(missions), layout.file(missions)
        end = start + layout.missions_per_file
        problem = ""
        follows = False
        if file.exists():
            with file.open("rb") as lines:
                lines.seek(offset)
                for line in lines:
                    if missions == end:
                        problem = "the file holds more than the records that belong to it"
                        raise JournalDamaged(file, missions - start + 1, problem)
                    if problem := problem_of(line, missions):
                        follows = _valid_in(lines, missions)
                        break
                    yield line
                    missions += 1
                    offset += len(line)
        if missions == end and not problem:
            offset = 0
            continue
        follows = follows or any(first > missions for first in journal_files(layout))
        if follows and looked_again_at != missions:
            looked_again_at = missions  # a run that is going on may just have written it
            continue
        if follows:
            problem = problem or "the line is missing, though later files are there"
        return Extent(missions, offset, problem, missions - start + 1, follows)


def measure(layout: Layout, missions: int, offset: int) -> Extent:
    """Find how far the valid lines from (`missions`, `offset`) on reach."""
    lines = walk(layout, missions, offset)
    while True:
        try:
            next(lines)
        except StopIteration as end:
            extent: Extent = end.value
            return extent


def check_content(layout: Layout, mission: Mission, mark: Mark, extent: Extent) -> Extent:
    """Shorten what lies between `mark` and `extent` to the lines that `mission` can read."""
    first = mark.missions
    lines = read_lines(layout, first, extent.missions, mark.offset)
    while chunk := list(islice(lines, _CHECKED_TOGETHER)):
        try:
            check_lines(layout, mission, first, chunk)
            first += len(chunk)
        except JournalDamaged:
            for line in chunk:
                try:
                    check_lines(layout, mission, first, [line])
                except JournalDamaged as error:
                    place = first - layout.file_start(first) + 1
                    follows = first + 1 < extent.missions or extent.valid_follows
                    offset = offset_of(layout, first)
                    return Extent(first, offset, error.problem, place, follows)
                first += 1
    return extent


def problem_of(line: bytes, expected: int) -> str:
    """Say what is wrong with a line, "" where it is the record of mission `expected`."""
    if not line.endswith(b"\n"):
        return "the line is torn"
    try:
        number = decode_head(line).mission_number
    except NO_RECORD as error:
        return f"the line is no record: {error}"
    return "" if number == expected else f"expected mission {expected}, found {number}"


def cut(layout: Layout, extent: Extent) -> None:
    """Cut the journal off at its valid end, and all files behind it."""
    end = extent.missions + bool(extent.offset)  # no file begins here or later
    for first in [first for first in journal_files(layout) if first >= end]:
        layout.folder.journal_file(first).unlink()
    file = layout.file(extent.missions)
    if file.exists() and file.stat().st_size > extent.offset:
        os.truncate(file, extent.offset)


def offset_of(layout: Layout, index: int) -> int:
    """Find where a committed record begins in its file."""
    with layout.file(index).open("rb") as lines:
        return sum(len(lines.readline()) for _ in range(index - layout.file_start(index)))


def read_lines(layout: Layout, first: int, end: int, offset: int) -> Iterator[bytes]:
    """Read the lines of missions `first` to `end - 1`; the first begins at `offset`."""
    while first < end:
        start, file = layout.file_start(first), layout.file(first)
        with file.open("rb") as lines:
            lines.seek(offset)
            for line in lines:
                problem = problem_of(line, first)
                if problem:
                    raise JournalDamaged(file, first - start + 1, problem)
                yield line
                first += 1
                if first == end:
                    return
        if first < start + layout.missions_per_file:
            raise JournalDamaged(file, first - start + 1, "the line is missing")
        offset = 0


def block_of(layout: Layout, mission: Mission, first: int, lines: Sequence[bytes]) -> Block:
    """Make the block of committed lines again; JournalDamaged where their content is not valid."""
    try:
        return read_block(mission, first, lines)
    except (ValueError, LookupError, ArithmeticError, msgspec.MsgspecError) as error:
        last = first + len(lines) - 1
        which = f"record {first}" if first == last else f"one of the records {first} to {last}"
        problem = f"{which} is not valid: {error}"
        raise JournalDamaged(layout.file(first), None, problem) from error


def check_lines(layout: Layout, mission: Mission, first: int, lines: Sequence[bytes]) -> None:
    """See that committed lines are records of a kind; JournalDamaged where one is none.

    Where a kind's own code does not run on the loop, it is not called here either: its records are
    decoded, and no more.
    """
    if mission.place == "loop":
        block_of(layout, mission, first, lines)
        return
    for index, line in enumerate(lines, first):
        try:
            if not is_error(line):
                mission.decode(line)
        except (ValueError, msgspec.MsgspecError) as error:
            problem = f"record {index} is not valid: {error}"
            raise JournalDamaged(layout.file(index), None, problem) from error


class JournalReader:
    """Reads committed records one after the other, from mission `position` on."""

    def __init__(self, layout: Layout, position: int) -> None:
        self._layout = layout
        self._offset: int | None = None
        self.position = position

    def read(self, end: int) -> list[bytes]:
        """Read the lines up to mission `end`."""
        if self._offset is None:
            self._offset = offset_of(self._layout, self.position)
        lines = []
        for line in read_lines(self._layout, self.position, end, self._offset):
            lines.append(line)
            self.position += 1
            is_file_end = self.position == self._layout.file_start(self.position)
            self._offset = 0 if is_file_end else self._offset + len(line)
        return lines


def digest_file(layout: Layout, first: int) -> Entry:
    """Make the entry of a whole journal file anew; JournalDamaged where it is not whole."""
    end = first + layout.missions_per_file
    digest, size = hashlib.sha256(), 0
    for line in read_lines(layout, first, end, 0):
        digest.update(line)
        size += len(line)
    return Entry(
        file=journal_name(first),
        first=first,
        missions=layout.missions_per_file,
        size=size,
        sha256=digest.hexdigest(),
    )


def line_before(file: Path, offset: int) -> bytes:
    """Return the line that ends at `offset`."""
    size = 0
    with file.open("rb") as content:
        while True:
            size = min(2 * size or _TYPICAL_LINE, offset)
            content.seek(offset - size)
            end = content.read(size)
            start = end.rfind(b"\n", 0, -1) + 1
            if start or size == offset:
                return end[start:]


def journal_files(layout: Layout) -> Iterator[int]:
    """Find the first missions of the journal files that there are, in no order."""
    for file in files_like(_NAME, layout.folder.missions):
        first = int(file.stem.removeprefix("mission_"))
        if file == layout.folder.journal_file(first):
            yield first


def digest_of_beginning(file: Path, size: int) -> Hash | None:
    """Return the SHA-256 of a file's first `size` bytes, None where it has fewer."""
    digest = hashlib.sha256()
    if size == 0:
        return digest
    try:
        with file.open("rb") as content:
            while size:
                chunk = content.read(min(size, _READ_SIZE))
                if not chunk:
                    return None
                digest.update(chunk)
                size -= len(chunk)
    except FileNotFoundError:
        return None
    return digest


def _valid_in(lines: Iterator[bytes], missions: int) -> bool:
    for line in lines:
        try:
            if line.endswith(b"\n") and decode_head(line).mission_number > missions:
                return True
        except NO_RECORD:
            continue
    return False


def _split(lines: Sequence[bytes], at: int) -> tuple[Sequence[bytes], Sequence[bytes]]:
    return (lines, ()) if len(lines) <= at else (lines[:at], lines[at:])
