"""How much memory the main process of a run takes, and whether it grows with the run.

    python benchmarks/memory.py [--missions 100000 1000000] [--output DIR]

For each number of missions the real command runs as a child process, and what `progress.json` says
of its memory (`rss_bytes`) is noted as the run goes on: shown are the first value behind each tenth
of the run, and the highest of all. A million missions need about 8 GB of disk for a while.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from measuring import COMMAND, scratch_folder, show_table

from synexs_async import FolderError, read_progress

_BYTES_A_MISSION: Final = 8_500  # of disk
_PAUSE: Final = 0.1
_MEGABYTE: Final = 10**6


def main() -> None:
    """Measure, and print the table."""
    parser = ArgumentParser(description="Measure the memory of a run's main process.")
    parser.add_argument("--missions", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    options = parser.parse_args()
    rows = []
    for missions in options.missions:
        with scratch_folder(options.output) as scratch:
            needed, free = missions * _BYTES_A_MISSION, shutil.disk_usage(scratch).free
            if free < needed:
                raise SystemExit(f"{missions:,} missions need {needed:,} bytes; {free:,} are free")
            memory = memory_of_run(missions, scratch / "run")
        tenths = [_first_behind(memory, missions * tenth // 10) for tenth in range(1, 11)]
        figures = [*tenths, max(memory.values())]
        rows.append([f"{missions:,}", *(f"{size / _MEGABYTE:.0f}" for size in figures)])
    show_table(
        "Memory of the main process in MB",
        ("missions", *(f"{tenth}0%" for tenth in range(1, 11)), "highest"),
        rows,
    )


def memory_of_run(missions: int, folder: Path) -> dict[int, int]:
    """Run the real command; return bytes of memory by missions done."""
    memory: dict[int, int] = {}
    command = [*COMMAND, f"--missions={missions}", f"--output={folder}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            _note(memory, folder)
            time.sleep(_PAUSE)
    _note(memory, folder)
    if run.returncode:
        raise SystemExit(f"the run failed with exit code {run.returncode}")
    return memory


def _note(memory: dict[int, int], folder: Path) -> None:
    try:
        progress = read_progress(folder)
    except FolderError:
        return  # it has not begun to tell
    known = memory.get(progress.mission_current, 0)
    memory[progress.mission_current] = max(known, progress.rss_bytes)


def _first_behind(memory: dict[int, int], missions: int) -> int:
    return memory[min(done for done in memory if done >= missions)]


if __name__ == "__main__":
    main()
