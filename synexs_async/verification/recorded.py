"""The run that a folder holds, as its run.json tells: enough to simulate its missions again."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from synexs_async.errors import FolderError, IdentityMismatch
from synexs_async.missions import team
from synexs_async.missions.mission import Mission
from synexs_async.missions.scenario import Scenario
from synexs_async.missions.team_block import TeamMission
from synexs_async.storage.folder import (
    FORMAT_VERSION,
    MISSIONS_PER_FILE,
    Identity,
    RunFolder,
    read_run_file,
)
from synexs_async.storage.journal import Layout


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What a folder's data set is a function of, and how it is laid out."""

    layout: Layout
    identity: Identity
    mission: Mission


def recorded_run(folder: RunFolder, mission: Mission | None = None) -> RecordedRun:
    """Find out whose run a folder holds, and how its missions are simulated.

    `mission` is the run's mission kind; without one it must be the team mission.

    Raises:
        UsageError: it holds no run, or one of another kind.
    """
    try:
        identity = read_run_file(folder).identity
    except OSError as error:
        problem = f"run.json can't be read ({error.strerror})"
        raise FolderError(folder.path, problem) from error
    if identity.format_version != FORMAT_VERSION:
        problem = f"format version {identity.format_version}; this version reads {FORMAT_VERSION}"
        raise FolderError(folder.path, problem)
    mission = mission or _mission_of(folder, identity)
    parameters = msgspec.json.decode(msgspec.json.encode(mission.parameters()))
    asked = (mission.name, mission.version, parameters)
    there = (identity.mission, identity.mission_version, identity.parameters)
    names = ("mission", "mission_version", "parameters")
    if asked != there:
        pairs = zip(names, zip(there, asked, strict=True), strict=True)
        differences = {name: pair for name, pair in pairs if pair[0] != pair[1]}
        raise IdentityMismatch(folder.path, differences)
    for name in ("batch_size", "sequence_length"):
        if getattr(identity, name) < 1:
            raise FolderError(folder.path, f"run.json: {name} is {getattr(identity, name)}")
    missions_per_file = MISSIONS_PER_FILE[identity.mission_files]
    return RecordedRun(Layout(folder, missions_per_file, identity.batch_size), identity, mission)


def _mission_of(folder: RunFolder, identity: Identity) -> TeamMission:
    """Return the mission kind of a run of the team mission; FolderError where it is another."""
    if (identity.mission, identity.mission_version) != (team.NAME, team.VERSION):
        raise FolderError(
            folder.path,
            f"holds missions of the kind {identity.mission!r}, version {identity.mission_version}, "
            f"which is not known here; {team.NAME!r}, version {team.VERSION}, is (others: "
            "verify_run(mission=...) from a program)",
        )
    try:
        return TeamMission(msgspec.convert(identity.parameters, Scenario))
    except msgspec.ValidationError as error:
        raise FolderError(folder.path, f"run.json: no scenario: {error}") from error
