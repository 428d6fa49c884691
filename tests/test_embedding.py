"""Runs inside another asyncio program."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
import torch
from air import AirMission, Quick
from blockbuster import BlockBuster, BlockingError
from conftest import ROOT
from datasets import data_set, index_of, log_of, read_json
from loguru import logger

from synexs_async import (
    Block,
    ErrorRecord,
    Finished,
    FolderInUse,
    IdentityMismatch,
    MissionFailed,
    MissionRecord,
    RunConfig,
    StorageFailed,
    open_run,
    read_journal,
    read_progress,
    run,
)

SEED = 11
both_loops = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": fast}) for fast in (False, True)], ids=str
)
PLAIN_PROGRAM = """
import asyncio, sys
from air import Quick
from synexs_async import RunConfig, run

mission = Quick(lambda index: index or print("begun", flush=True))
asyncio.run(run(RunConfig(missions=10_000_000, output=sys.argv[1], mission=mission)))
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a run of 6,000 missions that nothing has happened to."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    anyio.run(run, RunConfig(missions=6000, output=folder, seed=SEED))
    return folder


async def journal(folder: Path) -> list[MissionRecord | ErrorRecord]:
    """Read a journal, off the loop as a host should."""
    return await anyio.to_thread.run_sync(list, read_journal(folder))


async def test_two_runs_at_once_do_not_meet(tmp_path: Path, undisturbed: Path) -> None:
    """Runs in different folders of one program each give the data set that they give alone."""
    folders = [tmp_path / "a", tmp_path / "b"]
    async with anyio.create_task_group() as tasks:
        for folder in folders:
            tasks.start_soon(run, RunConfig(missions=6000, output=folder, seed=SEED))

    assert [data_set(undisturbed)] * 2 == [data_set(folder) for folder in folders]
    for folder in folders:
        assert log_of(folder).count("starting 6000 missions") == 1


async def test_a_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """Two runs in one folder can't be: the second is told who holds it."""
    async with open_run(RunConfig(missions=64, output=tmp_path, mission=Quick())) as live:
        with pytest.raises(FolderInUse, match=f"process {read_progress_pid(live.output)} on"):
            await run(RunConfig(missions=64, output=tmp_path))


def read_progress_pid(folder: Path) -> int:
    """Read the holder from the lock's own text."""
    return int((folder / "run.lock").read_text().split()[1])


async def test_cancelling_stops_in_order(tmp_path: Path, undisturbed: Path) -> None:
    """A cancelled run keeps what it simulated, says so, and goes on later to the same bytes."""
    config = RunConfig(missions=6000, output=tmp_path, seed=SEED)
    with anyio.CancelScope() as scope:
        async with open_run(config) as live, aclosing(live.records()) as records:
            async for _ in records:
                scope.cancel()

    assert scope.cancelled_caught
    progress = await anyio.to_thread.run_sync(read_progress, tmp_path)
    assert progress.status == "interrupted"
    assert progress.mission_current > 0
    assert progress.mission_current == progress.checkpoint_missions
    assert progress.mission_current == len(await journal(tmp_path))

    report = await run(config)
    assert report.status == "completed"
    assert report.new_missions == 6000 - progress.mission_current
    assert data_set(undisturbed) == data_set(tmp_path)


async def test_a_deadline_stops_in_order(tmp_path: Path) -> None:
    """A deadline around a run does what cancelling does."""
    config = RunConfig(missions=10_000_000, output=tmp_path, mission=Quick())
    with anyio.CancelScope() as scope:
        async with open_run(config):
            scope.deadline = anyio.current_time()
    assert scope.cancelled_caught
    assert read_json(tmp_path / "progress.json")["status"] == "interrupted"


class HeldAtTheStart(Quick):
    """Keeps whoever reads its lines again, as a start behind a kill does, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = threading.Event()
        self.let_go = threading.Event()

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Wait in the thread that reads."""
        self.is_read.set()
        assert self.let_go.wait(60)
        return super().read(first, lines)


@both_loops
async def test_a_start_that_asyncio_cancels_keeps_the_folder_until_it_has_ended(
    tmp_path: Path,
) -> None:
    """What it does to the folder is done before another run can have it: nothing is lost."""
    await run(RunConfig(missions=200, output=tmp_path, mission=Quick()))
    (tmp_path / "checkpoint.json").unlink()
    with (tmp_path / "missions" / "mission_000000000.jsonl").open("ab") as torn:
        torn.write(b"{")
    slow = HeldAtTheStart()
    start = asyncio.create_task(run(RunConfig(missions=200, output=tmp_path, mission=slow)))
    await anyio.to_thread.run_sync(slow.is_read.wait)
    for _ in range(3):
        start.cancel()
        await anyio.lowlevel.checkpoint()
    with pytest.raises(FolderInUse):
        await run(RunConfig(missions=400, output=tmp_path, mission=Quick()))
    slow.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await start

    report = await run(RunConfig(missions=400, output=tmp_path, mission=Quick()))
    assert (400, 200) == (report.missions, report.new_missions)


async def begin(config: RunConfig, begun: asyncio.Event) -> None:
    """Run, and tell when there are records."""
    async with open_run(config) as live:
        async with aclosing(live.records()) as records:
            await anext(records)
        begun.set()


async def reach_a_deadline(config: RunConfig) -> None:
    """Run until the time is up."""
    async with asyncio.timeout(None) as deadline, open_run(config) as live:
        async for _ in live.records():
            deadline.reschedule(0)


async def fail_beside(config: RunConfig) -> None:
    """Run until another task of the group fails."""
    async with asyncio.TaskGroup() as tasks:
        begun = asyncio.Event()
        tasks.create_task(begin(config, begun))
        await begun.wait()
        raise LookupError


async def insist(config: RunConfig) -> None:
    """Run until cancelled, which is done again and again."""
    begun = asyncio.Event()
    task = asyncio.create_task(begin(config, begun))
    await begun.wait()
    while not task.done():
        task.cancel()
        await anyio.lowlevel.checkpoint()
    await task


@both_loops
@pytest.mark.parametrize(
    ("cancel", "error"),
    [
        (reach_a_deadline, TimeoutError),
        (fail_beside, ExceptionGroup),
        (insist, asyncio.CancelledError),
    ],
)
async def test_what_asyncio_cancels_stops_in_order(
    tmp_path: Path,
    cancel: Callable[[RunConfig], Awaitable[None]],
    error: type[BaseException],
) -> None:
    """Its deadlines and task groups do what a cancel scope does."""
    with pytest.raises(error):
        await cancel(RunConfig(missions=10_000_000, output=tmp_path, mission=Quick()))
    progress = await anyio.to_thread.run_sync(read_progress, tmp_path)
    assert "interrupted" == progress.status
    assert 0 < progress.mission_current == progress.checkpoint_missions
    assert progress.mission_current == len(await journal(tmp_path))


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
async def test_an_exception_in_the_body_stops_in_order(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """The host's exception comes out as it is, and the run is left fit to go on."""
    with pytest.raises(error):
        async with open_run(RunConfig(missions=10_000_000, output=tmp_path, mission=Quick())):
            raise error
    assert read_json(tmp_path / "progress.json")["status"] == "interrupted"


async def test_an_exception_in_a_cancelled_body_is_not_lost(tmp_path: Path) -> None:
    """Waiting for the end of the run, which is cancelled as well, does not hide it."""

    async def fail_when_cancelled() -> None:
        with anyio.CancelScope() as scope:
            async with open_run(RunConfig(output=tmp_path, mission=Quick())):
                scope.cancel()
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_when_cancelled()
    assert read_json(tmp_path / "progress.json")["status"] == "interrupted"


async def test_stopping_ends_the_run_but_not_the_body(tmp_path: Path) -> None:
    """`stop()` asks for an orderly end; the report says how far the run came."""
    async with open_run(RunConfig(missions=10_000_000, output=tmp_path, mission=Quick())) as live:
        async with aclosing(live.records()) as records:
            await anext(records)
        live.stop()
    assert live.report.status == "interrupted"
    lines = (tmp_path / "missions" / "mission_000000000.jsonl").read_bytes().count(b"\n")
    assert live.report.missions == lines
    assert live.report.dataset_sha256 is None


async def test_stopping_at_the_very_start_takes_nothing_back(tmp_path: Path) -> None:
    """What is in the journal counts, though it was not read again yet; so did the last session."""
    await run(RunConfig(missions=200, output=tmp_path, mission=Quick()))
    (tmp_path / "checkpoint.json").unlink()
    before = read_json(tmp_path / "progress.json")
    async with open_run(RunConfig(missions=400, output=tmp_path, mission=Quick())) as live:
        live.stop()
        events = [event async for event in live.events()]
    assert (200, 0) == (live.report.missions, live.report.new_missions)
    assert before["stats"] == msgspec.to_builtins(live.report.outcomes)
    assert Finished("interrupted", 200) == events[-1]
    assert "stopped after 200 of 400 missions" in log_of(tmp_path)
    progress = read_json(tmp_path / "progress.json")
    for key in ("mission_current", "stats"):
        assert before[key] == progress[key]


async def test_time_stands_still_behind_the_end(tmp_path: Path) -> None:
    """What a host does in the body after the run's end is not counted."""
    async with open_run(RunConfig(missions=8, output=tmp_path, mission=Quick())) as live:
        async for _ in live.events():
            pass
        report, progress = live.report, live.progress
        await anyio.lowlevel.checkpoint()
        assert report.seconds == live.report.seconds
        assert progress.elapsed_seconds == live.progress.elapsed_seconds
        assert progress.rate_missions_per_sec == live.progress.rate_missions_per_sec


async def test_giving_up_keeps_what_is_committed(tmp_path: Path) -> None:
    """`give_up()` does not wait for workers; the next session goes on from the journal."""
    config = RunConfig(missions=300, output=tmp_path, seed=SEED, mission=AirMission())
    async with open_run(config) as live:
        async with aclosing(live.records()) as records:
            await anext(records)
        live.give_up()
    committed = live.report.missions
    assert committed > 0
    assert "gave up" in log_of(tmp_path)

    report = await run(config)
    assert report.new_missions == 300 - committed


async def test_records_come_in_order_and_all(tmp_path: Path) -> None:
    """The stream gives each committed record once, in order, those of earlier sessions first."""
    await run(RunConfig(missions=100, output=tmp_path, seed=SEED))
    async with open_run(RunConfig(missions=250, output=tmp_path, seed=SEED)) as live:
        records = [record async for record in live.records()]
    assert list(range(250)) == [record.mission_number for record in records]
    assert await journal(tmp_path) == records
    assert all(isinstance(record, MissionRecord) for record in records)


async def test_records_start_where_they_are_asked_to(tmp_path: Path) -> None:
    """A stream may begin at any mission, also of a run that is complete."""
    config = RunConfig(missions=100, output=tmp_path, seed=SEED)
    await run(config)
    async with open_run(config) as live:
        numbers = [record.mission_number async for record in live.records(start=60)]
    assert list(range(60, 100)) == numbers


async def test_records_can_only_start_at_a_mission(tmp_path: Path) -> None:
    """A stream from before the first mission is a mistake, and told as one."""
    async with open_run(RunConfig(missions=10, output=tmp_path, mission=Quick())) as live:
        with pytest.raises(ValueError, match="start: expected 0 or more, not -3"):
            await anext(live.records(start=-3))


@pytest.mark.parametrize("by_scope", [True, False])
async def test_a_record_that_was_not_waited_for_comes_next(tmp_path: Path, by_scope: bool) -> None:
    """Who sets a deadline for each record misses none, and gets none twice."""
    numbers: list[int] = []
    async with open_run(RunConfig(missions=700, output=tmp_path, mission=Quick())) as live:
        records = live.records()

        async def take(scope: anyio.CancelScope) -> None:
            with scope:
                numbers.append((await anext(records))["mission_number"])

        attempts = 0
        while len(numbers) < 700:
            scope = anyio.CancelScope()
            task = asyncio.create_task(take(scope))
            for _ in range(attempts % 5):
                await anyio.lowlevel.checkpoint()
            (scope if by_scope else task).cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None
            attempts += 1
        with pytest.raises(StopAsyncIteration):
            await anext(records)
    assert [*range(700)] == numbers
    assert attempts > 700


async def test_many_may_share_a_stream_of_records(tmp_path: Path) -> None:
    """Each record is given to one of them."""
    numbers: list[int] = []

    async def take(records: AsyncIterator[Any]) -> None:
        numbers.extend([record["mission_number"] async for record in records])

    async with open_run(RunConfig(missions=700, output=tmp_path, mission=Quick())) as live:
        records = live.records()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(take, records)
    assert [*range(700)] == sorted(numbers)


async def test_reading_records_leaves_others_their_turns(tmp_path: Path) -> None:
    """However many records are there already, the loop goes round between a few of them."""
    config = RunConfig(missions=256, output=tmp_path, mission=Quick())
    await run(config)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with open_run(config) as live, anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        at_turns = Counter([turns async for _ in live.records()])
        tasks.cancel_scope.cancel()
    assert max(at_turns.values()) <= 32


async def test_a_stream_that_is_dropped_holds_nothing_back(tmp_path: Path) -> None:
    """Who breaks out of a loop and forgets the stream lets the run go on, also in the body."""
    async with open_run(RunConfig(missions=9000, output=tmp_path, mission=Quick())) as live:
        async for _ in live.records():
            break
        events = [event async for event in live.events()]
    assert Finished("completed", 9000) == events[-1]


async def test_a_slow_reader_holds_the_run_back(tmp_path: Path) -> None:
    """While somebody reads, the run does not get far ahead: memory stays flat."""
    simulated: list[int] = []
    mission = Quick(simulated.append, block_size=64)
    config = RunConfig(missions=20_000, output=tmp_path, mission=mission)
    async with open_run(config) as live, aclosing(live.records()) as records:
        async for record in records:
            assert simulated[-1] < record["mission_number"] + 10_000
            if record["mission_number"] == 12_000:
                break
    assert live.report.status == "completed"
    assert len(simulated) == 20_000


async def test_a_reader_that_leaves_lets_the_run_go_on(tmp_path: Path) -> None:
    """Leaving the stream, and the body, does not stop the run."""
    async with open_run(RunConfig(missions=9000, output=tmp_path, mission=Quick())) as live:
        async for _ in live.records():
            break  # without closing the iterator
    assert live.report.status == "completed"


async def test_a_mission_that_raises_stops_the_run(tmp_path: Path) -> None:
    """All missions before it are kept; its traceback is in the log; mended, the run goes on."""

    def trip(index: int) -> None:
        if index == 130:
            raise LookupError("no such host")

    config = RunConfig(missions=200, output=tmp_path, mission=Quick(trip))
    with pytest.raises(MissionFailed, match="mission 130 raised LookupError: no such host"):
        await run(config)

    assert (tmp_path / "missions" / "mission_000000000.jsonl").read_bytes().count(b"\n") == 130
    assert read_json(tmp_path / "progress.json")["status"] == "failed"
    log = log_of(tmp_path)
    assert "Traceback" in log
    assert 'raise LookupError("no such host")' in log

    mended = RunConfig(missions=200, output=tmp_path, mission=Quick())
    assert (await run(mended)).new_missions == 70


@pytest.mark.parametrize(
    ("name", "value"), [("duration", float("nan")), ("efficiency", float("inf"))]
)
async def test_a_metric_that_is_no_finite_number_is_an_error(
    tmp_path: Path, name: str, value: float
) -> None:
    """It would make sums that no checkpoint can hold; the mission and the metric are named."""

    class Endless(Quick):
        def read(self, first: int, lines: Sequence[bytes]) -> Block:
            """Let mission 5 have the metric."""
            block = super().read(first, lines)
            block.metrics[name][block.metrics[name] == 5] = value
            return block

    with pytest.raises(MissionFailed) as caught:
        await run(RunConfig(missions=9, output=tmp_path, mission=Endless()))

    told = f"mission 5 raised ValueError: {name}: expected a finite number, not {value}"
    assert str(caught.value).startswith(told)
    assert 5 == read_json(tmp_path / "progress.json")["mission_current"]


async def test_what_makes_a_cancelled_run_fail_is_told(tmp_path: Path) -> None:
    """Also to a host that has just run out of patience."""
    scope = anyio.CancelScope()

    def trip(index: int) -> None:
        if index == 8:
            scope.cancel()
            raise LookupError

    async def lose_patience() -> None:
        with scope:
            await run(RunConfig(missions=16, output=tmp_path, mission=Quick(trip)))

    with pytest.raises(MissionFailed, match="mission 8"):
        await lose_patience()


async def test_errors_can_be_recorded(tmp_path: Path) -> None:
    """With `on_error="record"` the run goes on; such missions are in the journal, in no batch."""

    def trip(index: int) -> None:
        if index % 10 == 7:
            raise LookupError(f"at {object()}")

    config = RunConfig(
        missions=100, output=tmp_path, mission=AirMission(trip), on_error="record", batch_size=20
    )
    async with open_run(config) as live:
        records = [record async for record in live.records()]
    assert live.report.status == "completed"
    assert live.report.outcomes.error_count == 10
    errors = [record for record in records if isinstance(record, ErrorRecord)]
    assert list(range(7, 100, 10)) == [error.mission_number for error in errors]
    assert {"LookupError"} == {error.error for error in errors}

    batch = torch.load(tmp_path / "batches" / "batch_000000.pt", weights_only=True)
    kept = [number for number in range(20) if number % 10 != 7]
    assert [[[float(number)]] * 50 for number in kept] == batch["features"].tolist()
    assert batch["batch_size"] == 18
    assert index_of(tmp_path)["batches"][0]["rows"] == 18


async def test_recorded_errors_survive_a_resume(tmp_path: Path) -> None:
    """A run with errors that is interrupted gives the same bytes as one that is not."""

    def trip(index: int) -> None:
        if index % 10 == 7:
            raise LookupError

    folders = [tmp_path / "straight", tmp_path / "resumed"]

    def config(folder: Path, missions: int) -> RunConfig:
        return RunConfig(
            missions=missions, output=folder, mission=AirMission(trip), on_error="record"
        )

    await run(config(folders[0], 100))
    await run(config(folders[1], 39))
    await run(config(folders[1], 100))
    assert data_set(folders[0]) == data_set(folders[1])


async def test_a_failing_disk_fails_the_run(tmp_path: Path, no_blocking_calls: BlockBuster) -> None:
    """Data that can't be written stops the run with the file's name, and nothing is lost."""
    missing = tmp_path / "batches"
    no_blocking_calls.functions["os.rename"].can_block_in("test_embedding.py", "pull_the_plug")

    def pull_the_plug(index: int) -> None:
        if index == 100:
            missing.rename(tmp_path / "gone")

    config = RunConfig(missions=500, output=tmp_path, mission=AirMission(pull_the_plug))
    with pytest.raises(StorageFailed, match=r"No such file or directory: .*batches"):
        await run(config)
    assert read_json(tmp_path / "progress.json")["status"] == "failed"
    (tmp_path / "gone").rename(missing)
    assert (
        await run(RunConfig(missions=500, output=tmp_path, mission=AirMission()))
    ).missions == 500


async def test_the_host_is_left_as_it_was(tmp_path: Path) -> None:
    """No signal handler, no logging handler and no lock is left behind by a run."""
    lines: list[str] = []
    handler = logger.add(lines.append, format="{message}")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    inside: dict[signal.Signals, object] = {}
    async with open_run(RunConfig(missions=64, output=tmp_path, mission=Quick())):
        inside = {number: signal.getsignal(number) for number in handlers}
    assert handlers == inside
    logger.info("after the run")
    logger.remove(handler)
    assert lines[-1] == "after the run\n"
    assert "after the run" not in log_of(tmp_path)
    await run(RunConfig(missions=64, output=tmp_path, mission=Quick()))


async def test_a_host_may_take_all_handlers_away(tmp_path: Path) -> None:
    """What sets up its logging while a run goes on takes the run's own away, and nothing else."""
    async with open_run(RunConfig(missions=64, output=tmp_path, mission=Quick())) as live:
        logger.remove()

    assert "completed" == live.report.status


async def test_a_host_may_silence_the_run(tmp_path: Path) -> None:
    """Its handlers are told nothing, nor is the run's own file."""
    lines: list[str] = []
    handler = logger.add(lines.append)
    logger.disable("synexs_async")
    try:
        await run(RunConfig(missions=8, output=tmp_path, mission=Quick()))
    finally:
        logger.enable("synexs_async")
        logger.remove(handler)
    assert ([], "") == (lines, log_of(tmp_path))


def test_ctrl_c_in_a_plain_program_stops_in_order(tmp_path: Path) -> None:
    """A program that does nothing about signals ends as ever, and its run fit to go on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    with subprocess.Popen(
        [sys.executable, "-c", PLAIN_PROGRAM, tmp_path],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert "begun\n" == program.stdout.readline()
        program.send_signal(signal.SIGINT)
        _, complaints = program.communicate(timeout=60)
    assert -signal.SIGINT == program.returncode
    assert complaints.endswith("KeyboardInterrupt\n")
    progress = read_progress(tmp_path)
    assert "interrupted" == progress.status
    assert progress.mission_current == progress.checkpoint_missions


async def test_log_lines_are_whole_and_in_order(tmp_path: Path) -> None:
    """The file has every line that a run wrote, in the order in which it wrote them."""
    seen: list[str] = []
    handler = logger.add(seen.append, level="DEBUG", format="{message}")
    await run(RunConfig(missions=3000, output=tmp_path, workers=2))
    logger.remove(handler)
    assert len(seen) > 10
    assert [line.rstrip("\n") for line in seen] == [
        line.split(" | ", 2)[2] for line in log_of(tmp_path).splitlines()
    ]


async def test_progress_can_be_read_at_any_moment(tmp_path: Path) -> None:
    """While the file is being replaced, a reader always finds a whole one."""
    statuses = []
    missions = [0]
    async with open_run(RunConfig(missions=20_000, output=tmp_path)) as live:
        while live.progress.status == "running":
            if (tmp_path / "progress.json").exists():
                content = await anyio.to_thread.run_sync(read_json, tmp_path / "progress.json")
                statuses.append(content["status"])
                missions.append(content["mission_current"])
            await anyio.lowlevel.checkpoint()
    assert "running" == statuses[0]
    assert {*statuses} <= {"running", "completed"}
    assert sorted(missions) == missions
    assert read_json(tmp_path / "progress.json")["status"] == "completed"


async def test_progress_has_the_keys_that_monitors_read(tmp_path: Path) -> None:
    """The keys that monitors of earlier runners read are there, with what they mean."""
    await run(RunConfig(missions=100, output=tmp_path, seed=SEED))
    progress = read_json(tmp_path / "progress.json")
    assert 100 == progress["mission_current"] == progress["mission_total"]
    assert progress["progress_percent"] == 100.0
    assert progress["status"] == "completed"
    assert sum(progress["stats"].values()) == 100
    assert {"success_count", "failure_count", "abort_count", "error_count"} == set(
        progress["stats"]
    )
    for key in ("timestamp", "elapsed_seconds", "rate_missions_per_sec", "eta_seconds"):
        assert key in progress
    assert progress["seed"] == SEED
    assert progress["batches_written"] == 4
    assert progress["checkpoint_missions"] == 100


async def test_blocking_calls_on_the_loop_are_found(tmp_path: Path) -> None:
    """The guard that all these tests run under does guard."""
    await run(RunConfig(missions=10, output=tmp_path, mission=Quick()))
    with pytest.raises(BlockingError):
        read_progress(tmp_path)


async def test_another_run_in_the_folder_is_refused(undisturbed: Path) -> None:
    """A folder is never mixed: each field that differs is named, and nothing is changed."""
    before = data_set(undisturbed)
    with pytest.raises(IdentityMismatch) as caught:
        await run(RunConfig(missions=6000, output=undisturbed, seed=12, batch_size=16))
    assert caught.value.differences == {"seed": (SEED, 12), "batch_size": (32, 16)}
    assert before == data_set(undisturbed)
