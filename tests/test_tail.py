"""Following a run from outside: its log and its missions, by the library and by the command."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import pytest
from air import Quick
from builders import begun_run, missions, missions_with_errors
from conftest import ROOT, Command
from datasets import everything, log_of
from watched_missions import MISSION as GATED

from synexs_async import (
    ConfigError,
    FolderError,
    JournalDamaged,
    LogLine,
    RunConfig,
    find_missions,
    follow_log,
    follow_missions,
    last_log_lines,
    last_missions,
    run,
)
from synexs_async.cli import main
from synexs_async.monitoring import following
from synexs_async.monitoring.changes import Changes
from synexs_async.storage.folder import RunFolder
from synexs_async.storage.journal import JournalWriter, Layout, Mark
from synexs_async.storage.progress import OutcomeCounts, Progress, write_progress

T = TypeVar("T")
PATIENCE = 60.0
SLOW = """
import time
from synexs_async import Context, mission

@mission()
def slow(ctx: Context) -> str:
    time.sleep(0.001)
    ctx.metric("index", ctx.index)
    return "success" if ctx.rng.random() < 0.5 else "failure"
"""


def tell(run_folder: Path, status: str = "running", **changes: Any) -> None:
    """Write a progress file, by default that of a run in this very process."""
    told: dict[str, Any] = {
        "timestamp": "2026-01-31T23:59:59.123+00:00",
        "status": status,
        "mission_current": 0,
        "mission_total": 1000,
        "progress_percent": 0.0,
        "elapsed_seconds": 1.0,
        "rate_missions_per_sec": 0.0,
        "eta_seconds": None,
        "stats": OutcomeCounts(),
        "seed": 7,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "checkpoint_missions": 0,
        "batches_written": 0,
        "loop_lag_ms": 0.0,
        "rss_bytes": 0,
        **changes,
    }
    write_progress(run_folder / "progress.json", Progress(**told))


def entry(message: str, level: str = "INFO") -> str:
    """Return a log line as a run writes it."""
    return f"2026-01-31 23:59:59.123 | {level:<8} | {message}\n"


def log_file(run_folder: Path, *entries: str, second: int = 0, suffix: str = "") -> Path:
    """Write the log of a session."""
    file = run_folder / "logs" / f"training_20260131_2359{second:02}.log{suffix}"
    file.write_text("".join(entries), "utf-8")
    return file


def journal_of(run_folder: Path, count: int, missions_per_file: int = 10_000) -> JournalWriter:
    """Write a journal of the team mission, of which each seventh mission raised."""
    layout = Layout(RunFolder(run_folder), missions_per_file, 32)
    writer = JournalWriter(layout, Mark())
    writer.append(missions_with_errors(0, count, range(6, count, 7)))
    return writer


async def off_loop(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Call what may block, as a host should."""
    return await anyio.to_thread.run_sync(partial(function, *arguments, **named))


async def collect(items: AsyncGenerator[Any, None], into: list[Any]) -> None:
    """Take all that a tail gives, until it ends by itself."""
    async with aclosing(items):
        async for item in items:
            into.append(item)  # noqa: PERF401  what came before an error counts


def texts(lines: Sequence[LogLine]) -> str:
    """Return lines as they stand in the file."""
    return "".join(f"{line.text}\n" for line in lines)


class TestFollowing:
    """The library's iterators."""

    async def test_a_resume_is_followed(self, command: Command, tmp_path: Path) -> None:
        """From before a run begins, over its interruption, to its end: everything, once."""
        folder, gate = tmp_path / "run", tmp_path / "gate"
        mission = ("--mission", GATED, "--param", "at=300", "--param", f"file={gate}")
        options = (*mission, "--missions", 600, "--output", folder)
        lines: list[LogLine] = []
        records: list[dict[str, Any]] = []

        async def read_log() -> None:
            async with aclosing(follow_log(folder, keep=True)) as log:
                async for line in log:
                    lines.append(line)
                    if line.message.startswith("complete:"):
                        return

        async def read_missions() -> None:
            async with aclosing(follow_missions(folder, keep=True)) as journal:
                async for record in journal:
                    records.append(record)
                    if len(records) == 50:
                        process.send_signal(signal.SIGINT)
                    if len(records) == 600:
                        return

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read_log)
                tasks.start_soon(read_missions)
                await anyio.lowlevel.checkpoint()
                process = await off_loop(command.start, *options)
                assert 130 == await off_loop(process.wait)
                process.communicate()
                gate.touch()
                resumed = await off_loop(command.run, *options)
                assert 0 == resumed.returncode, resumed.stderr
        journal = (folder / "missions" / "mission_000000000.jsonl").read_text()
        assert [json.loads(line) for line in journal.splitlines()] == records
        assert log_of(folder) == texts(lines)
        assert any(line.message.startswith("resuming at mission") for line in lines)

    async def test_a_killed_run_ends_its_tails(self, command: Command, tmp_path: Path) -> None:
        """After `kill -9` nobody says that the run has ended; its tails find out."""
        (tmp_path / "slow.py").write_text(SLOW)
        folder = tmp_path / "run"
        options = ("--mission", f"{tmp_path}/slow.py:slow", "--missions", 10**6)
        process = await off_loop(command.start, *options, "--output", folder)
        lines: list[LogLine] = []
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(collect, follow_log(folder), lines)
                async for record in follow_missions(folder, start=0):
                    if record["mission_number"] == 20:
                        process.kill()
                        await off_loop(process.communicate)
        assert log_of(folder).startswith(texts(lines))
        assert "starting 1000000 missions" in lines[0].message

    async def test_many_tails_at_once(self, tmp_path: Path) -> None:
        """More tails than a program has threads, beside the run itself: each sees it all."""
        logs: list[list[LogLine]] = [[] for _ in range(24)]
        journals: list[list[dict[str, Any]]] = [[] for _ in range(24)]
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for log, journal in zip(logs, journals, strict=True):
                    tasks.start_soon(collect, follow_log(tmp_path), log)
                    tasks.start_soon(collect, follow_missions(tmp_path, start=0), journal)
                await run(RunConfig(missions=700, output=tmp_path, mission=Quick()))
        for log, journal in zip(logs, journals, strict=True):
            assert log_of(tmp_path) == texts(log)
            assert [*range(700)] == [record["mission_number"] for record in journal]

    async def test_cancelling_ends_a_tail(self, tmp_path: Path) -> None:
        """A tail that waits, for lines or for a run, can be cancelled at once."""
        await off_loop(begun_run, tmp_path / "run")
        await off_loop(tell, tmp_path / "run")
        for folder in ("run", "none yet"):
            with anyio.fail_after(PATIENCE), anyio.move_on_after(0.15) as scope:
                await anext(follow_log(tmp_path / folder))
            assert scope.cancelled_caught

    async def test_a_traceback_belongs_to_its_message(self, tmp_path: Path) -> None:
        """An error is one line with all that follows it, also when it is written bit by bit."""
        folder = await off_loop(begun_run, tmp_path)
        await off_loop(tell, folder)
        file = log_file(folder)
        trace = "failed\nTraceback (most recent call last):\n  ...\nValueError: no\n"
        whole = entry("one") + entry(trace[:-1], "ERROR") + entry("two")
        with file.open("a", buffering=1) as log, anyio.fail_after(PATIENCE):
            async with aclosing(follow_log(folder)) as lines:
                log.write(whole[:70])  # in the middle of the second line
                first = await anext(lines)
                log.write(whole[70:])
                rest = [await anext(lines), await anext(lines)]
        assert ["one", trace[:-1], "two"] == [line.message for line in (first, *rest)]
        assert whole == texts([first, *rest])

    async def test_a_folder_whose_name_is_no_text(self, tmp_path: Path) -> None:
        """It is followed like any other, though the system's watcher can't be told of it."""
        folder = await off_loop(begun_run, tmp_path / os.fsdecode(b"run\xff"))
        (await off_loop(journal_of, folder, 3)).close()
        log_file(folder, entry("here"))
        await off_loop(tell, folder, "completed")
        lines: list[LogLine] = []
        records: list[dict[str, Any]] = []
        with anyio.fail_after(PATIENCE):
            await collect(follow_log(folder), lines)
            await collect(follow_missions(folder, start=0), records)
        assert (["here"], 3) == ([line.message for line in lines], len(records))

    async def test_only_what_is_asked_for(self, tmp_path: Path) -> None:
        """Levels and patterns choose lines; a level that a host made up is always shown."""
        folder = await off_loop(begun_run, tmp_path)
        levels = ["DEBUG", "INFO", "WARNING", "ERROR", "NOTICE"]
        log_file(folder, *(entry(f"about {level}", level) for level in levels))
        await off_loop(tell, folder, "completed")
        seen: list[LogLine] = []
        await collect(follow_log(folder, level="WARNING"), seen)
        assert ["WARNING", "ERROR", "NOTICE"] == [line.level for line in seen]
        seen.clear()
        await collect(follow_log(folder, pattern=re.compile("about (I|E)")), seen)
        assert ["INFO", "ERROR"] == [line.level for line in seen]
        with pytest.raises(ConfigError, match="level: expected one of TRACE, DEBUG"):
            await anext(follow_log(folder, level="LOUD"))

    async def test_missions_from_any_on(self, tmp_path: Path) -> None:
        """A tail starts at the mission that it is asked to, or with the last ones, or with new."""
        folder = await off_loop(begun_run, tmp_path)
        writer = await off_loop(journal_of, folder, 40)
        await off_loop(tell, folder)
        tails = [
            follow_missions(folder, start=37),
            follow_missions(folder, start=43),
            follow_missions(folder, last=2),
            follow_missions(folder, last=1, outcome="error"),
        ]
        with anyio.fail_after(PATIENCE):
            there = [(await anext(tails[place]))["mission_number"] for place in (0, 2, 3)]
            await off_loop(writer.append, missions_with_errors(40, 50, [41, 48]))
            await off_loop(writer.close)
            await off_loop(tell, folder, "interrupted")
            seen: list[list[dict[str, Any]]] = [[] for _ in tails]
            for tail, records in zip(tails, seen, strict=True):
                await collect(tail, records)
        assert [37, 38, 34] == there
        assert [
            [*range(38, 50)],
            [*range(43, 50)],
            [*range(39, 50)],
            [41, 48],
        ] == [[record["mission_number"] for record in records] for records in seen]

    async def test_a_tail_that_lags_goes_on_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It waits for more only where it has read all, be it much, or passed over."""
        monkeypatch.setattr(following, "_PACE", 10 * PATIENCE)
        folder = await off_loop(begun_run, tmp_path)
        (await off_loop(journal_of, folder, 2000)).close()
        log_file(folder, *(entry(f"{n} {'x' * 200}") for n in range(2000)), entry("no", "ERROR"))
        await off_loop(tell, folder)
        with anyio.fail_after(PATIENCE):
            async with aclosing(follow_missions(folder, start=0)) as records:
                numbers = [(await anext(records))["mission_number"] for _ in range(2000)]
            async with aclosing(follow_missions(folder, start=1990)) as records:
                assert 1990 == (await anext(records))["mission_number"]
            async with aclosing(follow_log(folder)) as lines:
                for number in range(2000):
                    assert (await anext(lines)).message.startswith(f"{number} ")
        assert [*range(2000)] == numbers

    async def test_another_run_in_the_folder(self, tmp_path: Path) -> None:
        """Where a run is archived and another one begun, a tail that stays goes on with that."""
        quick = RunConfig(missions=30, output=tmp_path, mission=Quick())
        await run(quick)
        numbers: list[int] = []
        with anyio.fail_after(PATIENCE):
            async with aclosing(follow_missions(tmp_path, start=20, keep=True)) as records:
                async for record in records:
                    numbers.append(record["mission_number"])
                    if len(numbers) == 10:
                        await run(
                            RunConfig(missions=5, output=tmp_path, mission=Quick(), resume=False)
                        )
                    if len(numbers) == 15:
                        break
        assert [*range(20, 30), *range(5)] == numbers

    async def test_a_damaged_journal_is_named(self, tmp_path: Path) -> None:
        """A line that is no record ends the tail with file and line, behind what came before."""
        folder = await off_loop(begun_run, tmp_path)
        (await off_loop(journal_of, folder, 100)).close()
        with (folder / "missions" / "mission_000000000.jsonl").open("a") as journal:
            journal.write("{}\n")
        await off_loop(tell, folder, "completed")
        records: list[dict[str, Any]] = []
        with pytest.raises(JournalDamaged, match=r"mission_000000000.jsonl, line 101: .*no record"):
            await collect(follow_missions(folder, start=0), records)
        assert [*range(100)] == [record["mission_number"] for record in records]


class TestTheEnd:
    """The last lines, and the last missions."""

    def test_lines_come_from_as_many_files_as_it_takes(self, tmp_path: Path) -> None:
        """Sessions and what rotation left of them, the oldest first; a torn line is none."""
        folder = begun_run(tmp_path)
        log_file(folder, entry("1"), second=1)
        log_file(folder, entry("2"), second=7, suffix=".10")
        log_file(folder, entry("3\nTraceback\nError", "ERROR"), entry("4"), second=7, suffix=".9")
        log_file(folder, entry("5"), second=7, suffix=".1")
        log_file(folder, entry("6"), entry("torn")[:-3], second=7)
        log_file(folder, entry("other"), second=7, suffix=".1.gz")
        messages = ["1", "2", "3\nTraceback\nError", "4", "5", "6"]
        for count in range(8):
            lines = last_log_lines(folder, count)
            assert messages[max(6 - count, 0) :] == [line.message for line in lines]
        assert [messages[2]] == [
            line.message for line in last_log_lines(folder, 2, level="WARNING")
        ]

    def test_missions_are_chosen_by_outcome_and_difficulty(self, tmp_path: Path) -> None:
        """What is given is what filtering all of the journal gives."""
        folder = begun_run(tmp_path)
        journal_of(folder, 200).close()
        tell(folder, "interrupted")
        lines = (folder / "missions" / "mission_000000000.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        for outcome in (None, "success", "failure", "aborted", "error"):
            for group in (None, "easy", "hard", "none such", ""):
                expected = [
                    record
                    for record in records
                    if outcome in (None, record["status"])
                    and group in (None, record.get("environment", {}).get("difficulty", ""))
                ]
                assert expected[-7:] == last_missions(folder, 7, outcome=outcome, group=group)

    def test_no_more_of_the_journal_is_read_than_is_needed(self, tmp_path: Path) -> None:
        """Neither what lies before the last ones, nor anything where there are none."""
        folder = begun_run(tmp_path)
        block = missions(0, 10_020)
        writer = JournalWriter(Layout(RunFolder(folder), 10_000, 32), Mark())
        writer.append(block)
        writer.close()
        counts = [block.outcomes.tolist().count(outcome) for outcome in range(3)]
        tell(folder, "interrupted", mission_current=10_020, stats=OutcomeCounts(*counts))
        (folder / "missions" / "mission_000000000.jsonl").unlink()
        last = last_missions(folder, 20)
        assert [*range(10_000, 10_020)] == [record["mission_number"] for record in last]
        assert [] == last_missions(folder, 1, outcome="error")
        with pytest.raises(JournalDamaged, match="the file is missing"):
            last_missions(folder, 21)

    def test_a_kind_without_groups(self, tmp_path: Path) -> None:
        """Asking for a group of missions that have none is refused."""
        anyio.run(run, RunConfig(missions=3, output=tmp_path, mission=Quick()))
        with pytest.raises(FolderError, match="names no field that its missions are grouped by"):
            last_missions(tmp_path, 1, group="hard")
        (tmp_path / "progress.json").unlink()
        for find in (partial(last_missions, count=1), find_missions):
            with pytest.raises(FolderError, match="tells nothing yet"):
                find(tmp_path, group="hard")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("logs/training_20260131_235900.log", last_log_lines),
        ("missions/mission_000000000.jsonl", last_missions),
    ],
)
def test_a_pipe_in_the_place_of_a_file_is_refused(
    tmp_path: Path, name: str, read: Callable[[Path, int], object]
) -> None:
    """Nobody waits for who may write into it one day."""
    folder = begun_run(tmp_path)
    os.mkfifo(folder / name)
    with pytest.raises(FolderError, match=f"can't be read: {Path(name).name} is no file of lines"):
        read(folder, 1)


def test_a_file_whose_name_is_no_text_is_noticed(tmp_path: Path) -> None:
    """So are changes that come after it."""
    with Changes(tmp_path) as changes:
        for name in (b"\xff", b"a"):
            changes.wait_here(0)  # begins to watch
            (tmp_path / os.fsdecode(name)).touch()
            changes.wait_here(PATIENCE)


def test_counts_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """By the functions too, before anything is read."""

    async def follow(lines: AsyncGenerator[Any, None]) -> None:
        await anext(lines)

    for read in (
        lambda: last_missions(tmp_path, -1),
        lambda: last_log_lines(tmp_path, -1),
        lambda: anyio.run(follow, follow_missions(tmp_path, last=-1)),
        lambda: anyio.run(follow, follow_log(tmp_path, last=-1)),
        lambda: find_missions(tmp_path, limit=0),
        lambda: find_missions(tmp_path, outcome="sucess"),
    ):
        with pytest.raises(ConfigError, match="expected"):
            read()


class TestCommand:
    """`python -m synexs_async tail`, as a real process."""

    def test_lines_of_a_log(self, command: Command, tmp_path: Path) -> None:
        """The last lines, of a level, in which something is found; as they are, or as JSON."""
        folder = begun_run(tmp_path)
        log_file(folder, *(entry(f"line {n}", "WARNING" if n % 2 else "INFO") for n in range(60)))
        shown = command.run("tail", folder)
        assert (0, "") == (shown.returncode, shown.stderr)
        assert "".join(
            entry(f"line {n}", "WARNING" if n % 2 else "INFO") for n in range(40, 60)
        ) == (shown.stdout)
        options = ("-n", 2, "--level", "warning", "--grep", "line [34]", "--json")
        lines = command.run("tail", folder, *options).stdout.splitlines()
        assert [
            {
                "timestamp": "2026-01-31 23:59:59.123",
                "level": "WARNING",
                "message": f"line {number}",
            }
            for number in (47, 49)
        ] == [json.loads(line) for line in lines]

    def test_a_mission_of_any_kind_is_a_line(self, command: Command, tmp_path: Path) -> None:
        """Number, outcome, group, simulated seconds and the main metrics, as far as there are."""
        folder = begun_run(tmp_path)
        team = missions_with_errors(0, 2, [1]).lines
        others = [
            {"mission_id": "", "mission_number": 2, "status": "a\nr", "error": "a\nb \x9b"},
            {
                "mission_id": "",
                "mission_number": 3,
                "duration": 2.5,
                "metrics": {"return": 17.0, "length": 17},
                "result": {"seeds": [1, 2]},
                "status": "success",
            },
            {
                "mission_id": "",
                "mission_number": 4,
                "duration": 0,
                "metrics": {},
                "result": "x" * 80,
                "status": "aborted",
            },
        ]
        content = b"".join(team) + b"".join(json.dumps(o).encode() + b"\n" for o in others)
        (folder / "missions" / "mission_000000000.jsonl").write_bytes(content)
        tell(folder, "completed")
        record = json.loads(team[0])
        metrics = record["metrics"]
        shown = command.run("tail", folder, "--missions")
        assert [
            (
                f"0 {record['status']} {record['environment']['difficulty']} "
                f"{record['duration']:.2f} s efficiency {metrics['efficiency']:.4g} "
                f"coordination {metrics['coordination']:.4g} "
                f"mean_confidence {metrics['mean_confidence']:.4g}"
            ),
            "1 error ValueError",
            r"2 a\x0ar a\x0ab \x9b",
            "3 success 2.50 s return 17 length 17",
            f'4 aborted 0.00 s result "{"x" * 59}…',
        ] == [" ".join(line.split()) for line in shown.stdout.splitlines()]

    def test_a_group_s_field_may_have_any_name(
        self, capfd: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """What a kind calls it need be no name of a variable."""
        folder = begun_run(tmp_path)
        record = {"mission_number": 0, "my kind": {"a-b": "x"}, "class": 1, "status": "success"}
        (folder / "missions" / "mission_000000000.jsonl").write_text(json.dumps(record) + "\n")
        for group_by, group in (("my kind.a-b", "x"), ("class", "1"), ("status", "success")):
            tell(folder, "completed", group_by=group_by)
            assert 0 == main(["tail", str(folder), "--missions", "--group", group])
            shown, _ = capfd.readouterr()
            assert ["0", "success", group] == shown.split()

    def test_it_follows_a_run_to_its_end(self, command: Command, tmp_path: Path) -> None:
        """With -f it waits for a run, shows what it logs, and ends with it."""
        folder = tmp_path / "run"
        with command.start("tail", folder, "-f") as tail:
            assert tail.stderr is not None
            assert f"waiting for a run in {folder} ...\n" == tail.stderr.readline()
            anyio.run(run, RunConfig(missions=50, output=folder, mission=Quick()))
            shown, _ = tail.communicate(timeout=PATIENCE)
        assert 0 == tail.returncode
        assert log_of(folder) == shown

    def test_ctrl_c_ends_it_quietly(self, command: Command, tmp_path: Path) -> None:
        """It says nothing more, and exits with 130."""
        folder = begun_run(tmp_path)
        log_file(folder, entry("here"))
        with command.start("tail", folder, "--keep") as tail:
            assert tail.stdout is not None
            assert entry("here") == tail.stdout.readline()
            assert 19 == os.getpriority(os.PRIO_PROCESS, tail.pid)  # it yields to the run
            tail.send_signal(signal.SIGINT)
            assert ("", "") == tail.communicate(timeout=PATIENCE)
        assert 130 == tail.returncode

    @pytest.mark.parametrize("options", [["--keep"], ["-n", "100000"]])
    def test_a_reader_that_leaves_ends_it_quietly(
        self, command: Command, tmp_path: Path, options: list[str]
    ) -> None:
        """As behind `| head`, whether more lines come or not."""
        folder = begun_run(tmp_path)
        tell(folder)
        log_file(folder, *(entry(f"line {number}") for number in range(10_000)))
        with command.start("tail", folder, *options) as tail:
            assert tail.stdout is not None
            assert tail.stdout.readline().startswith("2026-01-31")
            tail.stdout.close()
            assert tail.stderr is not None
            assert "" == tail.stderr.read()
            assert 1 == tail.wait(timeout=PATIENCE)

    def test_colours_are_for_terminals(self, tmp_path: Path) -> None:
        """There what a log says can't steer the terminal; NO_COLOR leaves the colours out."""
        folder = begun_run(tmp_path)
        log_file(folder, entry("plain"), entry("odd \x1b[2J", "WARNING"))
        plain = "2026-01-31 23:59:59.123 | INFO     | plain\r\n"
        odd = "2026-01-31 23:59:59.123 | WARNING  | odd \\x1b[2J"
        assert f"{plain}\x1b[33m{odd}\x1b[0m\r\n" == on_terminal(folder)
        assert f"{plain}{odd}\r\n" == on_terminal(folder, NO_COLOR="1")

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["{}/none"], "none: no run yet; add -f to wait for one"),
            (["{}/files", "-f"], "files: holds no run: there is no run.json in it"),
            (["{}/files/file"], "file: is a file; name a run's folder"),
            (["{}/" + "long" * 100], "can't be read: File name too long"),
            (["{}/run", "--grep", "("], "--grep: '(' is no regular expression: missing )"),
            (["{}/run", "--outcome", "error"], "--outcome: is for missions; add --missions"),
            (["{}/run", "--difficulty", "hard"], "--difficulty: is for missions; add --missions"),
            (["{}/run", "--missions", "--outcome", "lost"], "--outcome: expected one of success"),
            (["{}/run", "--missions", "--level", "INFO"], "--level: is for log lines; leave it"),
            (["{}/run", "-n", "-3"], "-n: expected a number of lines, 0 or more, not -3"),
        ],
    )
    def test_what_is_wrong_is_said_in_a_line(
        self, capfd: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], problem: str
    ) -> None:
        """Exit code 2, one line, nothing changed."""
        begun_run(tmp_path / "run")
        (tmp_path / "files").mkdir()
        (tmp_path / "files" / "file").touch()
        before = everything(tmp_path)
        assert 2 == main(["tail", *(argument.format(tmp_path) for argument in arguments)])
        out, err = capfd.readouterr()
        assert ("", 1) == (out, err.count("\n"))
        assert problem in err
        assert before == everything(tmp_path)

    def test_it_needs_neither_torch_nor_numpy(self, tmp_path: Path) -> None:
        """It starts in a fraction of a second, as it imports little."""
        folder = begun_run(tmp_path)
        journal_of(folder, 3).close()
        tell(folder, "completed")
        program = (
            "import sys; from synexs_async.cli import main; main(sys.argv[1:]); "
            "assert {'torch', 'numpy', 'rich', 'loguru'}.isdisjoint(sys.modules)"
        )
        command = [sys.executable, "-c", program, "tail", str(folder), "--missions", "-f"]
        shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        assert 3 == len(shown.stdout.splitlines())


def on_terminal(folder: Path, **env: str) -> str:
    """Return what the command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {"TERM": "xterm", **env, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "synexs_async", "tail", str(folder)]
    with subprocess.Popen(command, stdout=theirs, cwd=ROOT, env=environment):
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:
            pass  # how Linux tells that nobody writes to a terminal any more
    os.close(ours)
    return shown.decode()


def test_the_documented_program_runs(tmp_path: Path) -> None:
    """The example of docs/monitoring.md does what it says, as it stands."""
    folder = begun_run(tmp_path / "training_logs")
    journal_of(folder, 40).close()
    log_file(folder, entry("starting"), entry("checkpoint saved", "DEBUG"))
    tell(folder, "completed")
    text = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    example = re.search(r"## Tail.*?```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    shown = subprocess.run(
        [sys.executable, "-c", example[1]],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    lines = shown.stdout.splitlines()
    assert "2026-01-31 23:59:59.123 INFO starting" == lines[0]
    assert "checkpoint saved" in lines[-2]
    assert "5" == lines[-1]
