"""What it costs a run at full speed that it is looked at.

    python benchmarks/monitors.py [--pairs 30] [--seconds 2] [--beside KIND ...]

Monitors are ten tails of the log, a watch in a terminal of its own, and a dashboard with five open
pages, which are five clients that ask what a page asks. With `--beside mission-tails` three tails
print missions: all, the aborted ones, the hard ones.

The real command runs, and the monitors are stopped (SIGSTOP) and go on (SIGCONT) in turns, so that
what drifts on the machine falls on both: from run to run the rate differs by more than monitors
cost. A pair is two windows that follow each other, alone first in every other one. In a window the
run first has a second to settle, in which monitors catch up with what they missed; then it is
looked at from one of its progress files to another, at least so many seconds later.

Two things are held against each other in each pair: the rate, and the processor time of all the
run's processes for a mission, which is the steadier of the two. Shown are the medians, and the 95%
interval of the median difference. The second table tells what monitors themselves take: where all
cores are busy, as on a machine of two, the run's rate falls by their share of all cores, and by
what a mission takes more beside them.

No browser draws the pages, as it is mostly on another machine, and would take more than all these.
Linux only: processor times are read from /proc. It takes some 9 KB of disk a mission, 50 GB in all
at 25,000 missions a second, until its end.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from math import comb
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

import httpx
from measuring import COMMAND, scratch_folder, show_table

from synexs_async.config import RunConfig
from synexs_async.storage.folder import RunFolder
from synexs_async.storage.progress import Progress, read_progress

_KINDS: Final = ("tails", "watch", "dashboard")
_ALSO: Final = "mission-tails"
_TAILS: Final[dict[str, list[list[str]]]] = {
    "tails": [[]] * 10,
    _ALSO: [
        ["--missions"],
        ["--missions", "--outcome=aborted"],
        ["--missions", "--difficulty=hard"],
    ],
}
_PAGES: Final = 5
_SHOWN: Final[dict[str, dict[str, Any]]] = {  # on a run's page, and asked for when it has changed
    "series": {},
    "log": {"level": "INFO", "count": 150},
}
_ROWS, _COLUMNS = 40, 120
_LIBC: Final = ctypes.CDLL(None)
_ENDLESS: Final = 1_000_000_000
_SETTLING_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.5
_SHORT_LOOK_SECONDS: Final = 0.05
_QUIET: Final = 0.1  # cores that monitors take while they wait
_PATIENCE_SECONDS: Final = 60.0


def main() -> None:
    """Measure, and print the tables."""
    parser = ArgumentParser(description="Measure what monitors cost a run.")
    parser.add_argument("--workers", type=int, default=RunConfig().worker_count)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a window, at least")
    parser.add_argument(
        "--beside", nargs="+", choices=(*_KINDS, _ALSO), default=_KINDS, metavar="KIND"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    options = parser.parse_args()

    pairs: list[tuple[Window, Window]] = []
    cores: dict[str, list[float]] = defaultdict(list)
    with scratch_folder(options.output) as scratch:
        folder = RunFolder(scratch / "runs" / "run")
        folder.path.parent.mkdir()
        with Monitors(folder, options.beside) as monitors, going_on(folder, options.workers) as run:
            for number in range(options.pairs):
                windows = {}
                for is_watched in (False, True) if number % 2 == 0 else (True, False):
                    with nullcontext() if is_watched else monitors.stopped():
                        time.sleep(_SETTLING_SECONDS)
                        before = monitors.spent()
                        windows[is_watched] = window = look_at(folder, run, options.seconds)
                        for name, spent in monitors.spent().items() if is_watched else ():
                            cores[name].append((spent - before[name]) / window.seconds)
                pairs.append((windows[False], windows[True]))

    show_table(
        f"A run with {options.workers} workers, {options.pairs} pairs of windows",
        ("median", "alone", "watched", "difference", "95% interval"),
        [
            _compared("missions a second", [(one.rate, other.rate) for one, other in pairs]),
            _compared(
                "µs of processor time a mission", [(one.cost, other.cost) for one, other in pairs]
            ),
        ],
    )
    cores["all of them"] = [sum(shares) for shares in zip(*cores.values(), strict=True)]
    show_table(
        "Share of one core that monitors take",
        ("monitors", "median", "highest"),
        [[name, f"{median(all_):.1%}", f"{max(all_):.1%}"] for name, all_ in cores.items()],
    )


@dataclass(frozen=True)
class Window:
    """What a run did in some seconds; the cost is in microseconds of processor time a mission."""

    seconds: float
    rate: float
    cost: float


def look_at(folder: RunFolder, run: int, seconds: float) -> Window:
    """Look at a run from what it tells next until what it tells so many seconds later."""
    first = next_progress(folder, read_progress(folder.path))
    before = processor_seconds(run, *children_of(run))
    last = first
    while last.elapsed_seconds - first.elapsed_seconds < seconds:
        last = next_progress(folder, last)
    spent = processor_seconds(run, *children_of(run)) - before
    taken = last.elapsed_seconds - first.elapsed_seconds
    missions = last.mission_current - first.mission_current
    return Window(taken, missions / taken, 1e6 * spent / missions)


def next_progress(folder: RunFolder, last: Progress) -> Progress:
    """Wait for what the run tells next."""
    while (progress := read_progress(folder.path)).elapsed_seconds == last.elapsed_seconds:
        time.sleep(_SHORT_LOOK_SECONDS)
    return progress


def processor_seconds(*processes: int) -> float:
    """Return what processes and their threads have taken, those that have ended too.

    By the clock that the system keeps of a process, as the ticks in /proc/PID/stat fall on a tail's
    short looks three times as often as they should.
    """
    return sum(map(time.clock_gettime, map(_clock_of, processes)))


def _clock_of(process: int) -> int:
    clock = ctypes.c_int()
    failure = _LIBC.clock_getcpuclockid(process, ctypes.byref(clock))
    if failure:
        raise OSError(failure, os.strerror(failure))
    return clock.value


def children_of(process: int) -> list[int]:
    """Return the processes that a process has started."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _compared(name: str, pairs: Sequence[tuple[float, float]]) -> list[str]:
    alone, watched = (median(values) for values in zip(*pairs, strict=True))
    differences = sorted(other / one - 1 for one, other in pairs)
    low, high = interval_of_median(differences)
    return [
        name,
        f"{alone:,.1f}",
        f"{watched:,.1f}",
        f"{median(differences):+.1%}",
        f"{low:+.1%} to {high:+.1%}",
    ]


def interval_of_median(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95% confidence interval of a distribution's median; `values` are sorted.

    How many of them lie below it is binomial with p = 1/2, whatever the distribution (Conover,
    Practical Nonparametric Statistics, section 3.2).
    """
    count, tail, rank = len(values), 0.0, 0
    while (tail := tail + comb(count, rank) / 2**count) <= 0.025:
        rank += 1
    return values[max(rank - 1, 0)], values[-max(rank, 1)]


@contextmanager
def going_on(folder: RunFolder, workers: int) -> Iterator[int]:
    """Let the real command run, from its first batches until the block is left; give its id."""
    command = [
        *COMMAND,
        f"--missions={_ENDLESS}",
        f"--workers={workers}",
        f"--output={folder.path}",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            while not folder.progress.exists() or not read_progress(folder.path).batches_written:
                time.sleep(_SHORT_LOOK_SECONDS)
            yield run.pid
        finally:
            run.terminate()


class Monitors:
    """Programs that look at a run, each in a process of its own; they are quiet once entered.

    Args:
        folder: where the run will be.
        kinds: which programs.
    """

    def __init__(self, folder: RunFolder, kinds: Collection[str]) -> None:
        self._folder = folder
        self._kinds = kinds
        self._stack = ExitStack()
        self._processes: dict[str, list[int]] = defaultdict(list)  # their ids, by kind

    def __enter__(self) -> Self:
        try:
            for name, tails in _TAILS.items():
                if name in self._kinds:
                    for options in tails:
                        self._start_tail(name, options)
            if "watch" in self._kinds:
                self._start_watch()
            if "dashboard" in self._kinds:
                self._start_dashboard()
            self._wait_for_quiet()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let none of them do anything in this block."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def spent(self) -> dict[str, float]:
        """Return the seconds of processor time that each kind has taken."""
        return {name: processor_seconds(*group) for name, group in self._processes.items()}

    def _start_tail(self, name: str, options: list[str]) -> None:
        command = [*COMMAND, "tail", "-f", str(self._folder.path), *options]
        self._start(name, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _start_watch(self) -> None:
        """Start it in a terminal, and read what it draws."""
        ours, its = pty.openpty()
        self._stack.callback(os.close, ours)
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        command = [*COMMAND, "watch", str(self._folder.path)]
        environment = {**os.environ, "TERM": "xterm-256color"}
        self._start("watch", command, stdin=its, stdout=its, stderr=its, env=environment)
        os.close(its)
        self._in_background(_drain, ours)

    def _start_dashboard(self) -> None:
        command = [*COMMAND, "dashboard", str(self._folder.path.parent), "--port=0"]
        dashboard = self._start("dashboard", command, stdout=subprocess.PIPE, text=True)
        assert dashboard.stdout is not None
        address = re.search(r"http://\S+?/", dashboard.stdout.readline())
        assert address, "the dashboard does not say where it is"
        for _ in range(_PAGES):
            self._in_background(_look_at_page, address[0])

    def _start(self, name: str, command: list[str], **settings: Any) -> subprocess.Popen[Any]:
        process = subprocess.Popen(command, **settings)
        self._processes[name].append(process.pid)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        return process

    def _in_background(self, work: Callable[..., None], *arguments: Any) -> None:
        """Work in a thread, which ends when the monitors do."""
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _signal(self, number: signal.Signals) -> None:
        for process in chain.from_iterable(self._processes.values()):
            os.kill(process, number)

    def _wait_for_quiet(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        before = sum(self.spent().values())
        while True:
            time.sleep(_LOOK_SECONDS)
            spent = sum(self.spent().values())
            if spent - before < _QUIET * _LOOK_SECONDS:
                return
            if time.monotonic() > deadline:
                raise SystemExit("monitors are not quiet while they wait for a run")
            before = spent


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:
        pass  # the other end is closed


def _look_at_page(address: str) -> None:
    """Do what a run's page does, once there is one: listen, and ask for what has changed."""
    with httpx.Client(base_url=address, timeout=None) as client:
        try:
            while not (runs := client.get("api/runs").json()["runs"]):
                time.sleep(_LOOK_SECONDS)
            run = f"api/runs/{runs[0]['id']}"
            client.get(f"{run}/missions")
            seen: dict[str, Any] = {}
            with client.stream("GET", f"{run}/events") as events:
                for line in events.iter_lines():
                    if line.startswith('data: {"run":'):
                        news = json.loads(line.removeprefix("data: "))
                        for part, parameters in _SHOWN.items():
                            if news[part] != seen.get(part):
                                client.get(f"{run}/{part}", params=parameters).raise_for_status()
                        seen = news
        except httpx.HTTPError:
            pass  # the dashboard has ended


if __name__ == "__main__":
    main()
