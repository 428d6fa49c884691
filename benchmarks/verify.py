"""How fast a run is verified, and how much memory that takes.

    python benchmarks/verify.py [--missions 100000] [--rounds 3] [--output DIR]

Each round checks one complete run with the command: with a sample, and with all missions
simulated again. The rate counts the whole process, with the second and more that a worker takes to
import torch. Memory is the most that the main process took.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from statistics import median
from typing import Final

from measuring import COMMAND, clock, run_to_end, scratch_folder, show_table

_PROGRAM: Final = """\
import resource, sys
from synexs_async.cli import main

code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def main() -> None:
    """Measure, and print the table."""
    parser = ArgumentParser(description="Measure how fast a run is verified.")
    parser.add_argument("--missions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    options = parser.parse_args()
    rows = []
    with scratch_folder(options.output) as scratch:
        folder = scratch / "run"
        run_to_end(*COMMAND, f"--missions={options.missions}", f"--output={folder}")
        for asked in ("--sample=1", "--all"):
            rates, memory = [], 0
            for _ in range(options.rounds):
                with clock() as elapsed:
                    size = _memory_of("verify", str(folder), asked)
                rates.append(options.missions / elapsed.seconds)
                memory = max(memory, size)
            figures = [f"{rate:,.0f}" for rate in (median(rates), max(rates))]
            rows.append([asked, *figures, f"{memory / 1e6:.0f}"])
    show_table(
        f"Verifying {options.missions:,} missions",
        ("option", "missions/s, median", "fastest", "MB of memory"),
        rows,
    )


def _memory_of(*arguments: str) -> int:
    """Run the command to its good end; return the most bytes that its main process took."""
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(finished.stderr) * 1024


if __name__ == "__main__":
    main()
