"""How runs stand, as monitors are told: also those whose process was killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import msgspec
import pytest
from air import Quick
from monitored import make_run

from synexs_async import FolderError, RunConfig, find_runs, mission, read_progress, read_state, run
from synexs_async.missions.context import Context, Outcome
from synexs_async.missions.grouping import OTHER_GROUPS
from synexs_async.missions.plain import NoParameters
from synexs_async.storage.checkpoint import read_checkpoint, write_checkpoint
from synexs_async.storage.progress import Progress, timestamp, write_progress


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
    anyio.run(run, RunConfig(missions=8, output=tmp_path, mission=Quick()))
    assert "completed" == read_state(tmp_path).status
    for status in ("interrupted", "failed"):
        tell(tmp_path, status=status)
        assert status == read_state(tmp_path).status
    assert read_state(tmp_path).has_ended


def test_a_run_whose_process_is_gone_is_lost(tmp_path: Path) -> None:
    """Here that is known by the process, and everywhere by its silence."""
    make_run(tmp_path)
    tell(tmp_path, status="running", pid=os.getpid(), timestamp=timestamp())
    assert "running" == read_state(tmp_path).status
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    tell(tmp_path, status="running", pid=ended.pid)
    assert "lost" == read_state(tmp_path).status
    tell(tmp_path, status="running", host="elsewhere", timestamp=timestamp())
    assert "running" == read_state(tmp_path).status
    for told in ("2026-01-31T00:00:00+00:00", "0001-01-01", "soon"):
        tell(tmp_path, timestamp=told)
        assert "lost" == read_state(tmp_path).status
    # The number of its process may be another one's by now.
    tell(tmp_path, host=socket.gethostname(), pid=os.getpid())
    assert "lost" == read_state(tmp_path).status


@pytest.mark.parametrize("pid", [2**31, 2**63, 0, -1])
def test_a_number_that_no_process_has(tmp_path: Path, pid: int) -> None:
    """Such a run is lost, and hides no other one."""
    for name in ("odd", "whole"):
        make_run(tmp_path / name, status="running", timestamp=timestamp())
    tell(tmp_path / "odd", pid=pid)
    assert {"odd": "lost", "whole": "running"} == {
        state.name: state.status for state in find_runs(tmp_path)
    }


def test_a_run_that_tells_nothing_yet_is_waiting(tmp_path: Path) -> None:
    """It has an identity, and no progress."""
    make_run(tmp_path)
    (tmp_path / "progress.json").unlink()
    state = read_state(tmp_path)
    assert ("waiting", None, False) == (state.status, state.progress, state.has_ended)


def test_runs_at_work_keep_their_places(tmp_path: Path) -> None:
    """They come before all others, by name, whoever told last."""
    for name in ("b", "a", "ended"):
        make_run(tmp_path / name)
    for name in ("a", "b"):
        tell(tmp_path / name, status="running", timestamp=timestamp())
    assert ["a", "b", "ended"] == [state.name for state in find_runs(tmp_path)]


def test_runs_are_found_below_a_folder_newest_first(tmp_path: Path) -> None:
    """Two levels deep, with their names as seen from there; what is no run is passed over."""
    for name in ("old", "deep/er", "new", "too/deep/down"):
        make_run(tmp_path / name)
    tell(tmp_path / "new", timestamp="2026-03-31T00:00:00+00:00")
    tell(tmp_path / "deep/er", timestamp="2026-02-28T00:00:00+00:00")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    tell(tmp_path / "old", timestamp="2026-01-31T00:00:00+00:00")
    assert ["new", "deep/er", "old"] == [state.name for state in find_runs(tmp_path)]
    assert ["old"] == [state.name for state in find_runs(tmp_path / "old")]
    assert [] == find_runs(tmp_path / "nowhere")


def test_a_folder_that_can_t_be_read_has_no_runs(tmp_path: Path) -> None:
    """Looking for runs passes over what the system refuses, such as a name that is too long."""
    assert [] == find_runs(tmp_path / ("long" * 100))


def test_what_is_no_run_has_no_state(tmp_path: Path) -> None:
    """The error says so."""
    with pytest.raises(FolderError, match=r"no run\.json"):
        read_state(tmp_path)
