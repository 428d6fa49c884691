"""How fast a run is, how fast it could be at best, and where the time goes.

    python benchmarks/throughput.py [--missions 100000] [--workers N] [--rounds 3] [--output DIR]

Each round runs the real command as a child process, and then its floor.

The rate over the whole process counts everything from its start to its exit. The steady rate
leaves the start-up out: it counts the missions behind the first written batches, from the moment
of these (a line of the run's own log) to the line that says that the run is complete, with its last
flush and its index. The journal is then up to some 2,000 missions ahead of the batches already,
which flatters the rate by no more than that.

The floor is what the disk and `torch.save` take for the same bytes from as many processes, with no
simulation, no encoding and no protocol. Workers, which have imported torch and hold the run's own
batches as tensors before the clock starts, save each into memory and write it to a file, while the
main process writes the journal's bytes in large pieces. Nothing is flushed meanwhile; one flush at
the end is, which the second half of the table leaves out on both sides. The floor's files are
compared with the run's, byte by byte. It takes some 7 KB of memory a mission.

Where the time goes: see `steps.py`.

All is written into a folder in DIR that is removed at the end; it takes 14 KB a mission and round.
"""

from __future__ import annotations

import filecmp
import io
import multiprocessing
import os
import re
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from typing import Final

from measuring import COMMAND, clock, run_to_end, scratch_folder, show_table
from steps import measure_steps

from synexs_async.config import RunConfig
from synexs_async.storage.folder import RunFolder

_PIECE: Final = 1 << 20
_REPETITIONS: Final = 5
_MOST_MISSIONS_A_REPETITION: Final = 20_000


@dataclass(frozen=True)
class Times:
    """What one run, or its floor, did in its steady part; `flush` is the end of `seconds`."""

    missions: int
    seconds: float
    flush: float

    @property
    def rates(self) -> tuple[float, float]:
        """Missions a second, with and without the last flush."""
        return self.missions / self.seconds, self.missions / (self.seconds - self.flush)


def main() -> None:
    """Measure, and print the tables."""
    parser = ArgumentParser(description="Measure how fast a run is, beside its floor.")
    parser.add_argument("--missions", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=RunConfig().worker_count)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    options = parser.parse_args()
    missions, workers = options.missions, options.workers

    rounds = []
    with scratch_folder(options.output) as scratch:
        for number in range(options.rounds):
            folder = RunFolder(scratch / f"run{number}")
            whole, run = time_run(folder, missions, workers)
            floor = time_floor(folder, scratch / f"floor{number}", workers)
            rounds.append(_figures(missions / whole, run, floor))
        checkpoints = len(lines_of_log(folder, "checkpoint saved"))
        spacing = min(missions // checkpoints, _MOST_MISSIONS_A_REPETITION)
        steps = measure_steps(scratch, spacing, _REPETITIONS)

    rounds.append([median(column) for column in zip(*rounds, strict=True)])
    names = [*(str(number) for number in range(1, len(rounds))), "median"]
    show_table(
        f"Missions a second: {missions:,} missions, {workers} workers",
        ("round", "whole process", "steady", "floor", "ratio", "no last flush", "floor", "ratio"),
        [[name, *map(_written, figures)] for name, figures in zip(names, rounds, strict=True)],
    )
    show_table(
        f"Microseconds a mission: steps alone in one process, a checkpoint each {spacing:,}",
        ("step", "µs"),
        steps,
    )


def time_run(folder: RunFolder, missions: int, workers: int, *mission: str) -> tuple[float, Times]:
    """Run the real command; return its seconds, and its steady part as its log tells it.

    `mission` are the options that choose one; the team mission, where there are none.
    """
    os.sync()
    whole = run_to_end(
        *(*COMMAND, *mission),
        *(f"--missions={missions}", f"--workers={workers}", f"--output={folder.path}"),
    )
    written = lines_of_log(folder, "batches written")
    complete = lines_of_log(folder, "complete:")[-1]
    first, last, end = map(moment_of, (written[0], written[-1], complete))
    low, high = map(int, re.findall(r"\d+", written[0].rpartition("missions")[2]))
    steady = missions - (high + 1 - low)
    return whole, Times(steady, (end - first).total_seconds(), (end - last).total_seconds())


def lines_of_log(folder: RunFolder, wanted: str) -> list[str]:
    """Return the lines of a run's log that hold a text."""
    (log,) = folder.logs.iterdir()
    return [line for line in log.read_text("utf-8").splitlines() if wanted in line]


def moment_of(line: str) -> datetime:
    """Return when a line of a log was written."""
    return datetime.fromisoformat(line[:23])


def time_floor(run: RunFolder, target: Path, workers: int) -> Times:
    """Write a run's bytes again, and do nothing else."""
    target.mkdir()
    batches, journals = sorted(run.batches.glob("*.pt")), sorted(run.missions.iterdir())
    missions = sum(file.read_bytes().count(b"\n") for file in journals)
    pieces = [(target / file.name, _in_pieces(file.read_bytes())) for file in journals]
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(workers + 1)
    writers = [
        spawn.Process(target=_save_batches, args=(batches[k::workers], target, barrier))
        for k in range(workers)
    ]
    for writer in writers:
        writer.start()
    barrier.wait()
    os.sync()
    with clock() as whole:
        barrier.wait()
        for path, content in pieces:
            with path.open("wb", buffering=0) as file:
                for piece in content:
                    file.write(piece)
        barrier.wait()
        with clock() as flush:
            os.sync()
    for writer in writers:
        writer.join()
    for original in (*batches, *journals):
        if not filecmp.cmp(original, target / original.name, shallow=False):
            raise SystemExit(f"the floor wrote other bytes than the run: {original.name}")
    return Times(missions, whole.seconds, flush.seconds)


def _in_pieces(data: bytes) -> list[bytes]:
    return [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]


def _save_batches(files: Sequence[Path], target: Path, barrier: Barrier) -> None:
    """Be one worker of the floor."""
    import torch

    torch.set_num_threads(1)
    ready = [(target / file.name, torch.load(file, weights_only=True)) for file in files]
    barrier.wait()  # all are ready
    barrier.wait()  # the clock runs
    for path, content in ready:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        with path.open("wb") as file:
            file.write(buffer.getvalue())
    barrier.wait()  # all is written


def _figures(whole_rate: float, run: Times, floor: Times) -> list[float]:
    figures = [whole_rate]
    for rate, at_best in zip(run.rates, floor.rates, strict=True):
        figures += [rate, at_best, rate / at_best]
    return figures


def _written(figure: float) -> str:
    return f"{figure:,.0f}" if figure > 100 else f"{figure:.2f}"


if __name__ == "__main__":
    main()
