"""`scenario`: print the built-in scenario."""

from __future__ import annotations

from collections.abc import Sequence

from synexs_async.cli import COMMAND, command_parser
from synexs_async.missions.scenario import default_scenario_text


def main(arguments: Sequence[str]) -> int:
    """Print it as TOML."""
    command_parser(
        "scenario",
        "Print the built-in scenario as TOML, a file to start from.",
        f"{COMMAND} scenario > mine.toml",
    ).parse_args(arguments)
    print(default_scenario_text(), end="")
    return 0
