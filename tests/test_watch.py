"""The live view, on the folders of real runs: through Textual's pilot, and in a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from blockbuster import BlockBuster
from conftest import ROOT, Command
from hypothesis import given
from hypothesis import strategies as st
from monitored import make_run, tell
from textual.pilot import Pilot
from watched_missions import MISSION

from synexs_async.storage.folder import RunFolder
from synexs_async.storage.progress import OutcomeCounts, timestamp
from synexs_async.watch.app import WatchApp
from synexs_async.watch.drawing import mean_slopes, sparkline, stacked_bar
from synexs_async.watch.panels import STATUSES

PATIENCE = 50.0


def start(folder: Path, *parameters: str) -> subprocess.Popen[str]:
    """Start a run of 60 missions."""
    options = [f"--param={parameter}" for parameter in parameters]
    arguments = ("--mission", MISSION, "--missions", 60, "--output", folder)
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return Command().start(*arguments, *options, **silent)


@pytest.fixture(autouse=True)
def made_on_the_loop(no_blocking_calls: BlockBuster) -> None:
    """Let Textual look for its style sheet: the command makes the app before there is a loop."""
    looking = ("textual/_path.py", "_make_path_object_relative")
    for name in ("os.path.abspath", "os.stat"):
        no_blocking_calls.functions[name].can_block_in(*looking)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a completed run, and a failed one in a folder within."""
    root = tmp_path_factory.mktemp("runs")
    processes = [start(root / "good"), start(root / "lab" / "bad", "raises=7")]
    assert [0, 1] == [process.wait() for process in processes]
    return root


class Screen:
    """What a user sees and does."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        drawn = self.pilot.app.screen._compositor.render_strips()  # noqa: SLF001 - a picture is slow
        return [strip.text for strip in drawn]

    async def shows(self, *patterns: str) -> None:
        """Wait until all of these are to be seen, each in a line."""
        missing = patterns
        with anyio.move_on_after(PATIENCE):
            while missing := tuple(
                pattern
                for pattern in patterns
                if not any(re.search(pattern, line) for line in self.lines)
            ):
                await self.pilot.pause(0.05)
        assert not missing, "\n".join([f"no {missing}", *self.lines])

    @property
    def status(self) -> str:
        """How the run that is shown in full stands."""
        return self.lines[0].rstrip().split("  ")[-1].strip()

    async def changes_status(self, before: str) -> None:
        """Wait until another run is shown."""
        with anyio.fail_after(PATIENCE):
            while self.status == before:
                await self.pilot.pause(0.05)

    async def press(self, *keys: str) -> None:
        """Press keys."""
        await self.pilot.press(*keys)


@asynccontextmanager
async def watching(*roots: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Screen]:
    """Watch these folders."""
    async with WatchApp(roots).run_test(size=size) as pilot:
        yield Screen(pilot)


async def test_a_run_is_shown_from_before_its_beginning_to_its_end(tmp_path: Path) -> None:
    """Each turn of a run is told in words, by itself: also that it was killed, and goes on."""
    folder, gate = tmp_path / "later" / "run", tmp_path / "open"
    waiting = ("at=40", f"file={gate}")
    async with watching(folder) as screen:
        await screen.shows("waiting for a run in ")
        killed = start(folder, *waiting)
        await screen.shows("▶ running", "40 of 60 missions", r"66\.6%", "By tier", "all +40 +50.0%")
        killed.kill()
        killed.wait()
        await screen.shows(r"\? lost", "nothing was heard since")
        interrupted = start(folder, *waiting)
        await screen.shows("▶ running", "40 of 60 missions")
        interrupted.send_signal(signal.SIGINT)
        await screen.shows("■ interrupted", "the same command goes on from here")
        gate.touch()
        assert [130, 0] == [interrupted.wait(), start(folder, *waiting).wait()]
        await screen.shows("✓ completed", "60 of 60 missions", r"100\.0%", "Rate", "Memory")


async def test_keys_lead_from_run_to_run(runs: Path) -> None:
    """All runs below a folder are listed; n, p and the arrows choose which is shown in full."""
    async with watching(runs) as screen:
        await screen.shows("✗ lab/bad", "✓ good", "n Next run")
        seen = []
        for key in ("n", "p", "down", "up"):
            before = screen.status
            await screen.press(key)
            await screen.changes_status(before)
            seen.append({before, screen.status})
        assert [{"✓ completed", "✗ failed"}] * 4 == seen


@pytest.fixture
def at_work(tmp_path: Path) -> list[RunFolder]:
    """Give two runs at work, in a folder each."""
    return [
        make_run(tmp_path / name, status="running", timestamp=timestamp())
        for name in ("one/a", "two/b")
    ]


async def test_of_several_runs_at_work_one_stays_until_another_is_chosen(
    at_work: list[RunFolder],
) -> None:
    """Whoever told last; with none at work, the one is shown that did so, of all the folders."""
    first, second = at_work
    async with watching(*(run.path.parent for run in at_work)) as screen:
        await screen.shows("│  a +▶ running", "^ *▶ b +100%")
        told = partial(tell, second, progress_percent=50.0, timestamp=timestamp())
        await anyio.to_thread.run_sync(told)
        await screen.shows("│  a +▶ running", "^ *▶ b +50%")
        told = partial(tell, first, status="failed", timestamp="2026-01-31T00:00:00+00:00")
        await anyio.to_thread.run_sync(told)
        await screen.shows("│  b +▶ running")
        await anyio.to_thread.run_sync(partial(tell, second, status="completed"))
        await screen.shows("│  b +✓ completed")


@pytest.fixture
def grouped(tmp_path: Path) -> RunFolder:
    """Give a run that has a group called "all"."""
    run = make_run(tmp_path)
    tell(run, group_by="result.tier", groups={"all": OutcomeCounts(3)})
    return run


async def test_a_group_called_all_stands_beside_all(grouped: RunFolder) -> None:
    """Neither takes the other's place."""
    async with watching(grouped.path) as screen:
        await screen.shows("By tier", "^.*all +12 ", "^.*all +3 +100.0%")


@pytest.fixture
def nameless(tmp_path: Path) -> RunFolder:
    """Give a run at work whose folder's name is no text, beside another one."""
    make_run(tmp_path / "whole", status="running", timestamp=timestamp())
    name = os.fsdecode(b"run\xff")
    return make_run(tmp_path / name, status="running", timestamp=timestamp())


async def test_a_run_whose_name_is_no_text(nameless: RunFolder) -> None:
    """It is shown among the others, and what it tells then, too; so is its log."""
    async with watching(nameless.path.parent) as screen:
        await screen.shows("▶ run\N{REPLACEMENT CHARACTER} +100%", "▶ whole")
        told = partial(tell, nameless, progress_percent=50.0, timestamp=timestamp())
        await anyio.to_thread.run_sync(told)
        await screen.shows("▶ run\N{REPLACEMENT CHARACTER} +50%")
        await screen.press("l")
        await screen.shows("Log of run\N{REPLACEMENT CHARACTER}", "ERROR .*mission 3 raised")
    async with watching(nameless.path / os.fsdecode(b"none\xff")) as screen:
        await screen.shows("waiting for a run in")


async def test_the_log_can_be_read_from_any_level(runs: Path) -> None:
    """A failed run shows its last errors, and its log from a level up, made harmless."""
    async with watching(runs / "lab" / "bad") as screen:
        await screen.shows(
            "✗ failed", r"ERROR mission 7 raised · ValueError: the coin \\x1b\[31mfell"
        )
        await screen.press("l")
        await screen.shows("Log of bad  INFO and above", "INFO .*starting", "^ ValueError: the")
        await screen.press("f", "f")
        await screen.shows("ERROR and above", "mission 7 raised")
        assert not any("INFO " in line for line in screen.lines)
        await screen.press("escape")
        await screen.shows("✗ failed")


async def test_it_fits_into_a_small_terminal(runs: Path) -> None:
    """Resized to 60 by 20, all columns of outcomes are there, and the list shrinks to its lines."""
    async with watching(runs) as screen:
        await screen.shows("✓ good")
        for width, height in ((60, 20), (120, 40), (60, 20)):
            await screen.pilot.resize_terminal(width, height)
            with anyio.fail_after(PATIENCE):
                while {width} != {len(line) for line in screen.lines}:
                    await screen.pilot.pause(0.05)
            await screen.shows("By tier +missions .*success .*failure .*aborted .*error *$", "Rate")
        assert re.search("good .*completed +100%", "\n".join(screen.lines[:2]))


async def test_a_run_that_is_moved_away_may_come_back(runs: Path, tmp_path: Path) -> None:
    """Without it there is nothing to show; back in its place it is shown as before."""
    shutil.copytree(runs / "good", tmp_path / "run")
    async with watching(tmp_path / "run") as screen:
        await screen.shows("✓ completed", "By tier")
        (tmp_path / "run").rename(tmp_path / "away")
        await screen.shows("waiting for a run in")
        assert not any("By tier" in line for line in screen.lines)
        (tmp_path / "away").rename(tmp_path / "run")
        await screen.shows("✓ completed", "By tier")


async def test_q_leaves(runs: Path) -> None:
    """From either screen, q ends it."""
    for keys in ("q", "lq"):
        async with watching(runs) as screen:
            await screen.shows("✓ good")
            await screen.press(*keys)
            assert not screen.pilot.app.is_running


def test_no_status_is_told_by_colour_alone() -> None:
    """Each status has a sign of its own, beside its word."""
    assert len(STATUSES) == len({sign for sign, _ in STATUSES.values()})


@given(
    st.lists(st.integers(0, 10**9), min_size=4, max_size=4), st.integers(min_value=8, max_value=200)
)
def test_a_stacked_bar_shows_whatever_there_is(counts: list[int], width: int) -> None:
    """It is as wide as asked for, and a single mission among a billion is seen."""
    pieces = stacked_bar(counts, "█▓▒░", width)
    assert (width if any(counts) else 0) == len("".join(pieces))
    assert [bool(count) for count in counts] == [bool(piece) for piece in pieces]


@given(
    st.lists(st.tuples(st.floats(0.01, 1e4), st.integers(0, 10**6)), min_size=2, max_size=100),
    st.integers(1, 200),
)
def test_a_curve_of_rates_keeps_the_number_of_missions(
    steps: list[tuple[float, int]], columns: int
) -> None:
    """However unevenly samples lie, rates times seconds make the missions of the run."""
    seconds = [0.0, *accumulate(step for step, _ in steps)]
    missions = [0.0, *accumulate(float(count) for _, count in steps)]
    slopes = mean_slopes(seconds, missions, columns)
    assert missions[-1] == pytest.approx(sum(slopes) * seconds[-1] / columns)
    assert [columns] * 3 == [len(row) for row in sparkline(slopes, 3)]


class TestCommand:
    """`python -m synexs_async watch`, as a process."""

    def test_it_draws_and_leaves_the_terminal_as_it_was(self, runs: Path) -> None:
        """In a real terminal it shows the runs, q ends it with 0, and what stood there is back."""
        with in_terminal("watch", runs) as (process, terminal):
            read_until(terminal, "60 missions")
            os.write(terminal, b"q")
            read_until(terminal, "\x1b[?1049l")  # off the screen of its own
            assert 0 == process.wait(PATIENCE)

    def test_a_kill_gives_the_terminal_back(self, tmp_path: Path) -> None:
        """SIGTERM ends it as `q` does, with the exit code of that signal."""
        with in_terminal("watch", tmp_path) as (process, terminal):
            read_until(terminal, "waiting")
            process.terminate()
            read_until(terminal, "\x1b[?1049l")
            assert 128 + signal.SIGTERM == process.wait(PATIENCE)

    def test_without_a_terminal_it_says_what_to_use(self, command: Command) -> None:
        """In a pipe it refuses in one line."""
        finished = command.run("watch", "runs/seven")
        expected = (
            "synexs_async: error: watch: needs a terminal; elsewhere, use "
            "python -m synexs_async tail -f runs/seven\n"
        )
        assert (2, "", expected) == (finished.returncode, finished.stdout, finished.stderr)

    def test_a_file_is_refused(self, command: Command) -> None:
        """A folder that is a file is refused in one line."""
        finished = command.run("watch", "README.md")
        assert 2 == finished.returncode
        assert "README.md: is a file; give the folder of a run" in finished.stderr

    def test_without_textual_it_says_how_to_get_it(self) -> None:
        """The extra is named where it is missing."""
        program = "import sys; sys.modules['textual'] = None\nfrom synexs_async.cli import main\n"
        finished = subprocess.run(
            [sys.executable, "-c", f"{program}sys.exit(main(['watch']))"],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        expected = "synexs_async: error: watch needs textual: pip install 'synexs-async[watch]'\n"
        assert (2, expected) == (finished.returncode, finished.stderr)


@contextmanager
def in_terminal(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start the command in a terminal of 80 by 24; give the process, and the terminal's end."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    streams: dict[str, Any] = {"stdin": its, "stdout": its, "stderr": its}
    process = Command().start(*arguments, env={"TERM": "xterm-256color"}, **streams)
    os.close(its)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, wanted: str) -> None:
    """Read what is drawn, up to a text."""
    drawn = ""
    while wanted not in drawn:
        assert select.select([terminal], [], [], PATIENCE)[0], drawn
        drawn += os.read(terminal, 1 << 16).decode(errors="replace")
