"""One mission simulated again, alone, and held against the journal's line of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synexs_async.missions.mission import Mission
from synexs_async.missions.simulation import MissionRaised, Raised, simulate_parts
from synexs_async.storage.folder import RunFolder
from synexs_async.verification.differences import difference_of_lines
from synexs_async.verification.lines import map_file
from synexs_async.verification.recorded import recorded_run


@dataclass(frozen=True, slots=True)
class Replay:
    """A mission simulated again.

    Attributes:
        line: its journal line.
        record: the same, as a record.
        journal: how the run's journal stands to it, "" without a run.
        differs: whether the journal holds another line.
    """

    line: bytes
    record: Any
    journal: str = ""
    differs: bool = False


def replay_mission(mission: Mission, seed: int, index: int) -> Replay:
    """Simulate one mission; MissionRaised where its own code raises."""
    (part,) = simulate_parts(mission, seed, index, 1)
    if isinstance(part, Raised):
        raise MissionRaised(part)
    return Replay(part.lines[0], mission.decode(part.lines[0]))


def replay_of_run(folder: str | os.PathLike[str], index: int, mission: str | None = None) -> Replay:
    """Simulate one mission of the run in a folder; UsageError where that can't be done."""
    run = recorded_run(RunFolder(Path(folder)), mission)
    replay = replay_mission(run.mission, run.identity.seed, index)
    first = run.layout.file_start(index)
    end = first + run.layout.missions_per_file
    found = map_file(run.layout, first, end, is_closed=False, offset=0)
    (there,) = found.read(index, index + 1)
    if there is None:
        return replace(replay, journal="the run's journal does not hold this mission")
    place = f"{found.name}, line {found.places[index].number}"
    if there == replay.line:
        return replace(replay, journal=f"{place}: the same record, byte for byte")
    field, expected, value = difference_of_lines(replay.line, there)
    what = f"{field}: expected {expected}" if field else f"expected {expected}"
    return replace(replay, journal=f"{place}, {what}, found {value}", differs=True)
