"""Which lines a tail reads, whatever happens to the files that they are in."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from builders import begun_run
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async import follow_log
from synexs_async.monitoring.log_files import LogFiles

BEGAN = datetime(2026, 1, 31, 23, 59, 58)
MOST_LINES = 400
T = TypeVar("T")

LOOKED_BEFORE = ("look", "cut", "remove rotated")  # else what nobody has read is lost


def steps_with(*rotating: str) -> st.SearchStrategy[list[int | str]]:
    """Give what may happen to a log: so many lines more, or a rotation of these kinds, or else."""
    step = st.one_of(
        st.integers(1, MOST_LINES), st.sampled_from((*rotating, *LOOKED_BEFORE, "tear", "kill"))
    )
    return st.lists(step, max_size=40)


async def off_loop(function: Callable[..., T], *arguments: Any) -> T:
    """Call what may block, as a host should."""
    return await anyio.to_thread.run_sync(partial(function, *arguments))


class Log:
    """A run's log as it is written, and as programs like logrotate treat it."""

    def __init__(self, run: Path) -> None:
        self._folder = run / "logs"
        self._session = 0
        self._dates = 0
        self.lines: list[bytes] = []
        self._torn = b""
        self._begin()

    def _begin(self) -> None:
        name = f"training_{BEGAN + timedelta(seconds=self._session):%Y%m%d_%H%M%S}.log"
        self._path = self._folder / name
        self._file = self._path.open("ab", buffering=0)

    def step(self, step: int | str) -> None:
        """Let something happen to the log."""
        if isinstance(step, int):
            self._write(step)
        elif step == "tear":
            self._tear()
        elif step == "cut":
            self._torn = b""
            self._path.open("wb").close()
        elif step == "remove rotated":
            for file in self._rotated():
                file.unlink()
        elif step == "kill":
            self._torn = b""  # and nobody completes it
            self._begin_anew()
        elif step != "look":
            self._rotate(step)

    def _write(self, count: int) -> None:
        lines = [self._line(len(self.lines) + number) for number in range(count)]
        self._file.write(b"\n".join(lines)[len(self._torn) :] + b"\n")
        self.lines += lines
        self._torn = b""

    def _tear(self) -> None:
        if not self._torn:
            line = self._line(len(self.lines))
            self._torn = line[: len(line) // 2]
            self._file.write(self._torn)

    def _rotate(self, how: str) -> None:
        if self._torn:
            self._write(1)
        if how == "move":
            self._shift()
            self._path.rename(f"{self._path}.1")
        elif how == "move with a date":
            self._dates += 1
            self._path.rename(f"{self._path}-{20260131 + self._dates}")
        else:
            self._shift()
            shutil.copy(self._path, f"{self._path}.1")
            self._path.open("wb").close()
            return
        self._file.close()
        self._begin()

    def _begin_anew(self) -> None:
        self._file.close()
        self._session += 1
        self._begin()

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _shift(self) -> None:
        numbers = {int(file.suffix[1:]) for file in self._rotated() if file.suffix[1:].isdecimal()}
        for number in sorted(numbers, reverse=True):
            Path(f"{self._path}.{number}").rename(f"{self._path}.{number + 1}")

    def _rotated(self) -> Iterator[Path]:
        return (file for file in self._folder.glob(f"{self._path.name}?*"))

    def _line(self, number: int) -> bytes:
        return f"2026-01-31 23:59:59.123 | INFO     | line {number} {'x' * (number % 50)}".encode()


STEPS = st.one_of(steps_with("move", "copy and cut"), steps_with("move with a date"))


@given(STEPS)
@settings(deadline=None, max_examples=60)
def test_each_line_is_read_once_and_in_order(steps: list[int | str]) -> None:
    """Rotated, copied, cut off, torn, resumed, several times between two looks: no difference."""
    with tempfile.TemporaryDirectory() as folder:
        run = begun_run(Path(folder))
        seen: list[bytes] = []
        with closing(Log(run)) as log, closing(LogFiles(run / "logs")) as files:

            def look() -> None:
                while lines := files.read():
                    assert lines.endswith(b"\n")
                    seen.extend(lines[:-1].split(b"\n"))

            files.skip_to_end()
            for step in steps:
                if step in LOOKED_BEFORE:
                    look()
                log.step(step)
            look()
            assert log.lines == seen


@given(STEPS)
@settings(deadline=None, max_examples=8)
async def test_a_tail_beside_all_that(steps: list[int | str]) -> None:
    """The same while it happens: a tail shows each line once and in order."""
    with tempfile.TemporaryDirectory() as folder:
        run = await off_loop(begun_run, Path(folder))
        log = await off_loop(Log, run)
        seen: list[str] = []
        caught_up = anyio.Event()

        async def follow() -> None:
            nonlocal caught_up
            async for line in follow_log(run, keep=True):
                seen.append(line.text)
                if len(seen) == len(log.lines):
                    caught_up.set()
                    caught_up = anyio.Event()

        with closing(log), anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow)
                for step in [*steps, "look"]:
                    if step in LOOKED_BEFORE:
                        while len(seen) < len(log.lines):
                            await caught_up.wait()
                    await off_loop(log.step, step)
                tasks.cancel_scope.cancel()
        assert [line.decode() for line in log.lines] == seen


def test_files_that_rotation_left_are_not_held(tmp_path: Path) -> None:
    """However many are kept, a tail goes on, and one that begins finds the last lines."""
    run = begun_run(tmp_path)
    seen: list[bytes] = []
    with closing(Log(run)) as log, few_open_files(), closing(LogFiles(run / "logs")) as files:
        for _ in range(60):
            log.step(2)
            log.step("move")
            while lines := files.read():
                seen.extend(lines.splitlines())
        assert log.lines == seen
        with closing(LogFiles(run / "logs")) as others:
            others.skip_to_end()
            assert log.lines[::-1] == [*others.lines_before()]
            log.step(1)
            assert log.lines[-1:] == files.read().splitlines() == others.read().splitlines()


@contextmanager
def few_open_files() -> Iterator[None]:
    """Let this process open some twenty files more."""
    with Path(os.devnull).open() as file:
        next_one = file.fileno()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one + 20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
