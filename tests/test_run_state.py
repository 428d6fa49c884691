"""How runs stand, as monitors are told: also those whose process was killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import msgspec
import pytest
from air import AirMission

from synexs_async import (
    FolderError,
    MissionFailed,
    RunConfig,
    find_runs,
    mission,
    read_progress,
    read_state,
    run,
)
from synexs_async.missions.context import Context, Outcome
from synexs_async.missions.grouping import OTHER_GROUPS
from synexs_async.missions.plain import NoParameters
from synexs_async.storage.checkpoint import read_checkpoint, write_checkpoint
from synexs_async.storage.progress import Progress, write_progress


@mission(group_by="result.tier")
def tiered(ctx: Context[NoParameters]) -> Outcome:
    """Be of the tier of the index modulo 3; the one of tier 0 has none."""
    tier = ctx.index % 3
    return Outcome("success" if ctx.index % 2 else "failure", result={"tier": tier or None})


@mission(group_by="result")
def each_its_own(ctx: Context[NoParameters]) -> Outcome:
    """Be a group of one."""
    return Outcome("success", result=ctx.index)


def tell(folder: Path, **changes: object) -> Progress:
    """Let the progress file tell something else."""
    progress = msgspec.structs.replace(read_progress(folder), **changes)
    write_progress(folder / "progress.json", progress)
    return progress


def test_outcomes_are_counted_by_difficulty(tmp_path: Path) -> None:
    """All groups together are the run, in the scenario's order, after a resume too."""
    anyio.run(run, RunConfig(missions=100, output=tmp_path))
    anyio.run(run, RunConfig(missions=300, output=tmp_path))
    progress = read_progress(tmp_path)
    assert "environment.difficulty" == progress.group_by
    assert ["easy", "medium", "hard", "honeypot"] == list(progress.groups)
    for outcome in ("success_count", "failure_count", "abort_count"):
        assert getattr(progress.stats, outcome) == sum(
            getattr(counts, outcome) for counts in progress.groups.values()
        )


def test_a_mission_of_one_s_own_is_counted_by_its_field(tmp_path: Path) -> None:
    """A value is counted as text; a mission without one is in no group."""
    anyio.run(run, RunConfig(missions=12, output=tmp_path, mission=tiered))
    groups = read_progress(tmp_path).groups
    assert {"1": (2, 2), "2": (2, 2)} == {
        name: (counts.success_count, counts.failure_count) for name, counts in groups.items()
    }


def test_a_field_of_many_values_keeps_the_checkpoint_small(tmp_path: Path) -> None:
    """Those beyond the first 64 are counted together."""
    anyio.run(run, RunConfig(missions=100, output=tmp_path, mission=each_its_own))
    groups = read_progress(tmp_path).groups
    assert 65 == len(groups)
    assert 36 == groups[OTHER_GROUPS].success_count


def test_a_run_of_an_earlier_version_has_no_groups(tmp_path: Path) -> None:
    """Its earlier missions were not counted so, and half a mix would mislead."""
    anyio.run(run, RunConfig(missions=32, output=tmp_path))
    checkpoint = read_checkpoint(tmp_path / "checkpoint.json")
    assert checkpoint is not None
    rewritten = msgspec.structs.replace(
        checkpoint, statistics=msgspec.structs.replace(checkpoint.statistics, groups=None)
    )
    write_checkpoint(
        tmp_path / "checkpoint.json",
        rewritten,
        timestamp="",
        journal_file="mission_000000000.jsonl",
        batch_size=32,
    )
    anyio.run(run, RunConfig(missions=64, output=tmp_path))
    progress = read_progress(tmp_path)
    assert ("", {}) == (progress.group_by, progress.groups)
    assert 64 == progress.mission_current


def test_a_run_tells_how_it_stands(tmp_path: Path) -> None:
    """Completed, interrupted and failed are the run's own words."""
    anyio.run(run, RunConfig(missions=8, output=tmp_path / "a"))
    assert "completed" == read_state(tmp_path / "a").status
    for status in ("interrupted", "failed"):
        tell(tmp_path / "a", status=status)
        assert status == read_state(tmp_path / "a").status
    assert read_state(tmp_path / "a").has_ended


def test_a_run_is_at_a_hundred_percent_at_its_end_alone(tmp_path: Path) -> None:
    """One mission of many that is missing is not rounded away."""

    def fails(index: int) -> None:
        if index == 25_000:
            raise ArithmeticError

    kind = AirMission(fails, block_size=500)
    with pytest.raises(MissionFailed):
        anyio.run(run, RunConfig(missions=25_001, batch_size=8192, output=tmp_path, mission=kind))
    assert (25_000, 99.99) == (
        read_progress(tmp_path).mission_current,
        read_progress(tmp_path).progress_percent,
    )


def test_a_run_whose_process_is_gone_is_lost(tmp_path: Path) -> None:
    """Here that is known by its process or its silence, of another machine by its silence."""
    anyio.run(run, RunConfig(missions=8, output=tmp_path))
    tell(tmp_path, status="running", pid=os.getpid())
    assert "running" == read_state(tmp_path).status
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    tell(tmp_path, status="running", pid=ended.pid)
    assert "lost" == read_state(tmp_path).status
    tell(tmp_path, status="running", host="elsewhere")
    assert "running" == read_state(tmp_path).status
    for host in ("elsewhere", socket.gethostname()):
        for timestamp in ("2026-01-31T00:00:00+00:00", "0001-01-01", "soon"):
            tell(tmp_path, status="running", host=host, pid=os.getpid(), timestamp=timestamp)
            assert "lost" == read_state(tmp_path).status


def test_a_run_that_tells_nothing_yet_is_waiting(tmp_path: Path) -> None:
    """It has an identity, and no progress."""
    anyio.run(run, RunConfig(missions=8, output=tmp_path))
    (tmp_path / "progress.json").unlink()
    state = read_state(tmp_path)
    assert ("waiting", None, False) == (state.status, state.progress, state.has_ended)


def test_runs_are_found_below_a_folder_those_at_work_first(tmp_path: Path) -> None:
    """Two levels deep, with their names as seen from there; what is no run is passed over.

    Those at work are sorted by name, the others by when they told last.
    """
    for name in ("old", "deep/er", "new", "too/deep/down"):
        anyio.run(run, RunConfig(missions=2, output=tmp_path / name))
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    tell(tmp_path / "old", timestamp="2026-01-31T00:00:00+00:00")
    assert ["new", "deep/er", "old"] == [state.name for state in find_runs(tmp_path)]
    assert ["old"] == [state.name for state in find_runs(tmp_path / "old")]
    assert [] == find_runs(tmp_path / "nowhere")
    now = datetime.now().astimezone()
    for name, age in (("old", 30), ("deep/er", 20)):
        told = (now - timedelta(seconds=age)).isoformat()
        tell(tmp_path / name, status="running", pid=os.getpid(), timestamp=told)
    assert ["deep/er", "old", "new"] == [state.name for state in find_runs(tmp_path)]
    tell(tmp_path / "old", timestamp=now.isoformat())
    assert ["deep/er", "old", "new"] == [state.name for state in find_runs(tmp_path)]


def test_a_folder_that_can_t_be_read_has_no_runs(tmp_path: Path) -> None:
    """Looking for runs passes over what the system refuses, such as a name that is too long."""
    assert [] == find_runs(tmp_path / ("long" * 100))


def test_what_is_no_run_has_no_state(tmp_path: Path) -> None:
    """The error says so."""
    with pytest.raises(FolderError, match=r"no run\.json"):
        read_state(tmp_path)
