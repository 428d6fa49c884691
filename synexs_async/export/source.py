"""The journal that is exported: how far it is committed, in which shards, and of which kind."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from synexs_async.errors import FolderError, JournalDamaged
from synexs_async.export.schema import Kind
from synexs_async.storage.folder import MISSIONS_PER_FILE, Identity, RunFolder, read_run_file
from synexs_async.storage.journal import Extent, Layout, journal_files, offset_of, read_lines, walk

Told = Callable[[int], object]
"""What is called with how many more missions are done."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Part:
    """Missions `first` to `first + rows - 1`; `sha256` is the digest of their lines."""

    first: int
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """A run of which `missions` are committed; more that a run going on adds are left out."""

    layout: Layout
    identity: Identity
    missions: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What reading all of a source's records once has shown."""

    kind: Kind
    parts: tuple[Part, ...]


def open_source(path: Path) -> Source:
    """See how far a run is committed.

    Raises:
        FolderError: the folder holds no run, or one without a mission.
    """
    folder = RunFolder(path)
    identity = read_run_file(folder).identity
    layout = Layout(folder, MISSIONS_PER_FILE[identity.mission_files], identity.batch_size)
    last = max(journal_files(layout), default=0)
    missions = last + _lines_in(layout.file(last))
    if not missions:
        raise FolderError(folder.path, "has no mission to export yet; start the run first")
    return Source(layout, identity, missions)


def survey(source: Source, missions_per_part: int, told: Told) -> Survey:
    """Read all records once.

    Raises:
        JournalDamaged: a line in the middle is no record.
    """
    kind = Kind(math.inf)  # a record's own keys are the columns, however many there are
    parts = []
    first, rows, digest = 0, 0, hashlib.sha256()
    for number, line in enumerate(_lines(source)):
        kind.see(_record(source, number, line))
        digest.update(line)
        rows += 1
        if rows == missions_per_part or number + 1 == source.missions:
            parts.append(Part(first, rows, digest.hexdigest()))
            told(rows)
            first, rows, digest = number + 1, 0, hashlib.sha256()
    return Survey(kind, tuple(parts))


def read_part(source: Source, part: Part) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the records of a part, each with the length of its line in bytes.

    Raises:
        JournalDamaged: the lines are not those that the survey saw.
    """
    digest = hashlib.sha256()
    offset = offset_of(source.layout, part.first)
    lines = read_lines(source.layout, part.first, part.first + part.rows, offset)
    for number, line in enumerate(lines, part.first):
        digest.update(line)
        yield len(line), _record(source, number, line)
    if digest.hexdigest() != part.sha256:
        raise JournalDamaged(source.layout.file(part.first), None, "it changed while it was read")


def _lines(source: Source) -> Iterator[bytes]:
    lines = walk(source.layout, 0, 0)
    for _ in range(source.missions):
        try:
            yield next(lines)
        except StopIteration as end:
            extent: Extent = end.value
            file = source.layout.file(extent.missions)
            raise JournalDamaged(file, extent.line, extent.problem) from None


def _record(source: Source, number: int, line: bytes) -> dict[str, Any]:
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = number - source.layout.file_start(number) + 1
        problem = f"the line is no record: {error}"
        raise JournalDamaged(source.layout.file(number), place, problem) from error


def _lines_in(file: Path) -> int:
    """Count whole lines; of a file that is not there, none."""
    try:
        with file.open("rb") as content:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: content.read(1 << 20), b""))
    except FileNotFoundError:
        return 0
