"""What the benchmarks share: the real command as a child process, a clock, a folder, tables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from rich.console import Console
from rich.table import Table

COMMAND: Final = (sys.executable, "-m", "synexs_async")
_WIDTH_OF_A_FILE: Final = 110


@dataclass
class Elapsed:
    """The seconds that a block took, once it is left."""

    seconds: float = 0.0


@contextmanager
def clock() -> Iterator[Elapsed]:
    """Take the time of the block."""
    elapsed = Elapsed()
    started = perf_counter()
    yield elapsed
    elapsed.seconds = perf_counter() - started


def run_to_end(*command: str) -> float:
    """Run a command to its good end, and return the seconds that it took."""
    with clock() as elapsed:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return elapsed.seconds


@contextmanager
def scratch_folder(parent: Path | None) -> Iterator[Path]:
    """Give a new folder within `parent`, or where temporary files go; it is removed at the end.

    At the end, not between rounds: on ext4 without a journal a new file costs up to a millisecond
    where many were removed within the last minutes.
    """
    with TemporaryDirectory(prefix="synexs_benchmark_", dir=parent) as folder:
        yield Path(folder)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: text in the first column, numbers in the others."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE).print(table, "")
