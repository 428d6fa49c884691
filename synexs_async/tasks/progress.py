"""The progress reporter: the progress file, the milestones in the log, the loop's own delay."""

from __future__ import annotations

import os
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from synexs_async.storage.progress import (
    OutcomeCounts,
    Progress,
    RunStatus,
    timestamp,
    write_progress,
)
from synexs_async.tasks.checkpointing import Checkpointing
from synexs_async.tasks.flushing import Flushing
from synexs_async.tasks.journaling import Journaling

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
        path: Path,
        journaling: Journaling,
        flushing: Flushing,
        checkpointing: Checkpointing,
        log: Logger,
        *,
        already_there: int,
        total: int,
        seed: int,
        interval: int,
        elapsed: Callable[[], float],
    ) -> None:
        self._path = path
        self._journaling = journaling
        self._flushing = flushing
        self._checkpointing = checkpointing
        self._log = log
        self._already_there = already_there
        self._total = total
        self._seed = seed
        self._interval = interval
        self._elapsed = elapsed
        self._started = monotonic()
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
        """Return how the session stands now."""
        missions = self._journaling.committed.value
        seconds = monotonic() - self._started
        rate = max(missions - self._already_there, 0) / seconds if seconds else 0.0
        return Progress(
            timestamp=timestamp(),
            status=self.status,
            mission_current=missions,
            mission_total=self._total,
            progress_percent=round(100 * missions / self._total, 2),
            elapsed_seconds=round(self._elapsed(), 3),
            rate_missions_per_sec=round(rate, 2),
            eta_seconds=round((self._total - missions) / rate, 1) if rate else None,
            stats=OutcomeCounts(**self._journaling.snapshot.statistics.counts()),
            seed=self._seed,
            pid=os.getpid(),
            host=socket.gethostname(),
            checkpoint_missions=self._checkpointing.saved.value,
            batches_written=self._flushing.batches_written,
            loop_lag_ms=round(self._worst_lag * 1000, 2),
            rss_bytes=resident_bytes(),
        )

    async def write(self) -> None:
        """Replace the progress file; one that can't be written stops nothing."""
        progress = self.snapshot()
        self._written_at, self._worst_lag = progress.mission_current, 0.0
        try:
            await anyio.to_thread.run_sync(write_progress, self._path, progress)
        except OSError as error:
            if not self._file_failed:
                self._log.warning(f"{self._path} can't be written: {error.strerror}")
            self._file_failed = True

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
