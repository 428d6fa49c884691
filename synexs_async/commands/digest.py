"""`digest`: print the digest of a complete data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synexs_async.cli import COMMAND, command_parser


def main(arguments: Sequence[str]) -> int:
    """Print it and nothing else, or refuse."""
    parser = command_parser(
        "digest",
        "Print the digest of a complete run's data set: what its index and its checkpoint agree "
        "on.\nNo other file is read; `verify` does that.",
        f"{COMMAND} digest training_logs",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the run's folder")
    options = parser.parse_args(arguments)

    from synexs_async.storage.folder import RunFolder
    from synexs_async.verification.claims import complete_digest

    print(complete_digest(RunFolder(options.folder)))
    return 0
