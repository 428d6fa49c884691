"""`doctor`: find out whether a mission of one's own is reproducible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from synexs_async.cli import COMMAND, command_parser
from synexs_async.commands.mission_options import add_parameter_options, read_parameters
from synexs_async.config import SEED_LIMIT
from synexs_async.errors import ConfigError

if TYPE_CHECKING:
    from synexs_async.doctor.examination import Diagnosis

_SHOWN: Final = 10
_MOST_MISSIONS: Final = 10_000
_DESCRIPTION: Final = """\
Simulate some missions in several ways - in order, once more, in reverse, between others, in a fresh
process - and say whether each way gives the same bytes. It needs no folder and leaves none.

exit codes: 0 reproducible, or needs the seeding that a run does; 1 not reproducible; 2 refused"""


def main(arguments: Sequence[str]) -> int:
    """Examine a mission kind, print what was found, and return the exit code."""
    parser = command_parser(
        "doctor",
        _DESCRIPTION,
        f"{COMMAND} doctor dice.py:dice",
        f"{COMMAND} doctor dice.py:dice --param sides=8 --missions 100 --timeout 2",
    )
    parser.add_argument(
        "mission", metavar="MISSION", help="a name, module:object or FILE.py:object"
    )
    add_parameter_options(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the seed (default: 0)")
    parser.add_argument(
        "--missions", type=int, default=20, metavar="N", help="how many missions (default: 20)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long one mission may take (default: 10)",
    )
    options = parser.parse_args(arguments)
    if not 0 <= options.seed < SEED_LIMIT:
        expected = f"a whole number, between 0 and {SEED_LIMIT - 1:,}"
        raise ConfigError("seed", options.seed, expected)
    if not 1 <= options.missions <= _MOST_MISSIONS:
        expected = f"a whole number, between 1 and {_MOST_MISSIONS:,}"
        raise ConfigError("missions", options.missions, expected)
    if not (options.timeout >= 0.001 and math.isfinite(options.timeout)):
        raise ConfigError("timeout", options.timeout, "a number of seconds, at least 0.001")

    from synexs_async.doctor.examination import Examination
    from synexs_async.missions.loading import load_mission

    tables, tables_from = read_parameters(options)
    mission = load_mission(options.mission, tables, tables_from)
    mission.parameters()  # says what is missing before a mission is simulated
    diagnosis = Examination(
        mission, options.mission, tables, options.seed, options.missions, options.timeout
    ).diagnose()
    _show(diagnosis)
    return 1 if diagnosis.verdict == "not reproducible" else 0


def _show(diagnosis: Diagnosis) -> None:
    print(f"{diagnosis.mission}: {diagnosis.verdict}")
    print(f"  {diagnosis.missions:,} missions, each {'; '.join(diagnosis.ways)}")
    for finding in diagnosis.findings[:_SHOWN]:
        print(f"  {finding}")
    if len(diagnosis.findings) > _SHOWN:
        print(f"  ... and {len(diagnosis.findings) - _SHOWN:,} more")
    if diagnosis.drawn is not None:
        print("  it draws from random or numpy.random; a run seeds them for each mission, so that")
        print("  its bytes are the same. Outside of a run they are not: draw from ctx.rng instead.")
        print(f"  {diagnosis.drawn}")
    if diagnosis.raised:
        print(f"  {len(diagnosis.raised):,} of {diagnosis.missions:,} missions raised:")
        for index, sentence in list(diagnosis.raised.items())[:_SHOWN]:
            other = " (in other words another time)" if index in diagnosis.reworded else ""
            print(f"    mission {index}: {sentence}{other}")
        if len(diagnosis.raised) > _SHOWN:
            print(f"    ... and {len(diagnosis.raised) - _SHOWN:,} more")
