"""Where the time of a run goes: its steps, done one after the other in one process.

The package's own functions are called as a run calls them, on the missions of one checkpoint.
`throughput.py` prints the result.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final
from unittest.mock import patch

from synexs_async.config import RunConfig
from synexs_async.missions.mission import Block
from synexs_async.missions.statistics import Statistics
from synexs_async.missions.team_block import TeamMission, _Kernel
from synexs_async.storage.checkpoint import Checkpoint, write_checkpoint
from synexs_async.storage.files import GroupFlush
from synexs_async.storage.folder import MISSIONS_PER_FILE, RunFolder
from synexs_async.storage.journal import JournalWriter, Layout, Mark
from synexs_async.storage.progress import timestamp
from synexs_async.storage.protocol import HEADER_BYTES, BatchRows, Setup, decode_request, frame

_MISSIONS_A_JOB: Final = 256  # as a run hands them over at full speed

_Steps = dict[str, list[str]]  # each with parts of it

_MAIN_PROCESS: Final[_Steps] = {
    "simulate": ["draws", "measures", "features"],
    "join blocks": [],
    "journal": ["SHA-256 of the journal"],
    "statistics": [],
    "encode for a worker": [],
}
_WORKER: Final[_Steps] = {
    "decode": [],
    "write batches": [
        "padding",
        "torch.save",
        "create, write and rename",
        "SHA-256 of the file",
        "digest of the content",
    ],
}
_CHECKPOINT: Final[_Steps] = {"flush": [], "write the checkpoint": []}
_REST: Final = {
    "simulate": "ids and lines",
    "journal": "join and write",
    "write batches": "metadata, tensors, entries",
}


def measure_steps(folder: Path, missions: int, repetitions: int) -> list[tuple[str, str]]:
    """Return the rows of a table: each step, and its median in microseconds a mission."""
    seconds = [_time_steps(folder / f"steps{number}", missions) for number in range(repetitions)]
    cost = {step: 1e6 * median(once[step] for once in seconds) for step in seconds[0]}
    rows = []
    for place, steps in (
        ("main process", _MAIN_PROCESS),
        ("worker", _WORKER),
        ("checkpoint, in a thread", _CHECKPOINT),
    ):
        rows.append((place, f"{sum(cost[step] for step in steps):.2f}"))
        for step, parts in steps.items():
            rows.append((f"  {step}", f"{cost[step]:.2f}"))
            rows += [(f"    {part}", f"{cost[part]:.2f}") for part in parts]
            if parts:
                rest = cost[step] - sum(cost[part] for part in parts)
                rows.append((f"    {_REST[step]}", f"{rest:.2f}"))
    return rows


class _Stopwatch:
    """Adds up the seconds that named steps take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def timing(self, step: str) -> Iterator[None]:
        """Count the time of the block."""
        started = perf_counter()
        yield
        self.seconds[step] += perf_counter() - started

    @contextmanager
    def watching(self, step: str, owner: object, function: str) -> Iterator[None]:
        """Count the time of every call to a function of a module or class, in the block."""
        original: Callable[..., Any] = getattr(owner, function)

        def timed(*arguments: Any, **named: Any) -> Any:
            with self.timing(step):
                return original(*arguments, **named)

        with patch.object(owner, function, timed):
            yield


def _time_steps(path: Path, missions: int) -> dict[str, float]:
    """Do what a run does from one checkpoint to the next; return seconds a mission, by step."""
    from synexs_async.storage import batch  # torch

    folder = RunFolder(path)
    folder.path.mkdir()
    folder.create_parts()
    config = RunConfig()
    mission = TeamMission()
    mission.simulate(config.seed, 0, 1)  # makes what all blocks share
    setup = Setup(
        folder=os.fsencode(path),
        parent=os.getppid(),
        batch_size=config.batch_size,
        sequence_length=config.sequence_length,
        feature_columns=len(mission.feature_names),
        batch_metrics=list(mission.batch_metrics),
    )
    layout = Layout(folder, MISSIONS_PER_FILE["journal"], config.batch_size)
    writer, statistics, group = JournalWriter(layout, Mark()), Statistics(), GroupFlush(path)
    watch = _Stopwatch()
    with ExitStack() as watched:
        for step, owner, function in (
            ("draws", _Kernel, "_draw"),
            ("measures", _Kernel, "_measure"),
            ("features", _Kernel, "_features"),
            ("padding", batch, "_pad"),
            ("torch.save", batch, "serialise"),
            ("create, write and rename", batch, "replace_file"),
            ("digest of the content", batch, "content_digest"),
        ):
            watched.enter_context(watch.watching(step, owner, function))
        for first in range(0, missions, _MISSIONS_A_JOB):
            starts = range(first, first + _MISSIONS_A_JOB, mission.block_size)
            with watch.timing("simulate"):
                blocks = [mission.simulate(config.seed, n, mission.block_size) for n in starts]
            with watch.timing("join blocks"):
                block = Block.concatenate(blocks)
            with watch.timing("journal"):
                writer.append(block)
            with watch.timing("statistics"):
                statistics.add(block)
            with watch.timing("encode for a worker"):
                request = frame(BatchRows.of(block))
            with watch.timing("decode"):
                rows = decode_request(request[HEADER_BYTES:])
            assert isinstance(rows, BatchRows)
            with watch.timing("write batches"):
                entries = batch.write_batches(rows, setup)

            data = b"".join(block.lines)
            with watch.timing("SHA-256 of the journal"):
                sha256(data)
            for entry in entries:
                data = (path / entry.file).read_bytes()
                with watch.timing("SHA-256 of the file"):
                    sha256(data)
    with watch.timing("flush"):
        group.flush([], [])
    with watch.timing("write the checkpoint"):
        write_checkpoint(
            folder.checkpoint,
            Checkpoint(writer.mark, statistics),
            timestamp=timestamp(),
            journal_file=layout.file(writer.mark.missions).name,
            batch_size=config.batch_size,
        )
    writer.close()
    group.close()
    return {step: seconds / writer.mark.missions for step, seconds in watch.seconds.items()}
