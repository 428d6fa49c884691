"""What a run writes, built step by step without one: journal, batches, ledger, checkpoint, index.

A run of the tests has 10 missions a journal file and 4 a batch, so that borders of files and of
batches fall together only now and then.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path

from datasets import everything

from synexs_async import Block, RunConfig, TeamMission
from synexs_async.config import identity_of
from synexs_async.missions.failed import error_block, read_block
from synexs_async.missions.mission import OUTCOME_NAMES, Mission
from synexs_async.missions.statistics import Statistics
from synexs_async.missions.team_features import FEATURE_NAMES
from synexs_async.storage.batch import write_batches
from synexs_async.storage.checkpoint import Checkpoint, write_checkpoint
from synexs_async.storage.folder import Identity, RunFile, RunFolder, settle
from synexs_async.storage.index import write_index
from synexs_async.storage.journal import JournalWriter, Layout, Mark, read_lines
from synexs_async.storage.ledger import Entry, Ledger
from synexs_async.storage.progress import OutcomeCounts, Progress, write_progress
from synexs_async.storage.protocol import BatchRows, Setup
from synexs_async.storage.recovery import Recovery, repair

SEED = 7
MISSIONS_PER_FILE = 10
BATCH_SIZE = 4
SEQUENCE_LENGTH = 6
TIME = "2026-01-31T23:59:59.123+00:00"

MISSION: Mission = TeamMission()


def layout_in(
    path: Path, missions_per_file: int = MISSIONS_PER_FILE, batch_size: int = BATCH_SIZE
) -> Layout:
    """Make an empty run folder with short files."""
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    folder.create_parts()
    return Layout(folder, missions_per_file, batch_size)


@contextmanager
def new_layout(
    missions_per_file: int = MISSIONS_PER_FILE, batch_size: int = BATCH_SIZE
) -> Iterator[Layout]:
    """Make an empty run folder for one example of a property."""
    with tempfile.TemporaryDirectory() as path:
        yield layout_in(Path(path), missions_per_file, batch_size)


@contextmanager
def nothing_changes(folder: Path) -> Iterator[None]:
    """See that the folder is afterwards what it was before, byte for byte."""
    before = everything(folder)
    yield
    assert before == everything(folder)


def missions(first: int, end: int) -> Block:
    """Simulate missions `first` to `end - 1`."""
    return MISSION.simulate(SEED, first, end - first)


def missions_with_errors(first: int, end: int, failed: Iterable[int]) -> Block:
    """Simulate missions of which some raised."""
    errors = set(failed)
    return Block.concatenate(
        [
            error_block(MISSION, SEED, index, "ValueError")
            if index in errors
            else missions(index, index + 1)
            for index in range(first, end)
        ]
    )


def split(block: Block, borders: Iterable[int]) -> list[Block]:
    """Cut a block at these places, each a number of its missions."""
    places = sorted({0, len(block), *borders})
    return [block[start:end] for start, end in pairwise(places)]


def rows_of(block: Block) -> BatchRows:
    """Return what a worker is handed to make batches of."""
    return BatchRows.of(block)


def setup_of(layout: Layout, sequence_length: int = SEQUENCE_LENGTH) -> Setup:
    """Return what a worker is told first."""
    return Setup(
        folder=os.fsencode(layout.folder.path),
        parent=0,
        batch_size=layout.batch_size,
        sequence_length=sequence_length,
        feature_columns=len(FEATURE_NAMES),
        batch_metrics=list(MISSION.batch_metrics),
    )


def begun_run(path: Path) -> Path:
    """Make the folder of a run that has told nothing yet."""
    path.mkdir(parents=True, exist_ok=True)
    settle(RunFolder(path), RunFile(identity_of_tests(), "team"))
    return path


def identity_of_tests() -> Identity:
    """Return the identity of the runs that the tests build."""
    config = RunConfig(seed=SEED, batch_size=BATCH_SIZE, sequence_length=SEQUENCE_LENGTH)
    return identity_of(config, MISSION)


class Work:
    """A session of a run as plain calls: from a mark on, in blocks, with checkpoints."""

    def __init__(self, layout: Layout, checkpoint: Checkpoint) -> None:
        self.layout = layout
        self.statistics = checkpoint.statistics
        self.writer = JournalWriter(layout, checkpoint.mark)
        self.ledger = Ledger(layout.folder.ledger)
        self._waiting = read_waiting(layout, checkpoint.mark)

    def commit(self, block: Block, *, already_there: bool = False) -> None:
        """Write a block to the journal, and the batches that are whole now."""
        add = self.writer.pass_over if already_there else self.writer.append
        self.ledger.append(add(block))
        self.statistics.add(block)
        self._waiting.append(block)
        rows = Block.concatenate(self._waiting)
        whole = self.layout.batch_start(rows.end) - rows.first
        if whole:
            self.ledger.append(write_batches(rows_of(rows[:whole]), setup_of(self.layout)))
        self._waiting = [rows[whole:]] if whole < len(rows) else []

    def checkpoint(self, dataset_sha256: str = "", last_batch_size: int = 0) -> None:
        """Write the checkpoint."""
        mark = self.writer.mark
        write_checkpoint(
            self.layout.folder.checkpoint,
            Checkpoint(mark, self.statistics, 1.5, dataset_sha256, last_batch_size),
            timestamp=TIME,
            journal_file=self.layout.file(mark.missions).name,
            batch_size=self.layout.batch_size,
        )

    def finish(self) -> str:
        """Write the short batch, the index and the last checkpoint; return the digest."""
        last: list[Entry] = []
        if self._waiting:
            rows = Block.concatenate(self._waiting)
            last += write_batches(rows_of(rows), setup_of(self.layout))
        last_batch_size = last[0].size if last else 0
        if entry := self.writer.last_file():
            last.append(entry)
        digest = write_index(
            self.layout.folder,
            identity_of_tests(),
            missions=self.writer.mark.missions,
            feature_names=FEATURE_NAMES,
            label_names=OUTCOME_NAMES,
            last=last,
            created=TIME,
            cuda_available=False,
        )
        self.checkpoint(digest, last_batch_size)
        counts = OutcomeCounts(**self.statistics.counts())
        tell_that_it_is_complete(self.layout, self.writer.mark.missions, counts)
        self.writer.close()
        return digest


def tell_that_it_is_complete(
    layout: Layout, missions: int, stats: OutcomeCounts | None = None
) -> None:
    """Write the progress file of a complete run."""
    progress = Progress(
        timestamp=TIME,
        status="completed",
        mission_current=missions,
        mission_total=missions,
        progress_percent=100.0,
        elapsed_seconds=1.5,
        rate_missions_per_sec=10.0,
        eta_seconds=0.0,
        stats=stats or OutcomeCounts(),
        seed=SEED,
        pid=1,
        host="",
        checkpoint_missions=missions,
        batches_written=0,
        loop_lag_ms=0.0,
        rss_bytes=0,
    )
    write_progress(layout.folder.progress, progress)


def read_waiting(layout: Layout, mark: Mark) -> list[Block]:
    """Read the missions before a mark that wait for a batch."""
    first = layout.batch_start(mark.missions)
    if first == mark.missions:
        return []
    return [read_block(MISSION, first, committed(layout, first, mark.missions, mark.batch_offset))]


def committed(layout: Layout, first: int, end: int, offset: int) -> Sequence[bytes]:
    """Read lines that must be there."""
    return list(read_lines(layout, first, end, offset))


def write_run(
    layout: Layout, count: int, checkpoint_at: int | None = None, *, finish: bool = False
) -> None:
    """Leave what a run leaves that ends after `count` missions, complete or not.

    Whatever comes ahead of the checkpoint is in the folder too, ledger and batches as well.
    """
    work = Work(layout, Checkpoint(Mark(), Statistics.of(TeamMission())))
    for block in split(missions(0, count), [checkpoint_at or 0]) if count else []:
        work.commit(block)
        if block.end == checkpoint_at:
            work.checkpoint()
    if finish:
        work.finish()
    work.writer.close()


def go_on(layout: Layout, recovery: Recovery, total: int) -> str:
    """Take a run on from what was found in its folder to its end; return the digest."""
    repair(layout, recovery)
    rebuilt: list[Entry] = []
    for number in recovery.missing_batches:
        first = number * layout.batch_size
        lines = list(islice(all_lines(layout, first), layout.batch_size))
        rebuilt += write_batches(rows_of(read_block(MISSION, first, lines)), setup_of(layout))
    if rebuilt:
        Ledger(layout.folder.ledger).insert(rebuilt)

    mark, there = recovery.checkpoint.mark, recovery.extent.missions
    work = Work(layout, recovery.checkpoint)
    if there > mark.missions:
        lines = list(read_lines(layout, mark.missions, there, mark.offset))
        work.commit(read_block(MISSION, mark.missions, lines), already_there=True)
    if total > there:
        work.commit(missions(there, total))
    return work.finish()


def all_lines(layout: Layout, first: int) -> Iterator[bytes]:
    """Read the journal's lines from mission `first` on, the plain way."""
    files = sorted(layout.folder.missions.iterdir())
    lines = b"".join(file.read_bytes() for file in files).splitlines(keepends=True)
    return iter(lines[first:])
