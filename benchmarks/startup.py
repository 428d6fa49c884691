"""How long the command takes where it has little to do.

    python benchmarks/startup.py [--missions 100000] [--rounds 7] [--output DIR]

Medians of the wall time of whole processes, one of each in every round. Importing torch is for
comparison, as is an interpreter that does nothing. The complete run that is started again is one
of `--missions` missions.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import defaultdict
from pathlib import Path
from statistics import median

from measuring import COMMAND, run_to_end, scratch_folder, show_table


def main() -> None:
    """Measure, and print the table."""
    parser = ArgumentParser(description="Measure how long the command takes to start.")
    parser.add_argument("--missions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = defaultdict(list)
    with scratch_folder(options.output) as scratch:
        complete = (*COMMAND, f"--missions={options.missions}", f"--output={scratch / 'complete'}")
        run_to_end(*complete)
        for number in range(options.rounds):
            for name, command in {
                "python -c pass": (sys.executable, "-c", "pass"),
                "--help": (*COMMAND, "--help"),
                "--version": (*COMMAND, "--version"),
                "scenario": (*COMMAND, "scenario"),
                "tail": (*COMMAND, "tail", str(scratch / "complete")),
                "tail --missions": (*COMMAND, "tail", "--missions", str(scratch / "complete")),
                "a complete run again": complete,
                'python -c "import torch"': (sys.executable, "-c", "import torch"),
                "--quick": (*COMMAND, "--quick", f"--output={scratch / f'quick{number}'}"),
            }.items():
                seconds[name].append(run_to_end(*command))
    show_table(
        "Wall time",
        ("command", "median s", "shortest s"),
        [[name, f"{median(taken):.3f}", f"{min(taken):.3f}"] for name, taken in seconds.items()],
    )


if __name__ == "__main__":
    main()
