"""`verify`: check a run's folder, and mend it."""

from __future__ import annotations

import sys
from argparse import SUPPRESS
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from synexs_async.cli import COMMAND, command_parser

if TYPE_CHECKING:
    from synexs_async.verification.verify import Verification

_SHOWN: Final = 10
_DESCRIPTION: Final = """\
Check a run's folder: each file against the journal, and the journal against simulating its missions
again. A run that is finished, interrupted or going on may be checked; nothing is changed.

exit codes: 0 all holds, 1 something differs, 2 refused (no run there, or in use with --repair)"""


def main(arguments: Sequence[str]) -> int:
    """Check, print what came of it, and return the exit code."""
    parser = command_parser(
        "verify",
        _DESCRIPTION,
        f"{COMMAND} verify training_logs            a sample of the missions, all of the files",
        f"{COMMAND} verify training_logs --all      each mission",
        f"{COMMAND} verify training_logs --repair   write again what is damaged",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the run's folder")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--sample",
        type=float,
        default=1.0,
        metavar="PERCENT",
        help="how many of the missions to simulate again, with the first and the last (default: 1)",
    )
    which.add_argument(
        "--all",
        action="store_const",
        const=100.0,
        dest="sample",
        default=SUPPRESS,
        help="simulate all missions again",
    )
    parser.add_argument(
        "--repair", action="store_true", help="write again what is damaged, from what is still true"
    )
    parser.add_argument(
        "--mission", metavar="NAME", help="where a mission kind of one's own is found"
    )
    options = parser.parse_args(arguments)

    import anyio
    from loguru import logger

    from synexs_async.verification.verify import verify_run

    logger.remove()
    logger.add(sys.stderr, level="WARNING", format="{message}")

    async def verify() -> Verification:
        return await verify_run(
            options.folder,
            mission=options.mission,
            sample=options.sample,
            repair=options.repair,
        )

    found = anyio.run(verify, backend_options={"use_uvloop": sys.platform != "win32"})
    _show(found, options.folder)
    return 0 if found.holds else 1


def _show(found: Verification, folder: Path) -> None:
    for sentence in found.mended:
        print(f"mended: {sentence}")
    state = "complete" if found.is_complete else f"not complete, {found.committed:,} committed"
    print(f"{folder}: {found.missions:,} missions, {state}")
    for part in found.parts:
        differs = f"{part.differences:,} differ" if part.differences else "ok"
        print(f"  {part.part:<12}{part.checked:<44}{differs}")
    share = 100 * found.simulated / max(found.missions, 1)
    print(f"  {'simulated':<12}{found.simulated:,} missions again ({share:.3g}%)")
    if found.dataset_sha256:
        print(f"  {'digest':<12}{found.dataset_sha256}")
    for note in found.notes:
        print(f"note: {note}")
    for difference in found.differences[:_SHOWN]:
        print(f"differs: {difference}")
    more = found.difference_count - min(len(found.differences), _SHOWN)
    if more:
        print(f"... and {more:,} more")
