"""How long a run takes to go on, by its size and by what was not checkpointed.

    python benchmarks/recovery.py [--missions 10000 100000 1000000] [--rounds 3] [--output DIR]

For each size a run is made, and extended by a few missions, as often as there are rounds. Shown are
the medians of the time that a process takes to start (the interpreter and its imports), and of the
time from there until the first new mission is committed. Then the same where the last checkpoint
lies back: the run's own was put back to that of an earlier moment. A million missions need about
8 GB of disk for a while.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from argparse import ArgumentParser
from contextlib import aclosing
from pathlib import Path
from statistics import median
from typing import Final

import anyio
from loguru import logger
from measuring import COMMAND, run_to_end, scratch_folder, show_table

from synexs_async import RunConfig, open_run

_NEW: Final = 100  # missions by which a run is extended
_NOT_CHECKPOINTED: Final = (1_000, 10_000, 100_000)


def main() -> None:
    """Measure, and print the tables; or be the process that goes on, and print its times."""
    parser = ArgumentParser(description="Measure how long a run takes to go on.")
    parser.add_argument("--missions", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    parser.add_argument("--go-on", type=int, metavar="N", help="go on to N missions, and print")
    options = parser.parse_args()
    if options.go_on:
        print(time.time())
        anyio.run(_go_on, RunConfig(missions=options.go_on, output=options.output))
        return

    with scratch_folder(options.output) as scratch:
        by_size = []
        for missions in options.missions:
            folder = scratch / str(missions)
            run_to_end(*COMMAND, f"--missions={missions}", f"--output={folder}")
            by_size.append([f"{missions:,}", *_medians(folder, missions, options.rounds)])
        show_table(
            "Seconds to go on with a checkpointed run",
            ("missions there", "process start-up", "to the first new mission"),
            by_size,
        )
        by_age = []
        for missions in _NOT_CHECKPOINTED:
            folder = scratch / f"not{missions}"
            run_to_end(*COMMAND, "--missions=1000", f"--output={folder}")
            early = folder.with_suffix(".json")
            shutil.copy(folder / "checkpoint.json", early)
            run_to_end(*COMMAND, f"--missions={1000 + missions}", f"--output={folder}")
            shutil.copy(early, folder / "checkpoint.json")
            by_age.append([f"{missions:,}", *_medians(folder, 1000 + missions, 1)])
        show_table(
            "Seconds to go on where the last checkpoint lies back",
            ("missions behind it", "process start-up", "to the first new mission"),
            by_age,
        )


def _medians(folder: Path, missions: int, rounds: int) -> list[str]:
    times = [_time(folder, missions + _NEW * number) for number in range(1, rounds + 1)]
    return [f"{median(column):.2f}" for column in zip(*times, strict=True)]


def _time(folder: Path, missions: int) -> tuple[float, float]:
    """Let a new process go on; return the seconds of its start-up, and to its first mission."""
    command = [sys.executable, __file__, f"--go-on={missions}", f"--output={folder}"]
    before = time.time()
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    started, first = map(float, printed.split())
    return started - before, first - started


async def _go_on(config: RunConfig) -> None:
    logger.remove()
    async with (
        open_run(config) as live,
        aclosing(live.records(start=config.missions - _NEW)) as records,
    ):
        await anext(records)
        print(time.time())


if __name__ == "__main__":
    main()
