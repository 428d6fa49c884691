"""`export`: write a run's records in the format of other tools."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from synexs_async.cli import COMMAND, command_parser
from synexs_async.errors import StorageFailed, UsageError

if TYPE_CHECKING:
    from synexs_async.export.source import Source, Told
    from synexs_async.export.target import Exported

_EXTRAS: Final = {"parquet": "export", "minari": "minari"}


def main(arguments: Sequence[str]) -> int:
    """Export, and say what is there now."""
    parser = command_parser(
        "export",
        "Write a run's records as Parquet files, a row a mission, or the recorded steps of its\n"
        "Gymnasium episodes as a Minari data set. A run that is finished or interrupted may be\n"
        "exported, or one going on as far as it is committed; nothing in its folder is changed.\n"
        "The same command goes on with an export that was interrupted.",
        f"{COMMAND} export training_logs --format parquet                into "
        "./training_logs-parquet",
        f"{COMMAND} export training_logs --format parquet --to missions",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the run's folder")
    parser.add_argument("--format", required=True, choices=list(_EXTRAS), help="the format")
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="where to write (default: DIR-FORMAT)"
    )
    parser.add_argument(
        "--mission", metavar="NAME", help="the run's kind, where a Minari export may import it"
    )
    options = parser.parse_args(arguments)
    if options.mission is not None and options.format != "minari":
        raise UsageError("--mission: is for --format minari alone; leave it out")

    from synexs_async.export.source import open_source

    export = _exporter(options.format, options.mission)
    run = options.folder.resolve()  # `.` has a name as well
    target = options.to or run.with_name(f"{run.name}-{options.format}")
    try:
        source = open_source(run)
        with _progress(2 * source.missions) as told:
            done = export(source, target.absolute(), told)
    except OSError as error:
        raise StorageFailed(error) from error
    files = f"{done.files:,} file" + ("s" if done.files > 1 else "")
    state = f"{done.written:,} written now" if done.written else "there already"
    print(f"{target}: complete, {done.missions:,} missions in {files}, {state}")
    return 0


def _exporter(name: str, mission: str | None) -> Callable[[Source, Path, Told], Exported]:
    """Return what exports in a format, whose libraries an extra brings."""
    try:
        if name == "minari":
            from synexs_async.export.minari import export_minari

            return partial(export_minari, mission=mission)
        from synexs_async.export.parquet import export_parquet

        return export_parquet
    except ImportError as error:
        extra = _EXTRAS[name]
        problem = f"--format {name} needs more: pip install 'synexs-async[{extra}]'"
        raise UsageError(problem) from error


@contextmanager
def _progress(total: int) -> Iterator[Told]:
    """Show on a terminal how far it is."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    with Progress(
        BarColumn(30),
        TextColumn("{task.percentage:3.0f}%"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not is_terminal,
    ) as bar:
        task = bar.add_task("export", total=total)
        yield lambda missions: bar.advance(task, missions)
