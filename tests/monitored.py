"""A folder of runs for monitors, each as a run in that state leaves it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from builders import layout_in, missions, tell_that_it_is_complete, write_run
from msgspec.structs import replace

from synexs_async.config import RunConfig, identity_of
from synexs_async.missions.team_block import TeamMission
from synexs_async.storage.folder import RunFile, RunFolder, settle
from synexs_async.storage.progress import (
    OutcomeCounts,
    Progress,
    read_progress,
    write_progress,
)
from synexs_async.storage.series import Sample, SeriesWriter

SAMPLES = 5


def make_run(path: Path, count: int = 12, **told: Any) -> RunFolder:
    """Write a run of the team mission; what it `told` differs from that of a complete one."""
    layout = layout_in(path, missions_per_file=10_000, batch_size=32)
    folder = layout.folder
    settle(folder, RunFile(identity_of(RunConfig(seed=7), TeamMission()), "team-of-tests"))
    write_run(layout, count)
    block = missions(0, count)
    groups: dict[str, list[int]] = {name: [0, 0, 0] for name in TeamMission().group_names}
    for group, outcome in zip(block.groups or (), block.outcomes.tolist(), strict=True):
        groups[group][outcome] += 1
    stats = OutcomeCounts(*(sum(counts) for counts in zip(*groups.values(), strict=True)))
    tell_that_it_is_complete(layout, count, stats)
    tell(
        folder,
        group_by="environment.difficulty",
        groups={name: OutcomeCounts(*counts) for name, counts in groups.items()},
        host=socket.gethostname(),
        pid=os.getpid(),
        **told,
    )
    series = SeriesWriter(folder.series)
    for number in range(SAMPLES):
        series.add(sample(number, count * number // (SAMPLES - 1)))
    log = folder.logs / "training_20260131_235900.log"
    log.write_text(
        f"2026-01-31 23:59:00.000 | INFO     | starting {count} missions, seed 7\n"
        "2026-01-31 23:59:01.000 | DEBUG    | checkpoint saved\n"
        "2026-01-31 23:59:02.000 | ERROR    | mission 3 raised\nTraceback (most recent)\n",
        "utf-8",
    )
    return folder


def tell(folder: RunFolder, **told: Any) -> Progress:
    """Let a run tell something else than before."""
    progress = replace(read_progress(folder.path), **told)
    write_progress(folder.progress, progress)
    return progress


def sample(number: int, reached: int) -> Sample:
    """Return a sample of a run, ten seconds behind the one before."""
    return Sample(
        time=1_770_000_000.0 + 10 * number,
        elapsed_seconds=10.0 * number,
        missions=reached,
        success_count=reached,
        failure_count=0,
        abort_count=0,
        error_count=0,
        loop_lag_ms=0.5,
        rss_bytes=50_000_000,
        blocks_waiting=1,
        batches_waiting=2,
        batches_written=reached // 32,
        checkpoint_missions=reached,
    )
