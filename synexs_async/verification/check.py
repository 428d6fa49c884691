"""Checking a run: one way through its journal, with worker processes that compare the batches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from synexs_async.missions.mission import Block
from synexs_async.storage.index import digests_in_index
from synexs_async.storage.ledger import Entry, Ledger
from synexs_async.storage.protocol import BatchRows, BatchState, Written
from synexs_async.tasks.pool import CALLS_A_WORKER
from synexs_async.verification.claims import Claims, read_claims
from synexs_async.verification.differences import Differences
from synexs_async.verification.recorded import RecordedRun
from synexs_async.verification.summaries import (
    compare_checkpoint,
    compare_index,
    compare_ledger,
    compare_progress,
)
from synexs_async.verification.truth import Known, Truth


class BatchWorkers(Protocol):
    """Who knows batches: the worker pool."""

    async def check(self, rows: BatchRows) -> list[BatchState]:
        """Compare batches with what is in their files."""

    async def write(self, rows: BatchRows) -> Written:
        """Write batches."""


class Check:
    """One way through a run's folder: what it says, what it should hold, and what differs.

    Attributes:
        claims: what the folder says of itself.
        truth: what it should hold.
        differences: what differs.
        notes: what is worth knowing, and no difference.
        bad_batches: numbers of the batches that must be written again.
        checked_batches: how many batches were compared.
        other_builds: how many of them have just another container around the same content.
        digest: that of the data set, where it is complete.
    """

    def __init__(self, run: RecordedRun, share: float, scratch: Path) -> None:
        self._run = run
        self.claims: Claims = read_claims(run.layout)
        self.differences = Differences()
        self.notes: list[str] = []
        self.truth = Truth(
            run.layout,
            run.identity.seed,
            run.mission,
            self.claims,
            share,
            scratch,
            self.differences,
            self.notes,
        )
        self.bad_batches: list[int] = []
        self.checked_batches = 0
        self.other_builds = 0
        self.digest = ""
        self._known = Known(run.layout.folder.ledger, batches=True)

    @cached_property
    def _in_index(self) -> dict[str, str]:
        return digests_in_index(self._run.layout.folder)

    async def run(self, pool: BatchWorkers, workers: int) -> None:
        """Go through the folder."""
        blocks = self.truth.tell()
        done: dict[int, tuple[Block, list[BatchState]]] = {}
        send, receive = anyio.create_memory_object_stream[Block](0)
        order = anyio.Lock()
        position = 0

        async def produce(jobs: MemoryObjectSendStream[Block]) -> None:
            async with jobs:
                while (block := await anyio.to_thread.run_sync(next, blocks, None)) is not None:
                    await jobs.send(block)

        async def consume(jobs: MemoryObjectReceiveStream[Block]) -> None:
            nonlocal position
            async with jobs:
                async for block in jobs:
                    rows = BatchRows.of(block)
                    states = await pool.check(rows) if self._run.layout.has_batches else []
                    async with order:
                        done[block.first] = block, states
                        while position in done:
                            ready, its_states = done.pop(position)
                            await anyio.to_thread.run_sync(self._judge, its_states)
                            position = ready.end

        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(produce, send)
            for _ in range(workers * CALLS_A_WORKER):
                tasks.start_soon(consume, receive.clone())
        await anyio.to_thread.run_sync(self._compare_summaries)

    def _judge(self, states: list[BatchState]) -> None:
        """Take the states of batches in their order."""
        for state in states:
            entry = state.entry
            self.checked_batches += 1
            if state.problem is not None:
                field, expected, found = state.problem
                self._name_batch(entry, field, expected, found, state.row)
            elif not state.same_bytes:
                known = self._known.entry(entry.first)
                sha256 = known.sha256 if known else self._in_index.get(entry.file)
                if sha256 is not None and sha256 != entry.sha256:
                    self._name_batch(entry, "sha256", sha256, entry.sha256)
                else:
                    self.other_builds += 1
        self.truth.batches.append(state.entry for state in states)

    def _name_batch(
        self, entry: Entry, field: str, expected: str, found: str, row: int | None = None
    ) -> None:
        self.differences.add(entry.file, expected, found, field=field, row=row)
        self.bad_batches.append(entry.first // self._run.layout.batch_size)

    def _compare_summaries(self) -> None:
        run, claims, truth = self._run, self.claims, self.truth
        layout, folder = run.layout, run.layout.folder
        if truth.raising:
            self.notes.append(
                f"{truth.raising:,} missions raise when they are simulated here; their records "
                "were held against digests and batches alone"
            )
        if truth.claimed is None:
            self.notes.append(
                f"mission {truth.lost} is not in the journal and can't be simulated here: what "
                "comes after it was not checked"
            )
            return
        compare_ledger(
            Ledger(folder.ledger),
            whole_files(truth.journals, layout.missions_per_file),
            whole_files(truth.batches, layout.batch_size),
            self.differences,
            is_closed=claims.is_finished,
        )
        if claims.is_finished:
            self._note_what_is_behind()
            self.digest = compare_index(
                layout, run.identity, run.mission, claims, truth, self.differences
            )
        compare_checkpoint(layout, claims, truth, self.digest, self.differences)
        compare_progress(claims, truth, self.differences)

    def _note_what_is_behind(self) -> None:
        """Note batches of no mission, which who loads all files of the folder would load too."""
        folder = self._run.layout.folder
        total = -(-self.claims.missions // self._run.layout.batch_size)
        names = (file.stem.removeprefix("batch_") for file in folder.batches.glob("batch_*.pt"))
        surplus = [int(name) for name in names if name.isdecimal() and int(name) >= total]
        if surplus:
            name = folder.batch_file(min(surplus)).name
            self.notes.append(
                f"batches/{name}: behind the last batch, and no part of the data set "
                f"({len(surplus):,} such files)"
            )


def whole_files(ledger: Ledger, missions: int) -> Iterator[Entry]:
    """Return the entries of files that won't grow."""
    return (entry for entry in ledger.entries() if entry.missions == missions)
