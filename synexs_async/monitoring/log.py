"""A run's log, line by line: the last lines, and those that are written from now on."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, closing
from functools import cache
from itertools import islice, takewhile
from pathlib import Path
from time import monotonic
from typing import Final

from msgspec import Struct

from synexs_async.errors import ConfigError, FolderError
from synexs_async.monitoring.asked import check_count
from synexs_async.monitoring.following import QUIET, follow
from synexs_async.monitoring.log_files import LogFiles
from synexs_async.storage.folder import RunFolder, read_run_file

LEVELS: Final = {
    "TRACE": 5,
    "DEBUG": 10,
    "INFO": 20,
    "SUCCESS": 25,
    "WARNING": 30,
    "ERROR": 40,
    "CRITICAL": 50,
}
_SETTLED: Final = 0.8 * QUIET
_STAMP: Final = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
_BEGINNING: Final = re.compile(rf"({_STAMP}) \| (\S+) *\| ?(.*)")


class LogLine(Struct, frozen=True):
    """One entry of the log; a traceback belongs to the message that it follows.

    Attributes:
        timestamp: wall-clock time, as YYYY-MM-DD HH:MM:SS.mmm; "" for lines that bear none.
        level: TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL, or one of the host's own; of
            lines that bear none, that of the entry before.
        message: what is said, maybe in several lines.
    """

    timestamp: str
    level: str
    message: str

    @property
    def text(self) -> str:
        """The entry as it stands in the file, without the last newline."""
        if not self.timestamp:
            return self.message
        return f"{self.timestamp} | {self.level:<8} | {self.message}"


def is_of_level(line: LogLine, least: int) -> bool:
    """Whether a line is of this level or above."""
    # One that a host made up is shown: nobody knows how much it matters.
    return LEVELS.get(line.level, least) >= least


def last_log_lines(
    folder: str | os.PathLike[str],
    count: int,
    *,
    level: str = "TRACE",
    pattern: re.Pattern[str] | None = None,
) -> list[LogLine]:
    """Return the last lines of a run's log, at most `count`, the oldest first.

    The files are read from their end, only as far as is needed.

    Args:
        folder: the run's folder.
        count: how many lines, of those that are asked for.
        level: the least level.
        pattern: what is searched for in a line's text.

    Raises:
        ConfigError: there is no such level, or the count is below 0.
        FolderError: the folder holds no run.
    """
    check_count("count", count)
    run_folder = RunFolder(Path(folder))
    with closing(LogReader(run_folder, _Asked(level, pattern))) as log:
        read_run_file(run_folder)
        try:
            return log.last(count)
        except OSError as error:
            raise FolderError(run_folder.path, f"can't be read: {error.strerror}") from error


async def follow_log(
    folder: str | os.PathLike[str],
    *,
    last: int | None = None,
    level: str = "TRACE",
    pattern: re.Pattern[str] | None = None,
    keep: bool = False,
) -> AsyncGenerator[LogLine, None]:
    """Iterate over the lines of a run's log, each once and in order, as they are written.

    It waits for the run to begin, follows it through rotated and truncated files, and ends when
    the run has ended: when it says so, its process on this machine is gone, or nothing was heard
    of it for a minute. Close it (`contextlib.aclosing`), or cancel, to leave earlier.

    Args:
        folder: the run's folder.
        last: how many of the lines that are there already come first; None for all of them.
        level: the least level.
        pattern: what is searched for in a line's text.
        keep: stay when the run has ended, and follow it when it is resumed.

    Raises:
        ConfigError: there is no such level, or `last` is below 0.
        FolderError: the folder is not a run's, and not free to become one's.
    """
    check_count("last", last or 0)
    run_folder = RunFolder(Path(folder))
    log = LogReader(run_folder, _Asked(level, pattern))
    has_begun = last is None

    def look() -> list[LogLine] | None:
        nonlocal has_begun
        if has_begun:
            return log.read()
        has_begun = True
        return log.last(last or 0)

    async with aclosing(follow(run_folder, run_folder.logs, log, look, keep=keep)) as lines:
        async for line in lines:
            yield line


class _Asked:
    """Which lines are wanted: those of the level `least` and up, with the pattern."""

    def __init__(self, level: str, pattern: re.Pattern[str] | None) -> None:
        if level not in LEVELS:
            raise ConfigError("level", level, f"one of {', '.join(LEVELS)}")
        self.least, self._pattern = LEVELS[level], pattern

    def has(self, line: LogLine) -> bool:
        """Whether a line is wanted."""
        if not is_of_level(line, self.least):
            return False
        return self._pattern is None or self._pattern.search(line.text) is not None


class LogReader:
    """Makes lines of what the files hold: of all, or those that are asked for.

    Attributes:
        files: what it reads.
    """

    def __init__(self, folder: RunFolder, asked: _Asked | None = None) -> None:
        self.files = LogFiles(folder.logs)
        self._asked = asked or _Asked("TRACE", None)
        self._pending: list[str] = []
        self._level = ""
        self._heard = 0.0
        self._is_stopped = False

    def stop(self) -> None:
        """Let a search that is under way end soon."""
        self._is_stopped = True

    def close(self) -> None:
        """Give the files back."""
        self.files.close()

    def last(self, count: int) -> list[LogLine]:
        """Pass over what is there, and return the end of it."""
        self.files.skip_to_end()
        texts = takewhile(lambda _: not self._is_stopped, self.files.lines_before())
        wanted = filter(self._asked.has, lines_backwards(texts, self._asked.least))
        return [*islice(wanted, count)][::-1]

    def read(self) -> list[LogLine] | None:
        """Return lines that are new; None where nothing is.

        The last one comes when it is certain that no traceback follows.
        """
        content = self.files.read()
        if content:
            self._heard = monotonic()
            return [*filter(self._asked.has, self._add(content))]
        if self._pending and monotonic() - self._heard > _SETTLED:
            return [*filter(self._asked.has, self._finish())]
        return None

    @property
    def unfinished(self) -> LogLine | None:
        """The newest line, as far as it is there: `read` gives it later, with what follows."""
        return _line(self._pending, self._level) if self._pending else None

    def _add(self, content: bytes) -> Iterator[LogLine]:
        for text in _decode(content[:-1]).split("\n"):
            if _BEGINNING.fullmatch(text):
                yield from self._finish()
            self._pending.append(text)

    def _finish(self) -> Iterator[LogLine]:
        if self._pending:
            line = _line(self._pending, self._level)
            self._pending, self._level = [], line.level
            yield line


def lines_backwards(texts: Iterable[bytes], least: int) -> Iterator[LogLine]:
    """Make lines of what stands in a log, the last one first; most below a level are left out."""
    is_below = _beginning_below(least).match
    rest: list[str] = []
    for text in texts:
        if is_below(text):
            rest = []
            continue
        rest.append(_decode(text))
        if _BEGINNING.fullmatch(rest[-1]):
            yield _line(rest[::-1])
            rest = []
    if rest:
        yield _line(rest[::-1])


@cache
def _beginning_below(least: int) -> re.Pattern[bytes]:
    """Find what need not be decoded."""
    names = [name for name, number in LEVELS.items() if number < least]
    spelling = "|".join(names) if names else "(?!)"
    return re.compile(rf"{_STAMP} \| (?:{spelling}) +\|".encode())


def _line(texts: list[str], level: str = "") -> LogLine:
    first, *more = texts
    if match := _BEGINNING.fullmatch(first):
        timestamp, level, message = match.groups()
        return LogLine(timestamp, level, "\n".join([message, *more]))
    return LogLine("", level, "\n".join(texts))


def _decode(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")
