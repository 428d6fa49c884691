"""The progress reporter: progress file and series, milestones in the log, the loop's own delay."""

from __future__ import annotations

import os
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Final

import anyio

from synexs_async.events import Milestone
from synexs_async.storage.folder import RunFolder
from synexs_async.storage.progress import (
    OutcomeCounts,
    Progress,
    RunStatus,
    group_counts,
    timestamp,
    write_progress,
)
from synexs_async.storage.series import Sample, SeriesWriter
from synexs_async.tasks.broadcast import Broadcast
from synexs_async.tasks.checkpointing import Checkpointing
from synexs_async.tasks.flushing import Flushing
from synexs_async.tasks.journaling import Journaling
from synexs_async.tasks.threads import run_in_thread

if TYPE_CHECKING:
    from loguru import Logger

_LONGEST_SILENCE: Final = 2.0  # monitors call a file that is much older dead
_SHORTEST_PAUSE: Final = 0.25
_HEARTBEAT: Final = 0.02
_MILESTONES: Final = 10
_STATM: Final = Path("/proc/self/statm")


class Reporting:
    """Tells how a session stands."""

    def __init__(
        self,
        folder: RunFolder,
        journaling: Journaling,
        flushing: Flushing,
        checkpointing: Checkpointing,
        log: Logger,
        events: Broadcast,
        *,
        already_there: int,
        told: Progress | None,
        total: int,
        seed: int,
        interval: int,
        group_by: str,
        elapsed: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._series: SeriesWriter | None = None
        self._journaling = journaling
        self._flushing = flushing
        self._checkpointing = checkpointing
        self._log = log
        self._events = events
        self._already_there = already_there
        self._told = told
        self._total = total
        self._seed = seed
        self._interval = interval
        self._group_by = group_by
        self._elapsed = elapsed
        self._elapsed_before = elapsed()
        self._worst_lag = 0.0
        self._file_failed = False
        self.status: RunStatus = "running"

    async def run(self) -> None:
        """Report until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch_loop)
            tasks.start_soon(self._log_milestones)
            while True:
                await self.write()
                step = max(self._interval // 5, 1)
                await anyio.sleep(_SHORTEST_PAUSE)
                with anyio.move_on_after(_LONGEST_SILENCE - _SHORTEST_PAUSE):
                    await self._journaling.committed.reached(self._written_at + step)

    def snapshot(self) -> Progress:
        """Return how the session stands now; at its beginning, no less than the last one told."""
        missions = self._journaling.committed.value
        statistics = self._journaling.snapshot.statistics
        stats, groups = OutcomeCounts(**statistics.counts()), group_counts(statistics)
        group_by = "" if statistics.groups is None else self._group_by
        if self._told is not None and self._told.mission_current > missions:
            missions, stats = self._told.mission_current, self._told.stats
            group_by, groups = self._told.group_by, self._told.groups
        elapsed = self._elapsed()
        seconds = elapsed - self._elapsed_before
        rate = max(missions - self._already_there, 0) / seconds if seconds else 0.0
        return Progress(
            timestamp=timestamp(),
            status=self.status,
            mission_current=missions,
            mission_total=self._total,
            progress_percent=missions * 10_000 // self._total / 100,
            elapsed_seconds=round(elapsed, 3),
            rate_missions_per_sec=round(rate, 2),
            eta_seconds=round((self._total - missions) / rate, 1) if rate else None,
            stats=stats,
            seed=self._seed,
            pid=os.getpid(),
            host=socket.gethostname(),
            checkpoint_missions=self._checkpointing.saved.value,
            batches_written=self._flushing.batches_written,
            loop_lag_ms=round(self._worst_lag * 1000, 2),
            rss_bytes=resident_bytes(),
            group_by=group_by,
            groups=groups,
            blocks_waiting=self._journaling.blocks_waiting,
            batches_waiting=self._flushing.batches_waiting(missions),
        )

    async def write(self) -> None:
        """Replace the progress file; one that can't be written stops nothing."""
        progress = self.snapshot()
        self._written_at, self._worst_lag = progress.mission_current, 0.0
        try:
            await run_in_thread(self._write, progress)
        except OSError as error:
            if not self._file_failed:
                self._log.warning(f"{error.filename} can't be written: {error.strerror}")
            self._file_failed = True

    def _write(self, progress: Progress) -> None:
        write_progress(self._folder.progress, progress)
        if self._journaling.committed.value < self._already_there:
            return  # it takes over what the journal holds; the series tells of that already
        if self._series is None:
            self._series = SeriesWriter(self._folder.series)
        sample = Sample(
            time=round(time(), 3),
            elapsed_seconds=progress.elapsed_seconds,
            missions=progress.mission_current,
            success_count=progress.stats.success_count,
            failure_count=progress.stats.failure_count,
            abort_count=progress.stats.abort_count,
            error_count=progress.stats.error_count,
            loop_lag_ms=progress.loop_lag_ms,
            rss_bytes=progress.rss_bytes,
            blocks_waiting=progress.blocks_waiting,
            batches_waiting=progress.batches_waiting,
            batches_written=progress.batches_written,
            checkpoint_missions=progress.checkpoint_missions,
        )
        self._series.add(sample, is_last=progress.status != "running")

    async def _log_milestones(self) -> None:
        step = max(self._total // _MILESTONES, 1)
        committed = self._journaling.committed
        milestone = 0
        while milestone < self._total and await committed.reached(
            min(milestone + step, self._total)
        ):
            reached = committed.value
            milestone = self._total if reached >= self._total else reached - reached % step
            rate = self.snapshot().rate_missions_per_sec
            self._log.bind(milestone=True).info(
                f"Progress: {milestone}/{self._total} ({milestone / self._total:.0%}), "
                f"{rate:,.0f} missions/s"
            )
            await self._events.tell(Milestone(milestone, self._total))

    async def _watch_loop(self) -> None:
        while True:
            before = monotonic()
            await anyio.sleep(_HEARTBEAT)
            self._worst_lag = max(self._worst_lag, monotonic() - before - _HEARTBEAT)


def resident_bytes() -> int:
    """Return the memory that this process holds; its peak where the system tells no more."""
    try:
        pages = int(_STATM.read_text("ascii").split()[1])
        return pages * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
