"""Mending a run's folder: what is damaged is written again from what is still true.

The lowest comes first: journal files, then batches, then what sums them up. After each the folder
is checked anew, so that nothing is ever made from what was damaged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import ne
from typing import Final

import anyio.to_thread
import msgspec

from synexs_async.missions.failed import error_block, is_error
from synexs_async.missions.simulation import Raised, simulate_parts
from synexs_async.storage.checkpoint import write_checkpoint
from synexs_async.storage.files import GroupFlush, replace_file
from synexs_async.storage.index import digests_in_index, write_index
from synexs_async.storage.journal import JournalReader, block_of
from synexs_async.storage.ledger import Ledger
from synexs_async.storage.progress import OutcomeCounts, group_counts, timestamp, write_progress
from synexs_async.storage.protocol import BatchRows
from synexs_async.verification.check import BatchWorkers, Check, whole_files
from synexs_async.verification.lines import FileMap, map_file
from synexs_async.verification.recorded import RecordedRun
from synexs_async.verification.summaries import true_checkpoint
from synexs_async.verification.truth import Known

_MISSIONS_AT_ONCE: Final = 256
_CUT_SHORT: Final = (b'"error":"TimeoutError"', b'"error":"ProcessEnded"')


@dataclass(frozen=True, slots=True)
class Mending:
    """What was mended, and what could not be: a sentence each."""

    done: list[str]
    refused: list[str]


async def mend(run: RecordedRun, check: Check, pool: BatchWorkers) -> Mending:
    """Write again the lowest of what a check has found damaged; the folder must be locked."""
    if check.truth.bad_files:
        return await anyio.to_thread.run_sync(_mend_journal, run, check)
    if check.truth.claimed is None:
        return Mending([], [])
    if check.bad_batches:
        return await _mend_batches(run, check, pool)
    return await anyio.to_thread.run_sync(_mend_summaries, run, check)


def _mend_journal(run: RecordedRun, check: Check) -> Mending:
    mending = Mending([], [])
    for first in sorted(check.truth.bad_files):
        done, sentence = _JournalFile(run, check, first).mend()
        (mending.done if done else mending.refused).append(sentence)
    return mending


class _JournalFile:
    """A journal file that is to be written again."""

    def __init__(self, run: RecordedRun, check: Check, first: int) -> None:
        claims = check.claims
        self._run = run
        self._claims = claims
        self._map: FileMap = map_file(
            run.layout, first, claims.records, is_closed=claims.is_finished, offset=0
        )
        self._end = self._map.committed if claims.is_finished else self._map.records_end
        self._there = self._map.read(first, self._end)
        self._simulated: list[bytes | None] = []
        self._raised: list[bytes | None] = []
        for start in range(0, len(self._there), _MISSIONS_AT_ONCE):
            lines = self._there[start : start + _MISSIONS_AT_ONCE]
            for was_cut_short, group in groupby(lines, _was_cut_short):
                own = list(group)
                if was_cut_short:
                    self._simulated += [None] * len(own)
                    self._raised += own
                else:
                    self._simulate(first + len(self._simulated), len(own))

    def mend(self) -> tuple[bool, str]:
        """Write the file again if that can be done; return whether it was, and a sentence."""
        name, known = self._map.name, self._known()
        errors = [line if line and is_error(line) else None for line in self._there]
        # Where nobody knows a digest, records that do come out the same say that the others will.
        trusted = not known and any(map(_same, self._there, self._simulated))
        for order in (
            (errors, self._simulated, self._there, self._raised),
            (self._there, self._simulated, self._raised),
            (self._simulated, self._raised),
        ):
            lines = [next(filter(None, choices)) for choices in zip(*order, strict=True)]
            confirmed = known.get(self._digest(lines))
            if confirmed is None and not trusted:
                continue
            if hashlib.sha256(b"".join(lines)).hexdigest() == self._map.sha256:
                continue  # it is as it was committed already
            count = sum(map(ne, lines, self._there))
            replace_file(self._map.file, lines, durable=True)
            witness = f"{confirmed} has its digest" if confirmed else "no digest of it is known"
            return True, f"{name}: written again, {count:,} of its records simulated; {witness}"
        return False, (
            f"{name}: left as it is, as neither its records nor simulating them gives what was "
            "committed; restore it from a copy"
        )

    def _simulate(self, first: int, count: int) -> None:
        """Simulate missions; of one that raises, make its error record."""
        mission, seed = self._run.mission, self._run.identity.seed
        for part in simulate_parts(mission, seed, first, count):
            if isinstance(part, Raised):
                self._simulated.append(None)
                self._raised += error_block(mission, seed, part.index, part.error).lines
            else:
                self._simulated += part.lines
                self._raised += [None] * len(part)

    def _known(self) -> dict[str, str]:
        """Return who knows a digest of the file, by digest."""
        folder, first = self._run.layout.folder, self._map.first
        claims = self._claims
        known = {}
        if index := digests_in_index(folder).get(self._map.name):
            known[index] = "the index"
        if self._map.end <= claims.missions:
            if entry := Known(folder.ledger, batches=False).entry(first):
                known[entry.sha256] = "the ledger"
        elif claims.checkpoint is not None and claims.missions > first:
            known[claims.checkpoint.journal.sha256] = "the checkpoint"
        return known

    def _digest(self, lines: Sequence[bytes]) -> str:
        """Return the digest of those lines that are known by one."""
        committed = max(min(self._map.end, self._claims.missions) - self._map.first, 0)
        if self._claims.checkpoint is None and committed < len(lines):
            committed = len(lines)
        return hashlib.sha256(b"".join(lines[:committed])).hexdigest()


def _was_cut_short(line: bytes | None) -> bool:
    """Whether a line records a mission that was cut short, and so may not end by itself."""
    return line is not None and is_error(line) and any(name in line for name in _CUT_SHORT)


def _same(one: bytes | None, other: bytes | None) -> bool:
    return one is not None and one == other


async def _mend_batches(run: RecordedRun, check: Check, pool: BatchWorkers) -> Mending:
    layout = run.layout
    done: list[str] = []
    reader = JournalReader(layout, 0)

    def read(first: int) -> BatchRows:
        nonlocal reader
        if first != reader.position:
            reader = JournalReader(layout, first)
        lines = reader.read(min(first + layout.batch_size, check.claims.missions))
        return BatchRows.of(block_of(layout, run.mission, first, lines))

    for number in check.bad_batches:
        rows = await anyio.to_thread.run_sync(read, number * layout.batch_size)
        entries = (await pool.write(rows)).entries
        done += [f"{entry.file}: written again from the journal" for entry in entries]
    await anyio.to_thread.run_sync(_flush, run)
    return Mending(done, [])


def _mend_summaries(run: RecordedRun, check: Check) -> Mending:
    layout, folder = run.layout, run.layout.folder
    claims, truth = check.claims, check.truth
    assert truth.claimed is not None
    done = []

    def is_bad(name: str) -> bool:
        return check.differences.in_files(lambda file: file == name) > 0

    if is_bad("ledger.jsonl"):
        batches = whole_files(truth.batches, layout.batch_size)
        journals = whole_files(truth.journals, layout.missions_per_file)
        Ledger(folder.ledger).replace([*batches, *journals])
        done.append("ledger.jsonl: written again from the files that it lists")
    if is_bad("batches/training_index.json"):
        parts = [*truth.journals.entries(), *truth.batches.entries()]
        index = claims.index
        write_index(
            folder,
            run.identity,
            missions=claims.missions,
            feature_names=run.mission.feature_names,
            label_names=run.mission.label_names,
            last=[
                entry
                for entry in parts
                if entry.missions
                < (layout.batch_size if entry.is_batch else layout.missions_per_file)
            ],
            created=index.created if index else timestamp(),
            cuda_available=index is not None and index.cuda_available,
        )
        done.append("batches/training_index.json: written again from the files that it lists")
    if is_bad("checkpoint.json"):
        _flush(run)
        write_checkpoint(
            folder.checkpoint,
            true_checkpoint(layout, claims, truth, check.digest),
            timestamp=timestamp(),
            journal_file=layout.file(claims.missions).name,
            batch_size=layout.missions_per_batch,
        )
        done.append(f"checkpoint.json: written again, for {claims.missions:,} missions")
    if is_bad("progress.json") and claims.progress is not None:
        counts = truth.claimed.statistics if claims.is_finished else truth.counts
        assert counts is not None
        progress = msgspec.structs.replace(
            claims.progress,
            mission_current=counts.missions,
            stats=OutcomeCounts(**counts.counts()),
            groups=group_counts(counts) if claims.progress.group_by else {},
        )
        write_progress(folder.progress, progress)
        done.append("progress.json: its counts written again from the journal")
    return Mending(done, [])


def _flush(run: RecordedRun) -> None:
    """Bring all that was written to disk."""
    folder = run.layout.folder
    flush = GroupFlush(folder.path, folder.missions, folder.batches)
    try:
        files = [*folder.missions.iterdir(), *folder.batches.iterdir(), folder.ledger]
        existing = (file for file in files if file.is_file())
        flush.flush(existing, [folder.missions, folder.batches, folder.path])
    finally:
        flush.close()
