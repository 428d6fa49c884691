"""How late an event loop is while a run goes on beside the program that embeds it.

    python benchmarks/event_loop.py [--missions 100000] [--rounds 3] [--output DIR]

A task sleeps 5 ms at a time, and notes by how much it woke up too late: on an idle loop, on one
whose machine has all its cores busy with other processes, and beside a run at full speed. A run's
start-up, until it has written its first batches, is told apart: its workers import torch then,
which takes as much of a core as it can get. The program has imported what it uses of the package
before, as programs do at their top, and shows warnings only.

Each case is a process of its own, on uvloop and on asyncio's own loop. Shown are the medians over
the rounds of p50 and p99, and the longest delay of all rounds.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Final

import anyio
import msgspec
from loguru import logger
from measuring import scratch_folder, show_table

from synexs_async import RunConfig, open_run
from synexs_async.config import available_cores

_BEAT: Final = 0.005
_SECONDS: Final = 5.0  # of the cases without a run
_BUSY: Final = "import os; ours = os.getppid()\nwhile os.getppid() == ours: pass"
_CASES: Final = ("idle", "busy", "run")

Delays = dict[str, list[float]]  # in seconds, by what went on beside the loop


def main() -> None:
    """Measure, and print the table; or be one case, and print its delays."""
    parser = ArgumentParser(description="Measure how late an event loop is beside a run.")
    parser.add_argument("--missions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    parser.add_argument("--case", choices=_CASES, help="measure just this, and print each delay")
    parser.add_argument("--asyncio", action="store_true", help="of a case: asyncio's own loop")
    options = parser.parse_args()

    if options.case:
        config = RunConfig(
            missions=options.missions, output=options.output or Path("training_logs")
        )
        sys.stdout.buffer.write(msgspec.json.encode(be_case(options.case, config, options.asyncio)))
        return

    rounds: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    with scratch_folder(options.output) as scratch:
        for number in range(options.rounds):
            for loop in ("uvloop", "asyncio"):
                for case in _CASES:
                    arguments = [f"--case={case}", f"--missions={options.missions}"]
                    arguments += [f"--output={scratch / f'{loop}{number}'}"]
                    arguments += ["--asyncio"] * (loop == "asyncio")
                    for beside, delays in measure_case(arguments).items():
                        rounds[loop, beside].append(delays)
    show_table(
        f"Delay of a 5 ms heartbeat in ms: {options.missions:,} missions",
        ("loop, and what is beside it", "p50", "p99", "longest"),
        [[", ".join(case), *_summary(delays)] for case, delays in rounds.items()],
    )


def measure_case(arguments: Sequence[str]) -> Delays:
    """Let a process of its own be one case."""
    command = [sys.executable, __file__, *arguments]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return msgspec.json.decode(printed, type=Delays)


def be_case(case: str, config: RunConfig, asyncio: bool) -> Delays:
    """Measure one case in this process."""
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    with ExitStack() as others:
        for _ in range(available_cores() if case == "busy" else 0):
            busy = subprocess.Popen([sys.executable, "-c", _BUSY])
            others.enter_context(busy)
            others.callback(busy.kill)
        return anyio.run(_measure, case, config, backend_options={"use_uvloop": not asyncio})


def _summary(rounds: Sequence[Sequence[float]]) -> list[str]:
    percentiles = [quantiles(delays, n=100, method="inclusive") for delays in rounds]
    figures = [median(cuts[percent - 1] for cuts in percentiles) for percent in (50, 99)]
    figures.append(max(map(max, rounds)))
    return [f"{1000 * figure:.2f}" for figure in figures]


class _Heart:
    """Notes how late each beat is."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            before = perf_counter()
            await anyio.sleep(_BEAT)
            self.delays.append(max(perf_counter() - before - _BEAT, 0.0))


async def _measure(case: str, config: RunConfig) -> Delays:
    heart = _Heart()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(heart.beat)
        if case == "run":
            delays = await _beside_a_run(heart, config)
        else:
            await anyio.sleep(_SECONDS)
            delays = {"nothing" if case == "idle" else "busy cores": heart.delays}
        await anyio.sleep(2 * _BEAT)  # a stall at the very end counts too
        tasks.cancel_scope.cancel()
    return delays


async def _beside_a_run(heart: _Heart, config: RunConfig) -> Delays:
    starting = heart.delays
    async with open_run(config) as live:
        while not live.progress.batches_written:  # noqa: ASYNC110 - there is no event for it
            await anyio.sleep(_BEAT)
        heart.delays = []
    return {"a run's start-up": starting, "a run": heart.delays}


if __name__ == "__main__":
    main()
