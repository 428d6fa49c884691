"""The options that give a mission its parameters, the same for each command that takes them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any


def add_parameter_options(parser: ArgumentParser) -> None:
    """Add `--param` and `--params`."""
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter of the mission; may be given more than once",
    )
    parser.add_argument(
        "--params", type=Path, metavar="FILE", help="the mission's parameters, as TOML"
    )


def read_parameters(options: Namespace) -> tuple[dict[str, Any] | None, str]:
    """Return the parameters that were given, None where none were, and what errors call them.

    Raises:
        ParameterError: the file can't be read, or a setting is none.
    """
    from synexs_async.missions.parameters import read_tables, set_values

    tables = None
    source = "--param"
    if options.params is not None:
        tables, source = read_tables(options.params), str(options.params)
    if options.param:
        tables = set_values(tables or {}, options.param)
    return tables, source
