"""From a run's folder to the figures of its report. It only reads, and the run may be going on."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from synexs_async.missions.loading import BUILT_IN, load_mission
from synexs_async.missions.mission import Mission
from synexs_async.missions.statistics import Statistics
from synexs_async.monitoring.state import RunState, read_state
from synexs_async.report.figures import Figures, Moment, Outcomes, RunFigures, Sample
from synexs_async.report.outcomes import check_expected, mix_of_all, mix_of_groups
from synexs_async.report.records import Records, record_decoder
from synexs_async.report.sampling import JournalSample
from synexs_async.storage.checkpoint import Checkpoint, read_checkpoint
from synexs_async.storage.folder import Identity, RunFolder, expect_mission
from synexs_async.storage.journal import Layout, Mark
from synexs_async.storage.progress import OutcomeCounts, group_counts, timestamp
from synexs_async.storage.series import rates, read_series

_PACKAGES: Final = ("synexs_async", "numpy", "torch")
_LOG_NAME: Final = re.compile(r"training_(\d{8}_\d{6})")


@dataclass(frozen=True, slots=True)
class Counted:
    """What the run itself has counted.

    Attributes:
        groups: empty where it did not count them.
    """

    missions: int
    outcomes: OutcomeCounts
    groups: Mapping[str, OutcomeCounts]
    elapsed_seconds: float


class _EarlierRun(Struct):
    identity: Identity


class _EarlierReport(Struct):
    """What is taken over from an earlier report."""

    run: _EarlierRun
    expected_outcomes: dict[str, dict[str, float]]


def collect(folder: RunFolder, mission: Mission | None = None) -> Figures:
    """Read a run's folder; `mission` is its kind, where that is at hand.

    Raises:
        FolderError: it holds no run.
        IdentityMismatch: it holds one of another mission kind.
        ValueError: the kind expects outcomes that can't be meant.
    """
    state = read_state(folder.path)
    checkpoint = _read_checkpoint(folder)
    identity, progress = state.identity, state.progress
    if mission is not None:
        expect_mission(folder, identity, mission)
    if mission is None and identity.mission in BUILT_IN:
        built_in = load_mission(identity.mission, identity.parameters)
        mission = built_in if built_in.version == identity.mission_version else None
    group_by = progress.group_by if progress else ""
    if not group_by and mission is not None:
        group_by = mission.group_by
    expected = _expected(folder, identity, mission)
    layout = Layout.of(folder, identity, has_batches=True)
    counted = _counted(state, checkpoint)

    sample = JournalSample(layout, counted.missions, record_decoder(group_by))
    records = Records(group_by)
    for record in sample:
        records.add(record)

    samples = read_series(folder.path)
    return Figures(
        made=timestamp(),
        versions=_versions(),
        run=_run(state, checkpoint, counted, folder),
        sample=Sample(records.missions, sample.is_whole, sample.chunks, sample.damaged),
        outcomes=Outcomes(
            group_by,
            are_groups_sampled=bool(group_by) and not (counted.groups or sample.is_whole),
            all=mix_of_all(counted.outcomes, expected),
            groups=mix_of_groups(counted.groups or records.groups(), expected),
        ),
        expected_outcomes=expected,
        distributions=records.distributions(identity.mission),
        further_metrics=records.further_metrics,
        confidence=records.confidences.figures(),
        timeline=[
            Moment(
                moment.time,
                moment.elapsed_seconds,
                moment.missions,
                rate,
                moment.checkpoint_missions,
                moment.batches_written,
                moment.loop_lag_ms,
                moment.rss_bytes,
            )
            for moment, rate in zip(samples, [None, *rates(samples)], strict=False)
        ],
    )


def _read_checkpoint(folder: RunFolder) -> Checkpoint:
    """Read the checkpoint; one of no missions where there is none that can be trusted."""
    try:
        return read_checkpoint(folder.checkpoint) or Checkpoint(Mark(), Statistics())
    except ValueError:
        return Checkpoint(Mark(), Statistics())


def _counted(state: RunState, checkpoint: Checkpoint) -> Counted:
    """Return what the progress file counts, or the checkpoint where that has got further."""
    progress, statistics = state.progress, checkpoint.statistics
    if progress is not None and progress.mission_current >= statistics.missions:
        return Counted(
            progress.mission_current, progress.stats, progress.groups, progress.elapsed_seconds
        )
    return Counted(
        statistics.missions,
        OutcomeCounts(**statistics.counts()),
        group_counts(statistics),
        checkpoint.elapsed_time,
    )


def _expected(
    folder: RunFolder, identity: Identity, mission: Mission | None
) -> dict[str, dict[str, float]]:
    """Return what the kind expects; where it is not at hand, what an earlier report knew."""
    if mission is not None:
        expects = getattr(mission, "expected_outcomes", dict)  # kinds need not have it
        return check_expected(expects())
    try:
        earlier = msgspec.json.decode(folder.report_figures.read_bytes(), type=_EarlierReport)
        return check_expected(earlier.expected_outcomes) if earlier.run.identity == identity else {}
    except (OSError, ValueError, RecursionError, msgspec.DecodeError):
        return {}  # there is none, or somebody's own


def _run(
    state: RunState, checkpoint: Checkpoint, counted: Counted, folder: RunFolder
) -> RunFigures:
    progress, seconds = state.progress, counted.elapsed_seconds
    status: str = state.status
    if progress is None and counted.missions:  # whatever became of the progress file
        status = "completed" if checkpoint.dataset_sha256 else "lost"
    is_complete = status == "completed" and checkpoint.mark.missions == counted.missions
    return RunFigures(
        name=state.name,
        team_id=state.team_id,
        identity=state.identity,
        status=status,
        missions=counted.missions,
        total=max(progress.mission_total if progress else 0, counted.missions),
        elapsed_seconds=seconds,
        missions_per_second=counted.missions / seconds if seconds else None,
        checkpoint_missions=checkpoint.mark.missions,
        sessions=_sessions(folder.logs),
        dataset_sha256=(checkpoint.dataset_sha256 or None) if is_complete else None,
    )


def _sessions(logs: Path) -> list[str]:
    """Return when each session began, as the names of its logs tell."""
    times = set()
    for path in logs.glob("training_*"):
        if name := _LOG_NAME.match(path.name):
            with suppress(ValueError):
                times.add(datetime.strptime(name[1], "%Y%m%d_%H%M%S").isoformat())
    return sorted(times)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
