"""`report`: write a run's figures as a page to look at, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synexs_async.cli import COMMAND, command_parser
from synexs_async.errors import StorageFailed


def main(arguments: Sequence[str]) -> int:
    """Write the report, and say where."""
    parser = command_parser(
        "report",
        "Write report.html, a page to look at, and report.json, the same figures for programs,\n"
        "into a run's folder: how its missions ended and whether that was to be expected, how\n"
        "they differ, and how the run went. A run that is finished, interrupted or going on may\n"
        "be reported; one that ended under the command line has a report already.",
        f"{COMMAND} report training_logs",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the run's folder")
    options = parser.parse_args(arguments)

    from synexs_async.report.writing import write_report

    try:
        print(write_report(options.folder))
    except OSError as error:
        raise StorageFailed(error) from error
    return 0
