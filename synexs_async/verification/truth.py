"""What a run's folder should hold: told again from the journal, and from simulating missions.

The truth of a line is what simulating its mission gives; where it is not simulated again, the line
itself is. All else follows from the lines: batches, entries, statistics, the mark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from synexs_async.missions.failed import decode_error, error_block, is_error, read_block
from synexs_async.missions.mission import ERROR_OUTCOME, Block, Mission
from synexs_async.missions.simulation import Raised, simulate_parts
from synexs_async.missions.statistics import Statistics
from synexs_async.storage.index import digests_in_index
from synexs_async.storage.journal import JournalWriter, Layout, Mark, journal_files
from synexs_async.storage.ledger import Entry, Ledger
from synexs_async.verification.claims import Claims
from synexs_async.verification.differences import Differences, difference_of_lines
from synexs_async.verification.lines import FileMap, JournalMap

_MISSIONS_A_PIECE: Final = 256


@dataclass(frozen=True, slots=True)
class Point:
    """The run at a moment: its journal's mark, and the statistics of the missions before it."""

    mark: Mark
    statistics: Statistics


class Truth:
    """Goes through a run's journal, names what is wrong in it, and tells what follows from it.

    Attributes:
        journals: what the ledger entries of the journal files should be; also the last one's.
        batches: what those of the batches should be, as far as they have been checked.
        missions: how many missions there are, those ahead of the claim too.
        simulated: how many of them were simulated again.
        bad_files: first missions of the journal files that must be mended.
        claimed: the run at the missions that must be there.
        counts: the statistics at the missions that monitors were told of, if they are there.
        raising: how many records could not be simulated here, and are taken as they are.
        lost: the first mission that is neither in the journal nor can be simulated.
    """

    def __init__(
        self,
        layout: Layout,
        seed: int,
        mission: Mission,
        claims: Claims,
        share: float,
        scratch: Path,
        differences: Differences,
        notes: list[str],
    ) -> None:
        self._layout = layout
        self._seed = seed
        self._mission = mission
        self._claims = claims
        self._share = share
        self._differences = differences
        self._notes = notes
        self._map = JournalMap(
            layout,
            claims.records,
            is_closed=claims.is_finished,
            offset=claims.checkpoint.journal.offset if claims.checkpoint else 0,
            meet=self._meet,
        )
        self._indexed: dict[str, str] | None = None
        self._known = Known(layout.folder.ledger, batches=False)
        self._statistics = Statistics.of(mission)
        self._told = claims.progress.mission_current if claims.progress else -1
        self._writer = JournalWriter(layout, Mark())
        self.journals = Ledger(scratch / "journals.jsonl")
        self.batches = Ledger(scratch / "batches.jsonl")
        self.missions = 0
        self.simulated = 0
        self.bad_files: set[int] = set()
        self.claimed: Point | None = None
        self.counts: Statistics | None = None
        self.raising = 0
        self.lost: int | None = None

    def tell(self) -> Iterator[Block]:
        """Go through the journal, and give the missions of the batches that must be there."""
        with closing(self._known):
            yield from self._tell()

    def _tell(self) -> Iterator[Block]:
        claims = self._claims
        whole = claims.missions
        if not claims.is_finished:
            whole = self._layout.batch_start(whole)
        self._count(None)
        for first, end in self._pieces(0, claims.missions):
            block = self._settle(first, end, is_last=end == claims.missions)
            if block is None:
                self.lost = first
                return
            self.journals.append(self._writer.pass_over(block))
            self._count(block)
            rows = block[: max(whole - first, 0)]
            if len(rows):
                yield rows
        self.claimed = Point(self._writer.mark, copy(self._statistics))
        last = self._writer.last_file()
        self.journals.append([last] if last else [])
        self._go_ahead()

    def _pieces(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        size = self._layout.batch_size
        step = max(_MISSIONS_A_PIECE // size, 1) * size
        for start in range(first, end, step):
            yield start, min(start + step, end)

    def _count(self, block: Block | None) -> None:
        """Add a block to the statistics, and keep those at what monitors were told."""
        if block is not None:
            self.missions = block.end
            if block.first < self._told < block.end:
                border = self._told - block.first
                self._statistics.add(block[:border])
                self.counts = copy(self._statistics)
                block = block[border:]
            self._statistics.add(block)
        if self._statistics.missions == self._told:
            self.counts = copy(self._statistics)

    def _go_ahead(self) -> None:
        """Go through what the journal holds ahead of the claim, in order."""
        first = self._claims.missions
        (found,) = self._map.between(first, first + 1)
        while first < found.next:
            for start, end in self._pieces(first, found.next):
                block = self._settle(start, end, is_last=end == found.next and not found.is_full)
                if block is None:
                    self.lost = start
                    return
                self._count(block)
            first = found.next
            if found.is_full:
                (found,) = self._map.between(first, first + 1)
        self._look_behind(found)

    def _look_behind(self, found: FileMap) -> None:
        """Say what follows the last record: a run that goes on writes it, or a start cuts it."""
        if self._claims.is_finished:
            for first in sorted(journal_files(self._layout)):
                if first > found.first:
                    name = f"missions/{self._layout.folder.journal_file(first).name}"
                    self._differences.add(name, "no file", "one behind the last record")
        if found.behind is not None:
            number, expected, there = found.behind
            self._notes.append(
                f"{found.name}, line {number}: expected {expected}, found {there}; a run that goes "
                "on is writing it, or the next start cuts it off"
            )

    def _settle(self, first: int, end: int, *, is_last: bool) -> Block | None:
        """Find out what the records of missions should be; None where nobody can tell."""
        files = self._map.between(first, end)
        lines = [line for file in files for line in file.read(first, end)]
        whole = [line for line in lines if line is not None]
        if (
            self._share < 1
            and len(whole) == len(lines)
            and not any(file.is_suspect for file in files)
            and (block := self._read(first, whole)) is not None
        ):
            return self._settle_by_sample(block, is_last=is_last)
        return self._settle_by_simulating(first, lines)

    def _read(self, first: int, lines: list[bytes]) -> Block | None:
        """Make the block of lines; None where one is no record of this kind, whatever it says."""
        try:
            with np.errstate(all="ignore"):
                block = read_block(self._mission, first, lines)
        except (Exception, SystemExit):
            return None
        raised = [outcome == ERROR_OUTCOME for outcome in block.outcomes.tolist()]
        return block if raised == [is_error(line) for line in lines] else None

    def _settle_by_sample(self, block: Block, *, is_last: bool) -> Block:
        parts, done = [], 0
        for position, line in enumerate(block.lines):
            index = block.first + position
            is_end = is_last and index == block.end - 1
            if index == 0 or is_end or self._is_in_sample(index):
                settled = self._settle_by_simulating(index, [line])
                parts += [block[done:position], settled or block[position : position + 1]]
                done = position + 1
        return Block.concatenate([part for part in (*parts, block[done:]) if len(part)])

    def _settle_by_simulating(self, first: int, lines: Sequence[bytes | None]) -> Block | None:
        parts: list[Block] = []
        for stands, group in groupby(lines, _is_error_record):
            own = list(group)
            if stands:
                parts += [self._settle_error(k, line) for k, line in enumerate(own, first) if line]
            else:
                for part in self._settle_others(first, own):
                    if part is None:
                        return None
                    parts.append(part)
            first += len(own)
        return Block.concatenate(parts)

    def _settle_error(self, index: int, line: bytes) -> Block:
        """An error record stands: what raised then need not raise here, or may never end."""
        try:
            error = decode_error(line).error
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            self._name_line(index, "", "an error record", f"a line that is none ({problem})")
            return error_block(self._mission, self._seed, index, "")
        block = error_block(self._mission, self._seed, index, error)
        if line != block.lines[0]:
            self._name_line(index, *difference_of_lines(block.lines[0], line))
        elif self._map.of(index).wanted:
            self._name_line(index, "", "the bytes that were committed", "perhaps others")
        return block

    def _settle_others(self, first: int, lines: Sequence[bytes | None]) -> Iterator[Block | None]:
        """Hold lines against what simulating their missions gives."""
        for part in simulate_parts(self._mission, self._seed, first, len(lines)):
            if isinstance(part, Raised):
                yield self._settle_raising(part, lines[part.index - first])
                continue
            for index, line in enumerate(lines[part.first - first : part.end - first], part.first):
                right = part.lines[index - part.first]
                if line is not None and line != right:
                    self._name_line(index, *difference_of_lines(right, line))
            self.simulated += len(part)
            yield part

    def _settle_raising(self, raised: Raised, line: bytes | None) -> Block | None:
        """Take the line of a mission that can't be simulated here as it is."""
        if line is None:
            return None
        index = raised.index
        file = self._map.of(index)
        block = self._read(index, [line])
        if block is None or (file.wanted and file.first not in self.bad_files):
            found = f"one that raises {raised.sentence}"
            self._name_line(index, "", "a mission that can be simulated", found)
        self.raising += 1
        return block

    def _name_line(self, index: int, field: str, expected: str, found: str) -> None:
        file = self._map.of(index)
        number = file.places[index].number
        self._differences.add(file.name, expected, found, line=number, field=field)
        self.bad_files.add(file.first)

    def _is_in_sample(self, index: int) -> bool:
        """Choose missions evenly, and the same ones each time."""
        digest = hashlib.blake2b(index.to_bytes(8, "little"), digest_size=8).digest()
        return int.from_bytes(digest, "little") < self._share * 2**64

    def _meet(self, found: FileMap) -> None:
        """Name what is odd about a file, and find out whether its bytes are known to be right."""
        for oddity in found.oddities:
            self._differences.add(found.name, oddity.expected, oddity.found, line=oddity.number)
            self.bad_files.add(found.first)
        found.wanted = self._wanted_digest(found)
        found.is_suspect = found.wanted is not None or bool(found.oddities)

    def _wanted_digest(self, found: FileMap) -> str | None:
        """Return the digest that a file should have; None where it has it, "" where none is known.

        Of the file that the next record belongs to, it is that of the committed part.
        """
        checkpoint = self._claims.checkpoint
        if found.end <= self._claims.missions:
            entry = self._known.entry(found.first)
            wanted, there = entry.sha256 if entry else "", found.sha256
        else:
            wanted, there = checkpoint.journal.sha256 if checkpoint else "", found.sha256_at
        if there == wanted or (self._claims.is_finished and self._in_index(found) == found.sha256):
            return None
        return wanted

    def _in_index(self, found: FileMap) -> str | None:
        if self._indexed is None:
            self._indexed = digests_in_index(self._layout.folder)
        return self._indexed.get(found.name)


def _is_error_record(line: bytes | None) -> bool:
    return line is not None and is_error(line)


class Known:
    """What the ledger says of the files of one kind, asked for in their order."""

    def __init__(self, ledger: Path, *, batches: bool) -> None:
        self._entries = (entry for entry in Ledger(ledger).entries() if entry.is_batch == batches)
        self._next: Entry | None = None

    def close(self) -> None:
        """Let go of the ledger's file."""
        self._entries.close()

    def entry(self, first: int) -> Entry | None:
        """Return the entry of the file that begins with mission `first`, if there is one."""
        while self._next is None or self._next.first < first:
            try:
                self._next = next(self._entries, None)
            except OSError:
                return None
            if self._next is None:
                return None
        return self._next if self._next.first == first else None
