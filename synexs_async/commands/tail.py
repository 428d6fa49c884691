"""`tail`: print the last lines of a run's log, or its last missions, and those that follow."""

from __future__ import annotations

import os
import re
import stat
import sys
from argparse import Namespace
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import msgspec

from synexs_async.cli import COMMAND, command_parser, give_way
from synexs_async.config import LogLevel
from synexs_async.errors import FolderError, UsageError, leaves_of
from synexs_async.monitoring.terminal import harmless_lines

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream

    from synexs_async.monitoring.log import LogLine

_INTERRUPTED: Final = 130
_COLOURS: Final = {
    "TRACE": 2,  # faint
    "DEBUG": 2,
    "SUCCESS": 32,
    "WARNING": 33,
    "ERROR": 31,
    "CRITICAL": 31,
    "success": 32,
    "failure": 33,
    "aborted": 36,
    "error": 31,
}


def main(arguments: Sequence[str]) -> int:
    """Print lines until there are no more to come, or refuse."""
    parser = command_parser(
        "tail",
        "Print the last lines of a run's log, or with --missions its last missions, one a line.\n"
        "With -f, go on with what follows until the run ends.\n\n"
        "exit codes: 0, 2 refused, 130 interrupted",
        f"{COMMAND} tail -f                             the run in ./training_logs",
        f"{COMMAND} tail runs/seven -n 5 --level WARNING",
        f"{COMMAND} tail --missions --outcome failure --difficulty hard --json",
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("training_logs"),
        metavar="DIR",
        help="the run's folder (default: training_logs)",
    )
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="go on until the run ends; wait for one where there is none yet",
    )
    parser.add_argument(
        "--keep", action="store_true", help="follow, and stay when the run ends: it may be resumed"
    )
    parser.add_argument(
        "-n", type=int, default=20, dest="count", metavar="N", help="how many lines (default: 20)"
    )
    parser.add_argument(
        "--level",
        type=str.upper,
        choices=get_args(LogLevel),
        help="least level of log lines (default: all of them)",
    )
    parser.add_argument(
        "--grep",
        metavar="RE",
        help="only lines in which this regular expression is found: log lines with their "
        "traceback, or missions' lines in the journal",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, an object a line")
    missions = parser.add_argument_group("missions")
    missions.add_argument("--missions", action="store_true", help="missions in place of log lines")
    missions.add_argument(
        "--outcome", metavar="STATUS", help="only these: success, failure, aborted or error"
    )
    missions.add_argument(
        "--difficulty",
        "--group",
        dest="group",
        metavar="NAME",
        help="only those of this difficulty; of another mission kind, those whose field that it is "
        "grouped by has this value",
    )
    options = parser.parse_args(arguments)
    try:
        return _tail(options)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _tail(options: Namespace) -> int:
    pattern = _checked(options)
    follows = options.follow or options.keep

    from synexs_async.storage.folder import RunFolder, holds_run

    if not holds_run(RunFolder(options.folder)):
        if not follows:
            raise FolderError(options.folder, "no run yet; add -f to wait for one")
        print(f"waiting for a run in {options.folder} ...", file=sys.stderr)
    tail = _missions(options, pattern) if options.missions else _log(options, pattern)
    if follows:
        give_way()
        _follow(tail.follow(last=options.count, keep=options.keep), tail.show)
    else:
        sys.stdout.writelines(f"{tail.show(line)}\n" for line in tail.last(count=options.count))
    return 0


def _checked(options: Namespace) -> re.Pattern[str] | None:
    """See that the options go together; return the regular expression."""
    if options.count < 0:
        raise UsageError(f"-n: expected a number of lines, 0 or more, not {options.count}")
    for name, value in (("--outcome", options.outcome), ("--difficulty", options.group)):
        if value is not None and not options.missions:
            raise UsageError(f"{name}: is for missions; add --missions")
    if options.level is not None and options.missions:
        raise UsageError("--level: is for log lines; leave it or --missions out")
    try:
        return None if options.grep is None else re.compile(options.grep)
    except re.error as error:
        raise UsageError(f"--grep: {options.grep!r} is no regular expression: {error}") from None


class _Tail(NamedTuple):
    """What gives the last lines, what gives those and those that follow, and how one is shown."""

    last: Callable[..., Iterable[Any]]
    follow: Callable[..., AsyncGenerator[Any, None]]
    show: Callable[[Any], str]


def _log(options: Namespace, pattern: re.Pattern[str] | None) -> _Tail:
    from synexs_async.monitoring.log import follow_log, last_log_lines

    terminal = _Terminal.of_stdout()

    def show(line: LogLine) -> str:
        if options.json:
            return terminal.show(msgspec.json.encode(line).decode())
        return terminal.show(line.text, line.level)

    asked: dict[str, Any] = {"level": options.level or "TRACE", "pattern": pattern}
    return _Tail(
        partial(last_log_lines, options.folder, **asked),
        partial(follow_log, options.folder, **asked),
        show,
    )


def _missions(options: Namespace, pattern: re.Pattern[str] | None) -> _Tail:
    from synexs_async.monitoring.asked import AskedMissions, group_field
    from synexs_async.monitoring.missions import follow_lines, last_lines
    from synexs_async.monitoring.telling import mission_teller

    terminal = _Terminal.of_stdout()
    group_by: str | None = None
    tell = mission_teller("")

    def show(line: bytes) -> str:
        nonlocal group_by, tell
        if group_by is None and (group_by := group_field(options.folder)):
            tell = mission_teller(group_by)
        number, status, rest = tell(line)
        return f"{number}  {terminal.show(status, status.rstrip())}  {rest}".rstrip()

    def show_whole(line: bytes) -> str:
        return terminal.show(line.decode())

    asked: dict[str, Any] = {
        "make": show_whole if options.json else show,
        "asked": AskedMissions(options.outcome, options.group, pattern),
    }
    return _Tail(
        partial(last_lines, options.folder, **asked),
        partial(follow_lines, options.folder, **asked),
        str,
    )


def _follow(lines: AsyncGenerator[Any, None], text: Callable[[Any], str]) -> None:
    """Print lines as they come, until there are no more or nobody reads them."""
    import anyio

    async def show() -> None:
        async with anyio.create_task_group() as tasks:
            if stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
                tasks.start_soon(_leave_with_reader)
            printed, shown = anyio.create_memory_object_stream[None](1)
            tasks.start_soon(_flush, shown)
            async with aclosing(lines), printed:
                async for line in lines:
                    print(text(line))
                    with suppress(anyio.WouldBlock):
                        printed.send_nowait(None)
            sys.stdout.flush()
            tasks.cancel_scope.cancel()

    try:
        anyio.run(show)
    except* (UsageError, OSError) as group:
        raise next(leaves_of(group)) from None


async def _flush(printed: MemoryObjectReceiveStream[None]) -> None:
    """Flush what was printed whenever the loop gets to it: lines that came together, together."""
    async with printed:
        async for _ in printed:
            sys.stdout.flush()


async def _leave_with_reader() -> None:
    """End when nobody reads standard output any more, rather than with the next line."""
    import anyio

    await anyio.wait_readable(sys.stdout.fileno())  # a pipe that is written to never is
    raise BrokenPipeError


@dataclass(frozen=True, slots=True)
class _Terminal:
    """How text is shown on a terminal; elsewhere it stays as it is."""

    is_one: bool
    has_colours: bool

    @classmethod
    def of_stdout(cls) -> _Terminal:
        is_one = sys.stdout.isatty()
        has_colours = os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
        return cls(is_one, is_one and has_colours)

    def show(self, text: str, kind: str = "") -> str:
        """Return text in the colour of a level or status, and without what steers terminals."""
        if self.is_one:
            text = harmless_lines(text)
        if self.has_colours and kind in _COLOURS:
            return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m"
        return text
