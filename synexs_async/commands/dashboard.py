"""`dashboard`: serve the runs below a folder to a browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from synexs_async.cli import COMMAND, command_parser, give_way
from synexs_async.errors import ConfigError, FolderError, UsageError

_LARGEST_PORT: Final = 65535


def main(arguments: Sequence[str]) -> int:
    """Serve until interrupted, and return 0."""
    parser = command_parser(
        "dashboard",
        "Show the runs at and below a folder in a browser: how they stand, over time, their logs\n"
        "and missions. It only reads, and goes on until Ctrl-C. Needs the extra dashboard.\n\n"
        "exit codes: 0, 2 refused",
        f"{COMMAND} dashboard           all runs at and below the current folder",
        f"{COMMAND} dashboard runs      those below runs/",
        f"{COMMAND} dashboard runs --host 0.0.0.0 --token TOKEN   for others who know the token",
    )
    parser.add_argument("root", metavar="ROOT", nargs="?", default=".", help="default: %(default)s")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; default: %(default)s"
    )
    parser.add_argument(
        "--port", type=int, default=8765, help="default: %(default)s; 0 for any that is free"
    )
    parser.add_argument("--token", help="what a browser has to know; any other host needs one")
    options = parser.parse_args(arguments)
    root = Path(options.root)
    try:
        is_folder = root.is_dir()
    except OSError as error:
        raise FolderError(root, f"can't be read: {error.strerror}") from error
    if not is_folder:
        raise FolderError(root, "is no folder; give one with runs in it, or a run's own")
    if not 0 <= options.port <= _LARGEST_PORT:
        raise ConfigError("port", options.port, f"a number from 0 to {_LARGEST_PORT}")
    try:
        from synexs_async.dashboard.serving import listen, serve
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        problem = "the dashboard needs starlette and uvicorn"
        raise UsageError(f"{problem}: pip install 'synexs-async[dashboard]'") from error

    with listen(options.host, options.port, options.token) as listener:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        ending = "?token=…" if options.token else ""
        print(
            f"dashboard of {root.resolve()}: http://{shown}:{port}/{ending}  (Ctrl-C ends it)",
            flush=True,
        )
        give_way()
        serve(root, listener, options.token)
    return 0
