"""What a run tells the program that embeds it, and what becomes of one that lags."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from air import AirMission

from synexs_async import (
    BatchWritten,
    CheckpointSaved,
    Event,
    Finished,
    LiveRun,
    Milestone,
    MissionFailed,
    RunConfig,
    Stopping,
    open_run,
    run,
)


async def gathered(live: LiveRun) -> list[Event]:
    """Listen to the end."""
    return [event async for event in live.events()]


async def test_a_run_tells_what_happens(tmp_path: Path) -> None:
    """Batches in their order, tenths, checkpoints of what is written, and at last how it ended."""
    config = RunConfig(missions=100, output=tmp_path, checkpoint_every=50)
    async with open_run(config) as live:
        events = await gathered(live)
    batches = [event for event in events if isinstance(event, BatchWritten)]
    assert [(0, 32), (32, 32), (64, 32), (96, 4)] == [(b.first, b.missions) for b in batches]
    assert "batches/batch_000000.pt" == batches[0].file
    tenths = [event.missions for event in events if isinstance(event, Milestone)]
    assert tenths == sorted(tenths)
    assert 100 == tenths[-1]
    saved = [event.missions for event in events if isinstance(event, CheckpointSaved)]
    assert [50, 100, 100] == saved
    assert events.index(batches[0]) < events.index(CheckpointSaved(50))
    assert Finished("completed", 100) == events[-1]
    assert not any(isinstance(event, Stopping) for event in events)


async def test_a_run_that_is_told_to_stop_says_so(tmp_path: Path) -> None:
    """`Stopping` comes when nothing more is simulated, `Finished` when all of it is written."""
    async with open_run(RunConfig(missions=100_000, output=tmp_path)) as live:
        events = live.events()
        live.stop()
        told = [event async for event in events]
    assert [Stopping, Finished] == [type(e) for e in told if isinstance(e, Stopping | Finished)]
    assert Finished("interrupted", live.report.missions) == told[-1]


async def test_a_run_that_fails_says_so(tmp_path: Path) -> None:
    """The last event has the status, and the error is raised as ever."""

    def fails(index: int) -> None:
        if index == 8:
            raise ArithmeticError("eight")

    told: list[Event] = []
    with pytest.raises(MissionFailed):
        async with open_run(
            RunConfig(missions=16, output=tmp_path, mission=AirMission(fails))
        ) as live:
            told = await gathered(live)
    assert Finished("failed", 8) == told[-1]


async def test_a_run_that_is_complete_has_finished(tmp_path: Path) -> None:
    """It tells so at once."""
    await run(RunConfig(missions=8, output=tmp_path))
    async with open_run(RunConfig(missions=8, output=tmp_path)) as live:
        assert [Finished("completed", 8)] == await gathered(live)


async def test_many_may_listen_and_each_hears_all(tmp_path: Path) -> None:
    """One that stops listening takes nothing from the others."""
    heard: list[list[Event]] = []

    async def listen(live: LiveRun) -> None:
        heard.append(await gathered(live))

    async with open_run(RunConfig(missions=64, output=tmp_path)) as live:
        gone = live.events()
        await gone.aclose()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(listen, live)
        assert [] == [event async for event in gone]
    assert heard[0] == heard[1] == heard[2]
    assert Finished("completed", 64) == heard[0][-1]


async def test_who_lags_misses_the_oldest_and_is_told_how_many(tmp_path: Path) -> None:
    """The run does not wait; nothing that is left is out of order, and the end is not missed."""
    config = RunConfig(missions=1500, batch_size=1, output=tmp_path, mission=AirMission())
    async with open_run(config) as live:
        events = live.events()
        async for _ in live.records(start=1499):
            pass
        async for event in live.events():
            if isinstance(event, Finished):
                break
        told = [event async for event in events]
    assert 1024 == len(told)
    assert events.dropped > 1500 - 1024
    numbers = [event.first for event in told if isinstance(event, BatchWritten)]
    assert list(range(numbers[0], 1500)) == numbers
    assert Finished("completed", 1500) == told[-1]


async def test_who_wants_to_miss_nothing_holds_the_run(tmp_path: Path) -> None:
    """Batches wait until they can be told; all come, and in their order."""
    config = RunConfig(missions=1500, batch_size=1, output=tmp_path, mission=AirMission())
    async with open_run(config) as live:
        events = live.events(on_lag="wait")
        while live.progress.batches_written < 1000:
            await anyio.lowlevel.checkpoint()
        assert "running" == live.progress.status
        told = [event async for event in events]
    assert 0 == events.dropped
    numbers = [event.first for event in told if isinstance(event, BatchWritten)]
    assert list(range(1500)) == numbers


async def test_who_wants_to_miss_nothing_misses_no_end(tmp_path: Path) -> None:
    """Events that wait for nobody, as the run ends, push none out of a stream that is full."""
    config = RunConfig(missions=20_000, batch_size=1, output=tmp_path, mission=AirMission())
    async with open_run(config) as live:
        events, others = live.events(on_lag="wait"), live.events()
        for _ in range(1024):  # then it is full
            await anext(others)
        live.stop()
        told = [event async for event in events]
    assert 0 == events.dropped
    numbers = [event.first for event in told if isinstance(event, BatchWritten)]
    assert list(range(len(numbers))) == numbers
    assert [Stopping, Finished] == [type(e) for e in told if isinstance(e, Stopping | Finished)]


async def test_leaving_the_body_lets_the_run_go_on_alone(tmp_path: Path) -> None:
    """A stream that nobody reads any more holds nothing up."""
    config = RunConfig(missions=1500, batch_size=1, output=tmp_path, mission=AirMission())
    async with open_run(config) as live:
        live.events(on_lag="wait")
    assert "completed" == live.report.status


async def test_records_may_be_missed_where_that_is_wanted(tmp_path: Path) -> None:
    """Who lags is taken to the newest ones, in order, and knows how many are missing."""
    config = RunConfig(missions=12_000, output=tmp_path, mission=AirMission(block_size=256))
    async with open_run(config) as live:
        records = live.records(on_lag="drop")
        first = await anext(records)
        async for event in live.events():
            if isinstance(event, Finished):
                break
        numbers = [first["mission_number"]]
        numbers += [record["mission_number"] async for record in records]
    assert 12_000 == len(numbers) + records.dropped
    assert records.dropped > 0
    assert numbers == sorted(set(numbers))
    assert 11_999 == numbers[-1]


async def test_a_word_that_is_no_choice_is_refused(tmp_path: Path) -> None:
    """The error lists the choices."""
    async with open_run(RunConfig(missions=8, output=tmp_path)) as live:
        for consume in (live.events, lambda on_lag: live.records(on_lag=on_lag)):
            with pytest.raises(ValueError, match="expected 'wait' or 'drop', not 'never'"):
                consume("never")  # type: ignore[arg-type]


async def test_who_listens_after_the_end_is_told_of_it(tmp_path: Path) -> None:
    """A listener that comes too late does not wait for ever."""
    async with open_run(RunConfig(missions=8, output=tmp_path)) as live:
        await gathered(live)
        assert [Finished("completed", 8)] == await gathered(live)
