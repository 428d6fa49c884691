"""What a run tells the program that embeds it, and what becomes of one that lags."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from air import AirMission, Quick

from synexs_async import (
    BatchWritten,
    CheckpointSaved,
    Context,
    Event,
    Finished,
    LiveRun,
    Milestone,
    MissionFailed,
    RunConfig,
    Stopping,
    mission,
    open_run,
    run,
)
from synexs_async.storage.ledger import Entry, Ledger
from synexs_async.tasks.broadcast import Broadcast

TENTHS_TOLD: list[anyio.Event] = []


@mission()
async def stepwise(ctx: Context[Any]) -> str:
    """One of twenty: wait until the tenth before this mission's own was told."""
    if ctx.index >= 2:
        await TENTHS_TOLD[ctx.index // 2 - 1].wait()
    return "success"


async def gathered(live: LiveRun) -> list[Event]:
    """Listen to the end."""
    return [event async for event in live.events()]


async def test_a_run_tells_what_happens(tmp_path: Path) -> None:
    """Batches in their order, checkpoints of what is written, and at last how it ended."""
    config = RunConfig(missions=100, output=tmp_path, checkpoint_every=50)
    async with open_run(config) as live:
        events = await gathered(live)
    batches = [event for event in events if isinstance(event, BatchWritten)]
    assert [(0, 32), (32, 32), (64, 32), (96, 4)] == [(b.first, b.missions) for b in batches]
    assert "batches/batch_000000.pt" == batches[0].file
    saved = [event.missions for event in events if isinstance(event, CheckpointSaved)]
    assert [50, 100, 100] == saved
    assert events.index(batches[0]) < events.index(CheckpointSaved(50))
    assert Finished("completed", 100) == events[-1]
    assert not any(isinstance(event, Stopping) for event in events)


async def test_a_short_last_batch_is_told_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a slow disk has those before it wait."""
    append = Ledger.append

    def append_slowly(ledger: Ledger, entries: Iterable[Entry]) -> None:
        time.sleep(0.1)
        append(ledger, entries)

    monkeypatch.setattr(Ledger, "append", append_slowly)
    async with open_run(RunConfig(missions=70, output=tmp_path, mission=AirMission())) as live:
        batches = [event async for event in live.events() if isinstance(event, BatchWritten)]
    assert [(0, 32), (32, 32), (64, 6)] == [(batch.first, batch.missions) for batch in batches]


async def test_each_tenth_is_told_when_it_is_reached(tmp_path: Path) -> None:
    """None is left out where there is time to tell them all."""
    TENTHS_TOLD[:] = [anyio.Event() for _ in range(10)]
    tenths = []
    async with open_run(RunConfig(missions=20, output=tmp_path, mission=stepwise)) as live:
        async for event in live.events():
            if isinstance(event, Milestone):
                tenths.append(event.missions)
                TENTHS_TOLD[event.missions // 2 - 1].set()
    assert [*range(2, 21, 2)] == tenths


async def test_a_run_that_is_told_to_stop_says_so(tmp_path: Path) -> None:
    """`Stopping` comes when nothing more is simulated, `Finished` when all of it is written."""
    async with open_run(RunConfig(missions=100_000, output=tmp_path, mission=Quick())) as live:
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
        async with open_run(RunConfig(missions=16, output=tmp_path, mission=Quick(fails))) as live:
            told = await gathered(live)
    assert Finished("failed", 8) == told[-1]


async def test_a_run_that_is_complete_has_finished(tmp_path: Path) -> None:
    """It tells so at once."""
    config = RunConfig(missions=8, output=tmp_path, mission=Quick())
    await run(config)
    async with open_run(config) as live:
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
    config = RunConfig(missions=1100, batch_size=1, output=tmp_path, mission=AirMission())
    async with open_run(config) as live:
        events = live.events()
        async for _ in live.records(start=1099):
            pass
        async for event in live.events():
            if isinstance(event, Finished):
                break
        told = [event async for event in events]
    assert 1024 == len(told)
    assert events.dropped > 1100 - 1024
    numbers = [event.first for event in told if isinstance(event, BatchWritten)]
    assert list(range(numbers[0], 1100)) == numbers
    assert Finished("completed", 1100) == told[-1]


async def test_who_wants_to_miss_nothing_holds_the_run(tmp_path: Path) -> None:
    """Batches wait until they can be told; all come, and in their order."""
    config = RunConfig(missions=1100, batch_size=1, output=tmp_path, mission=AirMission())
    async with open_run(config) as live:
        events = live.events(on_lag="wait")
        while live.progress.batches_written < 1000:
            await anyio.lowlevel.checkpoint()
        assert "running" == live.progress.status
        told = [event async for event in events]
    assert 0 == events.dropped
    numbers = [event.first for event in told if isinstance(event, BatchWritten)]
    assert list(range(1100)) == numbers


async def test_who_wants_to_miss_nothing_hears_of_the_end_too() -> None:
    """`Stopping` and `Finished`, which wait for nobody, take no other event's place."""
    broadcast = Broadcast()
    events = broadcast.listen("wait")
    batches = [BatchWritten("", first, 1) for first in range(1024)]
    for batch in batches:
        await broadcast.tell(batch)
    broadcast.tell_at_once(Stopping(1024))
    broadcast.end(Finished("interrupted", 1024))
    assert [*batches, Stopping(1024), Finished("interrupted", 1024)] == [e async for e in events]
    assert 0 == events.dropped


async def test_leaving_the_body_lets_the_run_go_on_alone(tmp_path: Path) -> None:
    """A stream that nobody reads any more holds nothing up."""
    config = RunConfig(missions=1100, batch_size=1, output=tmp_path, mission=AirMission())
    async with open_run(config) as live:
        live.events(on_lag="wait")
    assert "completed" == live.report.status


async def test_who_comes_when_the_body_was_left_holds_nothing_up(tmp_path: Path) -> None:
    """A task of the host's that reads a record then, or listens, and stalls: the run ends."""
    body_is_left = anyio.Event()

    def tell(index: int) -> None:
        if index == 64:
            body_is_left.set()

    async def come_late(live: LiveRun) -> None:
        await body_is_left.wait()
        streams.append(live.events(on_lag="wait"))
        streams.append(records := live.records())
        await anext(records)

    streams: list[object] = []
    config = RunConfig(missions=9000, batch_size=4, output=tmp_path, mission=AirMission(tell))
    async with anyio.create_task_group() as tasks, open_run(config) as live:
        tasks.start_soon(come_late, live)
    assert "completed" == live.report.status


async def test_records_may_be_missed_where_that_is_wanted(tmp_path: Path) -> None:
    """Who lags is taken to the newest ones, in order, and knows how many are missing."""
    config = RunConfig(missions=12_000, output=tmp_path, mission=Quick(block_size=256))
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
    async with open_run(RunConfig(missions=8, output=tmp_path, mission=Quick())) as live:
        for consume in (live.events, lambda on_lag: live.records(on_lag=on_lag)):
            with pytest.raises(ValueError, match="expected 'wait' or 'drop', not 'never'"):
                consume("never")  # type: ignore[arg-type]


async def test_who_listens_after_the_end_is_told_of_it(tmp_path: Path) -> None:
    """A listener that comes too late does not wait for ever."""
    async with open_run(RunConfig(missions=8, output=tmp_path, mission=Quick())) as live:
        await gathered(live)
        assert [Finished("completed", 8)] == await gathered(live)
