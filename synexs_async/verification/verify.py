"""Verifying a run's folder, and mending it: for the command line, and for programs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
import anyio.to_thread
from loguru import logger

from synexs_async.config import available_cores
from synexs_async.errors import ConfigError, StorageFailed, leaves_of
from synexs_async.missions.mission import Mission
from synexs_async.storage.folder import RunFolder, acquire
from synexs_async.storage.protocol import Setup
from synexs_async.tasks.pool import WorkerPool
from synexs_async.verification.check import BatchWorkers, Check
from synexs_async.verification.claims import went_on
from synexs_async.verification.differences import Difference
from synexs_async.verification.mending import mend
from synexs_async.verification.recorded import RecordedRun, recorded_run
from synexs_async.verification.remote import RemoteMission

_KEPT_DIFFERENCES: Final = 100
_MOST_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True)
class PartCheck:
    """One part of a run: what of it was checked, and how many differences there are."""

    part: str
    checked: str
    differences: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of verifying a run's folder.

    Attributes:
        folder: the run's folder.
        is_complete: whether it holds a complete data set, rather than a run to go on with.
        missions: missions in the journal.
        committed: those that the checkpoint speaks of: all that belongs to them must be there.
        simulated: how many were simulated again and compared.
        parts: what was checked, part by part.
        differences: the first hundred differences.
        difference_count: how many there are.
        notes: what is worth knowing, and no difference.
        mended: what was mended, a sentence each.
        dataset_sha256: the digest of a complete data set without a difference, else None.
    """

    folder: Path
    is_complete: bool
    missions: int
    committed: int
    simulated: int
    parts: tuple[PartCheck, ...]
    differences: tuple[Difference, ...]
    difference_count: int
    notes: tuple[str, ...]
    mended: tuple[str, ...]
    dataset_sha256: str | None

    @property
    def holds(self) -> bool:
        """Whether everything is as it should be."""
        return self.difference_count == 0


async def verify_run(
    folder: str | os.PathLike[str],
    *,
    mission: Mission | str | None = None,
    sample: float = 1.0,
    repair: bool = False,
) -> Verification:
    """Check a run's folder: finished, interrupted, or while the run is going on.

    Nothing is changed and no lock is taken, except with `repair`, which writes again what is
    damaged from what is still true.

    Args:
        folder: the run's folder.
        mission: the run's mission kind, or what `load_mission` finds it by. It may be left out
            for a kind that is built in, or that an installed package offers.
        sample: percent of the missions to simulate again, the first and the last at least.
        repair: whether to mend what differs; the folder is locked meanwhile.

    Raises:
        UsageError: the folder holds no run that can be verified, or `repair` finds it in use.
        RunFailed: the disk or the workers failed.
    """
    is_number = isinstance(sample, int | float) and not isinstance(sample, bool)
    if not (is_number and 0 <= sample <= 100):
        raise ConfigError("sample", sample, "a percentage, from 0 to 100")
    path = RunFolder(Path(folder))
    try:
        run = await anyio.to_thread.run_sync(recorded_run, path, mission)
        if not repair:
            return await _verify(run, sample / 100, repair=False)
        lock = await anyio.to_thread.run_sync(acquire, path)
        try:
            return await _verify(run, sample / 100, repair=True)
        finally:
            lock.release()
    except BaseExceptionGroup as group:
        error = next(leaves_of(group))
        if isinstance(error, OSError):
            raise StorageFailed(error) from error
        raise error from None
    except OSError as error:
        raise StorageFailed(error) from error


async def _verify(run: RecordedRun, share: float, *, repair: bool) -> Verification:
    setup = Setup.of(
        run.layout.folder.path, run.identity, run.mission, simulates=run.mission.place == "workers"
    )
    workers = max(available_cores() - 1, 1)
    async with WorkerPool(workers, setup, logger.warning) as pool:
        if run.mission.place == "workers":
            run = replace(run, mission=RemoteMission(run.mission, pool))
        return await verify_with(pool, workers, run, share, repair=repair)


async def verify_with(
    pool: BatchWorkers, workers: int, run: RecordedRun, share: float, *, repair: bool
) -> Verification:
    """Check a run with these workers, and with `repair` mend it until nothing more can be done."""
    mended: list[str] = []
    refused: list[str] = []
    if repair:
        await anyio.to_thread.run_sync(run.layout.folder.create_parts)
    scratch = await anyio.to_thread.run_sync(TemporaryDirectory)
    try:
        for number in range(_MOST_ROUNDS):
            place = Path(scratch.name, str(number))
            await anyio.to_thread.run_sync(place.mkdir)
            check = await anyio.to_thread.run_sync(Check, run, share, place)
            await check.run(pool, workers)
            if not check.differences.count:
                break
            if repair:
                mending = await mend(run, check, pool)
                mended += mending.done
                refused = mending.refused
                if refused or not mending.done:
                    break
            elif not await anyio.to_thread.run_sync(_was_extended, run, check):
                break
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(scratch.cleanup)
    return _report(run, check, mended, refused)


def _was_extended(run: RecordedRun, check: Check) -> bool:
    """Whether a run that was complete when the check began has gone on since.

    Then it may hold what a complete run must not, and is to be checked as one that goes on.
    """
    return check.claims.is_finished and went_on(run.layout, check.claims)


def _report(run: RecordedRun, check: Check, mended: list[str], refused: list[str]) -> Verification:
    truth, claims, differences = check.truth, check.claims, check.differences
    index = f"batches/{run.layout.folder.index.name}"
    batches = f"{check.checked_batches:,} files"
    if check.other_builds:
        batches += f", {check.other_builds:,} of them written by another build of torch"
    until = f"{claims.missions:,} missions"
    progress = claims.progress.status if claims.progress else "not there"
    whole = "a complete run's" if claims.is_finished else "none: not a complete run"
    parts: dict[str, tuple[str, Callable[[str], bool]]] = {
        "journal": (f"{truth.missions:,} records", lambda file: file.startswith("missions/")),
        "batches": (batches, lambda file: file.startswith("batches/") and file != index),
        "ledger": (until, "ledger.jsonl".__eq__),
        "index": (whole, index.__eq__),
        "checkpoint": (until, "checkpoint.json".__eq__),
        "progress": (progress, "progress.json".__eq__),
    }
    return Verification(
        folder=run.layout.folder.path,
        is_complete=claims.is_finished,
        missions=truth.missions,
        committed=claims.missions,
        simulated=truth.simulated,
        parts=tuple(
            PartCheck(part, checked, differences.in_files(wanted))
            for part, (checked, wanted) in parts.items()
        ),
        differences=differences.first(_KEPT_DIFFERENCES),
        difference_count=differences.count,
        notes=(*check.notes, *refused),
        mended=tuple(mended),
        dataset_sha256=check.digest if check.digest and not differences.count else None,
    )
