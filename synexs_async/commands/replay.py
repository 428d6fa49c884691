"""`replay`: simulate one mission, and print it step by step."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from synexs_async.cli import COMMAND, command_parser
from synexs_async.config import MISSIONS_LIMIT, SEED_LIMIT
from synexs_async.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from synexs_async.missions.mission import Mission
    from synexs_async.verification.replay import Replay


def main(arguments: Sequence[str]) -> int:
    """Print the mission; 1 where a run's journal holds another record of it."""
    parser = command_parser(
        "replay",
        "Simulate one mission, and print who does what at which second. With --output it is a "
        "mission\nof that run, and is held against the journal's line.\n\n"
        "exit codes: 0, 1 the journal's line is another, 2 refused",
        f"{COMMAND} replay 17                          of seed 0 and the built-in scenario",
        f"{COMMAND} replay 17 --output training_logs   of that run",
        f"{COMMAND} replay 17 --seed 7 --scenario mine.toml --json",
    )
    parser.add_argument("index", type=int, metavar="INDEX", help="the mission's number, from 0")
    parser.add_argument("--output", type=Path, metavar="DIR", help="the run's folder")
    parser.add_argument(
        "--mission", metavar="NAME", help="where a mission kind of one's own is found"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="the run's seed (default: 0)")
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="the scenario, as TOML")
    parser.add_argument("--json", action="store_true", help="print the journal's line instead")
    options = parser.parse_args(arguments)
    if not 0 <= options.index < MISSIONS_LIMIT:
        expected = f"a whole number from 0 to {MISSIONS_LIMIT - 1:,}"
        raise UsageError(f"INDEX: expected {expected}, not {options.index}")
    if options.output is not None and (options.seed, options.scenario) != (None, None):
        raise UsageError("--output: the run has its own seed and scenario; leave the others out")
    seed = options.seed or 0
    if not 0 <= seed < SEED_LIMIT:
        raise ConfigError("seed", seed, f"a whole number, between 0 and {SEED_LIMIT - 1:,}")

    from synexs_async.missions.simulation import MissionRaised

    try:
        replay = _replay(options, seed)
    except MissionRaised as error:
        problem = f"mission {error.raised.index} raised {error.raised.sentence}"
        print(f"{error.raised.traceback}\nsynexs_async: {problem}", file=sys.stderr)
        return 1
    _print(replay, as_json=options.json)
    if replay.differs:
        print(f"synexs_async: {replay.journal}", file=sys.stderr)
        return 1
    return 0


def _replay(options: Namespace, seed: int) -> Replay:
    from synexs_async.missions.loading import load_mission
    from synexs_async.missions.scenario import load_scenario
    from synexs_async.missions.team_block import TeamMission
    from synexs_async.verification.replay import replay_mission, replay_of_run

    if options.output is not None:
        return replay_of_run(options.output, options.index, options.mission)
    mission: Mission = load_mission(options.mission or "team")
    if options.scenario is not None:
        if options.mission is not None:
            raise UsageError("--scenario: is for the team mission alone; leave --mission out")
        mission = TeamMission(load_scenario(options.scenario))
    return replay_mission(mission, seed, options.index)


def _print(replay: Replay, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(replay.line.decode())
        return
    from synexs_async.missions.records import MissionRecord

    if isinstance(replay.record, MissionRecord):
        from synexs_async.missions.telling import tell

        print("\n".join(tell(replay.record)))
    else:
        print(msgspec.json.format(replay.line).decode().rstrip())
    if replay.journal and not replay.differs:
        print(f"\n{replay.journal}")
