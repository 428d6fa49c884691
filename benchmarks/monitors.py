"""What it costs a run at full speed that it is looked at.

    python benchmarks/monitors.py [--missions 200000] [--rounds 6] [--beside KIND ...]

Each round runs the real command twice, alone and beside monitors: ten tails of the log, a watch in
a terminal of its own, and a dashboard with five open pages, which are five clients of its events.
Every other round begins with the watched run, so that what drifts on the machine falls on both.
With `--beside mission-tails` three tails print missions: all, the aborted ones, the hard ones.

Monitors are started first, and wait for the run; it begins once they are quiet. The rate is the
steady one of `throughput.py`, from the first written batches to the end. The slow-down of a round
is what the watched run lacks of the other's rate; what counts is the median over the rounds, as a
single one may be off by more than monitors cost. The second table tells where their time goes.

No browser draws the pages, as it is mostly on another machine, and would take more than all these.
Linux only: processor times are read from /proc. It takes some 9 KB of disk a mission and run, 22 GB
in all, until its end.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

import httpx
from measuring import COMMAND, clock, scratch_folder, show_table
from throughput import time_run

from synexs_async.config import RunConfig
from synexs_async.storage.folder import RunFolder

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
_ROWS, _COLUMNS = 40, 120
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS: Final = 0.5
_QUIET: Final = 0.1  # cores that monitors take while they wait
_PATIENCE_SECONDS: Final = 60.0


def main() -> None:
    """Measure, and print the tables."""
    parser = ArgumentParser(description="Measure what monitors cost a run.")
    parser.add_argument("--missions", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=RunConfig().worker_count)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument(
        "--beside", nargs="+", choices=(*_KINDS, _ALSO), default=_KINDS, metavar="KIND"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    options = parser.parse_args()

    rounds: list[tuple[float, ...]] = []
    cores: dict[str, list[float]] = defaultdict(list)
    with scratch_folder(options.output) as scratch:
        for number in range(options.rounds):
            rates = {}
            for is_watched in (False, True) if number % 2 == 0 else (True, False):
                folder = RunFolder(scratch / f"round{number}_{is_watched}" / "run")
                folder.path.parent.mkdir()
                with Monitors(folder, options.beside if is_watched else ()) as monitors:
                    with clock() as elapsed:
                        _, times = time_run(folder, options.missions, options.workers)
                    for name, share in monitors.cores(elapsed.seconds).items():
                        cores[name].append(share)
                rates[is_watched] = times.rates[0]
            rounds.append((rates[False], rates[True], 1 - rates[True] / rates[False]))

    rounds.append(tuple(median(column) for column in zip(*rounds, strict=True)))
    names = [*(str(number) for number in range(1, len(rounds))), "median"]
    show_table(
        f"Missions a second: {options.missions:,} missions, {options.workers} workers, beside "
        + ", ".join(options.beside),
        ("round", "alone", "watched", "slow-down"),
        [
            [name, f"{alone:,.0f}", f"{watched:,.0f}", f"{slower:+.1%}"]
            for name, (alone, watched, slower) in zip(names, rounds, strict=True)
        ],
    )
    show_table(
        "Share of one core that monitors take",
        ("monitors", "median", "highest"),
        [[name, f"{median(all_):.1%}", f"{max(all_):.1%}"] for name, all_ in cores.items()],
    )


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
        self._before: dict[str, float] = {}

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

    def cores(self, seconds: float) -> dict[str, float]:
        """Return the cores that each kind took since it was quiet, `seconds` ago."""
        spent = self._spent()
        return {name: (spent[name] - before) / seconds for name, before in self._before.items()}

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

    def _wait_for_quiet(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        before = self._spent()
        while True:
            time.sleep(_LOOK_SECONDS)
            self._before = self._spent()
            if sum(self._before.values()) - sum(before.values()) < _QUIET * _LOOK_SECONDS:
                return
            if time.monotonic() > deadline:
                raise SystemExit("monitors are not quiet while they wait for a run")
            before = self._before

    def _spent(self) -> dict[str, float]:
        """Return seconds of processor time, also of those that have ended and are not reaped."""
        return {
            name: sum(map(_processor_seconds, processes))
            for name, processes in self._processes.items()
        }


def _processor_seconds(process: int) -> float:
    stat = Path(f"/proc/{process}/stat").read_text("utf-8")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:
        pass  # the other end is closed


def _look_at_page(address: str) -> None:
    """Do what a page does: find the run once it is there, and listen to what is told of it."""
    with httpx.Client(base_url=address, timeout=None) as client:
        try:
            while not (runs := client.get("api/runs").json()["runs"]):
                time.sleep(_LOOK_SECONDS)
            with client.stream("GET", f"api/runs/{runs[0]['id']}/events") as events:
                for _ in events.iter_raw():
                    pass
        except httpx.HTTPError:
            pass  # the dashboard has ended


if __name__ == "__main__":
    main()
