"""`missions`: list the mission kinds that are there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from synexs_async.cli import COMMAND, command_parser

if TYPE_CHECKING:
    from synexs_async.missions.catalogue import Kind

_LONGEST_DEFAULT: Final = 40


def main(arguments: Sequence[str]) -> int:
    """Print the kinds, and return 0, whether or not all of them can be had."""
    parser = command_parser(
        "missions",
        "List the mission kinds that are there: built in, and offered by installed packages under "
        "the\nentry-point group synexs_async.missions. One that can't be imported is listed with "
        "the reason.\n\nexit codes: 0, 2 refused",
        f"{COMMAND} missions",
        f"{COMMAND} missions --json   for programs",
    )
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    options = parser.parse_args(arguments)

    from synexs_async.missions.catalogue import list_kinds

    kinds = list_kinds()
    if options.json:
        import msgspec

        sys.stdout.write(msgspec.json.encode(kinds).decode() + "\n")
        return 0
    print("\n".join(line for kind in kinds for line in _lines(kind)))
    return 0


def _lines(kind: Kind) -> list[str]:
    lines = [f"{kind.name}  ({kind.package}, {kind.source})"]
    if kind.summary:
        lines.append(f"  {kind.summary}")
    if kind.version is not None:
        lines.append(f"  version {kind.version}; {kind.form}")
    if kind.parameters is not None:
        listed = (f"{name}={_short(value)}" for name, value in kind.parameters.items())
        lines.append(f"  parameters: {', '.join(listed) or 'none'}")
    if kind.problem:
        what = "can't be had" if kind.version is None else "parameters are not known"
        lines.append(f"  {what}: {kind.problem}")
    return lines


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{...}"  # a table; --json has all of it
    if isinstance(value, list):
        return "[...]" if len(repr(value)) > _LONGEST_DEFAULT else repr(value)
    return repr(value)
