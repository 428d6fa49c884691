"""How near async missions come to what their waiting allows, and what memory they take.

    python benchmarks/concurrency.py [--missions 20000 200000] [--concurrency 1000] [--output DIR]

The mission is `examples/service.py`, which waits 50 ms for an answer: 1,000 at once can do 20,000 a
second. The rate is the run's own, from its first mission to its last checkpoint, as the real
command tells in `progress.json`; start-up is not in it.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from measuring import COMMAND, run_to_end, scratch_folder, show_table

from synexs_async import read_progress

_MISSION: Final = f"{Path(__file__).parent.parent / 'examples' / 'service.py'}:ask"
_WAITING_SECONDS: Final = 0.05
_MEGABYTE: Final = 10**6


def main() -> None:
    """Measure, and print the table."""
    parser = ArgumentParser(description="Measure the rate of async missions.")
    parser.add_argument("--missions", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--concurrency", type=int, default=1000)
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    options = parser.parse_args()
    ideal = options.concurrency / _WAITING_SECONDS
    rows = []
    for missions in options.missions:
        with scratch_folder(options.output) as scratch:
            folder = scratch / "run"
            run_to_end(
                *(*COMMAND, f"--mission={_MISSION}", f"--missions={missions}"),
                *(f"--concurrency={options.concurrency}", f"--output={folder}"),
            )
            progress = read_progress(folder)
        rate = missions / progress.elapsed_seconds
        memory = progress.rss_bytes / _MEGABYTE
        rows.append([f"{missions:,}", f"{rate:,.0f}", f"{rate / ideal:.0%}", f"{memory:.0f}"])
    show_table(
        f"Async missions, {options.concurrency:,} at once; ideal {ideal:,.0f} a second",
        ("missions", "a second", "of the ideal", "memory in MB"),
        rows,
    )


if __name__ == "__main__":
    main()
