"""How a run went over time: a bounded number of samples, over all its sessions."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio
import msgspec
from air import Quick
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from synexs_async import RunConfig, Sample, rates, read_progress, read_series, run
from synexs_async.storage.progress import write_progress
from synexs_async.storage.series import MOST_SAMPLES, SeriesWriter


def sample(second: float, missions: int, lag: float = 0.0) -> Sample:
    """Make a sample of a run that works on it at `second`."""
    return Sample(
        time=1.7e9 + second,
        elapsed_seconds=second,
        missions=missions,
        success_count=missions,
        failure_count=0,
        abort_count=0,
        error_count=0,
        loop_lag_ms=lag,
        rss_bytes=0,
        blocks_waiting=0,
        batches_waiting=0,
        batches_written=0,
        checkpoint_missions=0,
    )


def test_a_run_tells_how_it_went(tmp_path: Path) -> None:
    """The first sample is its beginning, the last one its end, as the progress file has it."""
    anyio.run(run, RunConfig(missions=64, output=tmp_path))
    first, *_, last = read_series(tmp_path)
    progress = read_progress(tmp_path)
    assert (0, 64) == (first.missions, last.missions)
    assert progress.stats.success_count == last.success_count
    assert (2, 64) == (last.batches_written, last.checkpoint_missions)


def test_a_run_that_is_extended_goes_on_with_its_series(tmp_path: Path) -> None:
    """The samples of earlier sessions stay, and missions and working time never fall."""
    anyio.run(run, RunConfig(missions=32, output=tmp_path, mission=Quick()))
    before = read_series(tmp_path)
    anyio.run(run, RunConfig(missions=96, output=tmp_path, mission=Quick()))
    samples = read_series(tmp_path)
    assert before[0] == samples[0]
    assert 96 == samples[-1].missions
    assert all(rate >= 0 for rate in rates(samples))
    assert [s.elapsed_seconds for s in samples] == sorted(s.elapsed_seconds for s in samples)


def test_working_time_behind_the_checkpoint_outlives_a_kill(tmp_path: Path) -> None:
    """The missions of that time are kept, so their time is."""
    anyio.run(run, RunConfig(missions=32, output=tmp_path))
    told = replace(read_progress(tmp_path), elapsed_seconds=500.0, status="running")
    write_progress(tmp_path / "progress.json", told)
    anyio.run(run, RunConfig(missions=96, output=tmp_path))
    assert 500.0 <= read_progress(tmp_path).elapsed_seconds < 600.0


def test_a_run_moved_aside_takes_its_series_with_it(tmp_path: Path) -> None:
    """The run that begins anew has a series of its own."""
    anyio.run(run, RunConfig(missions=32, output=tmp_path, mission=Quick()))
    again = RunConfig(missions=16, output=tmp_path, mission=Quick(), resume=False)
    report = anyio.run(run, again)
    assert report.archived is not None
    assert 32 == read_series(report.archived)[-1].missions
    assert [0, 16] == [read_series(tmp_path)[k].missions for k in (0, -1)]


@given(
    steps=st.lists(st.tuples(st.floats(0.1, 40.0), st.integers(0, 1000)), min_size=1, max_size=60),
    times=st.integers(1, 60),
    sessions=st.integers(1, 3),
)
@settings(deadline=None, max_examples=25)
def test_however_long_a_run_its_series_is_bounded_and_covers_it(
    steps: list[tuple[float, int]], times: int, sessions: int
) -> None:
    """The first and the last sample stay; of all others the worst delay does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.jsonl"
        second, missions, added = 0.0, 0, []
        for _ in range(sessions):
            writer = SeriesWriter(path)
            for pause, more in steps * times:
                second, missions = second + pause, missions + more
                added.append(sample(second, missions, lag=float(missions % 97)))
                writer.add(added[-1])
            added.append(sample(second, missions))
            writer.add(added[-1], is_last=True)
        kept = read_series(folder)
    assert len(kept) <= MOST_SAMPLES
    assert (added[0].time, added[-1].time) == (kept[0].time, kept[-1].time)
    assert max(s.loop_lag_ms for s in added) == max(s.loop_lag_ms for s in kept)
    assert {s.time for s in kept} <= {s.time for s in added}


def test_a_torn_line_costs_one_sample(tmp_path: Path) -> None:
    """What a crash has torn is passed over, and the next session writes whole lines again."""
    path = tmp_path / "series.jsonl"
    writer = SeriesWriter(path)
    for second in range(3):
        writer.add(sample(second, second))
    path.write_bytes(path.read_bytes()[:-20])
    assert [0, 1] == [s.missions for s in read_series(tmp_path)]
    SeriesWriter(path).add(sample(9, 9))
    assert [0, 1, 9] == [s.missions for s in read_series(tmp_path)]


def test_working_time_that_a_crash_took_is_counted_once(tmp_path: Path) -> None:
    """Samples behind the point that the run went on from are left out, by time and by missions."""
    path = tmp_path / "series.jsonl"
    writer = SeriesWriter(path)
    for second in range(0, 10, 2):
        writer.add(sample(second, 10 * second))
    SeriesWriter(path).add(sample(7, 50))
    assert [0, 2, 4, 7] == [s.elapsed_seconds for s in read_series(tmp_path)]
    with path.open("ab") as file:
        file.write(msgspec.json.encode(sample(3, 10)) + b"\n")
    assert [0, 3] == [s.elapsed_seconds for s in read_series(tmp_path)]


def test_missions_that_a_kill_left_are_told_with_the_work_of_later_ones(tmp_path: Path) -> None:
    """A session that goes on from more missions than were told begins with no leap."""
    path = tmp_path / "series.jsonl"
    writer = SeriesWriter(path)
    for second in range(0, 10, 2):
        writer.add(sample(second, second))
    resumed = SeriesWriter(path)
    for later in (8.01, 8.5, 10.0):
        resumed.add(sample(later, 10))
    assert [1, 1, 1, 1, 1] == rates(read_series(tmp_path))


def test_no_series_is_an_empty_one(tmp_path: Path) -> None:
    """A run of an earlier version has none."""
    assert [] == read_series(tmp_path)
    assert [] == rates([])
