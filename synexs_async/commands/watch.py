"""`watch`: show how runs stand, in the terminal, until one leaves it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from synexs_async.cli import COMMAND, command_parser, give_way
from synexs_async.errors import FolderError, UsageError

_DESCRIPTION: Final = """\
Show how runs stand: how far they are, the outcomes, the rate over time, the event loop's delay,
memory, and the last warnings. A folder may hold a run, or runs below it; it may appear later.

keys: n, p  the next run, the one before     l  the log     q  leave"""


def main(arguments: Sequence[str]) -> int:
    """Show it until the user leaves."""
    parser = command_parser(
        "watch",
        _DESCRIPTION,
        f"{COMMAND} watch",
        f"{COMMAND} watch runs",
        f"{COMMAND} watch runs/seven runs/eight",
    )
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        default=[Path("training_logs")],
        metavar="DIR",
        help="a run's folder, or one that holds some (default: training_logs)",
    )
    options = parser.parse_args(arguments)
    for folder in options.folders:
        try:
            is_other = folder.exists() and not folder.is_dir()
        except OSError as error:
            raise FolderError(folder, f"can't be read: {error.strerror}") from error
        if is_other:
            raise FolderError(folder, "is a file; give the folder of a run, or of several")
    try:
        from synexs_async.watch.app import WatchApp
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("textual"):
            raise
        raise UsageError("watch needs textual: pip install 'synexs-async[watch]'") from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        other = f"{COMMAND} tail -f {options.folders[0]}"
        raise UsageError(f"watch: needs a terminal; elsewhere, use {other}")

    give_way()
    app = WatchApp(options.folders)
    app.run()
    return app.return_code or 0
