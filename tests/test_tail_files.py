"""Which lines a tail reads, whatever happens to the files that they are in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from builders import begun_run
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async.monitoring.log_files import LogFiles

BEGAN = datetime(2026, 1, 31, 23, 59, 58)
MOST_LINES = 400

ANY = ("resume", "cut", "remove rotated", "tear", "look", "look")


def steps_with(*rotating: str) -> st.SearchStrategy[list[int | str]]:
    """Give what may happen to a log: so many lines more, or a rotation of these kinds, or else."""
    step = st.one_of(st.integers(1, MOST_LINES), st.sampled_from((*rotating, *ANY)))
    return st.lists(step, max_size=40)


class Log:
    """A run's log as it is written, and as programs like logrotate treat it."""

    def __init__(self, run: Path) -> None:
        self._folder = run / "logs"
        self._session = 0
        self._dates = 0
        self.lines: list[bytes] = []
        self._torn = b""
        self._begin()

    def _begin(self) -> None:
        name = f"training_{BEGAN + timedelta(seconds=self._session):%Y%m%d_%H%M%S}.log"
        self._path = self._folder / name
        self._file = self._path.open("ab", buffering=0)

    def write(self, count: int) -> None:
        """Append lines, of which the first one may complete a torn one."""
        lines = [self._line(len(self.lines) + number) for number in range(count)]
        self._file.write(b"\n".join(lines)[len(self._torn) :] + b"\n")
        self.lines += lines
        self._torn = b""

    def tear(self) -> None:
        """Append half a line."""
        if not self._torn:
            line = self._line(len(self.lines))
            self._torn = line[: len(line) // 2]
            self._file.write(self._torn)

    def rotate(self, how: str) -> None:
        """Let a step happen to the file that is written to."""
        if self._torn:
            self.write(1)
        if how == "resume":
            self._session += 1
        elif how == "move":
            self._shift()
            self._path.rename(f"{self._path}.1")
        elif how == "move with a date":
            self._dates += 1
            self._path.rename(f"{self._path}-{20260131 + self._dates}")
        elif how == "copy and cut":
            self._shift()
            shutil.copy(self._path, f"{self._path}.1")
            self._path.open("wb").close()
            return
        self._file.close()
        self._begin()

    def cut(self) -> None:
        """Throw away what the file holds, and half a line with it."""
        self._torn = b""
        self._path.open("wb").close()

    def remove_rotated(self) -> None:
        """Remove what rotation has made."""
        for file in self._rotated():
            file.unlink()

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _shift(self) -> None:
        numbers = {int(file.suffix[1:]) for file in self._rotated() if file.suffix[1:].isdecimal()}
        for number in sorted(numbers, reverse=True):
            Path(f"{self._path}.{number}").rename(f"{self._path}.{number + 1}")

    def _rotated(self) -> Iterator[Path]:
        return (file for file in self._folder.glob(f"{self._path.name}?*"))

    def _line(self, number: int) -> bytes:
        return f"2026-01-31 23:59:59.123 | INFO     | line {number} {'x' * (number % 50)}".encode()


@given(st.one_of(steps_with("move", "copy and cut"), steps_with("move with a date")))
@settings(deadline=None, max_examples=60)
def test_each_line_is_read_once_and_in_order(steps: list[int | str]) -> None:
    """Rotated, copied, cut off, torn, resumed, several times between two looks: no difference."""
    with tempfile.TemporaryDirectory() as folder:
        run = begun_run(Path(folder))
        seen: list[bytes] = []
        with closing(Log(run)) as log, closing(LogFiles(run / "logs")) as files:

            def look() -> None:
                while lines := files.read():
                    assert lines.endswith(b"\n")
                    seen.extend(lines[:-1].split(b"\n"))

            files.skip_to_end()
            for step in steps:
                match step:
                    case int():
                        log.write(step)
                    case "look":
                        look()
                    case "tear":
                        log.tear()
                    case "cut":
                        look()  # what nobody has read is lost
                        log.cut()
                    case "remove rotated":
                        look()
                        log.remove_rotated()
                    case _:
                        log.rotate(step)
            look()
            assert log.lines == seen
