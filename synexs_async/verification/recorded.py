"""The run that a folder holds, as its run.json tells: enough to simulate its missions again."""

from __future__ import annotations

from dataclasses import dataclass

from synexs_async.errors import FolderError
from synexs_async.missions.loading import BUILT_IN, GYM, load_mission, offered, with_parameters
from synexs_async.missions.mission import Mission
from synexs_async.storage.folder import (
    FORMAT_VERSION,
    Identity,
    RunFolder,
    expect_mission,
    read_run_file,
)
from synexs_async.storage.journal import Layout


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What a folder's data set is a function of, and how it is laid out."""

    layout: Layout
    identity: Identity
    mission: Mission


def recorded_run(folder: RunFolder, mission: Mission | str | None = None) -> RecordedRun:
    """Find out whose run a folder holds, and how its missions are simulated.

    `mission` is the run's mission kind, or what `load_mission` finds it by; without one it must be
    built in, offered by an installed package, or a registered Gymnasium environment with random
    actions: a folder's word alone does not run any other code.

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
    if mission is None or isinstance(mission, str):
        mission = _mission_of(folder, identity, mission)
    elif hasattr(mission, "with_parameters") and mission.name == identity.mission:
        mission = with_parameters(mission, identity.parameters, mission.name, _source_of(folder))
    expect_mission(folder, identity, mission)
    for name in ("batch_size", "sequence_length"):
        if getattr(identity, name) < 1:
            raise FolderError(folder.path, f"run.json: {name} is {getattr(identity, name)}")
    layout = Layout.of(folder, identity, has_batches=bool(mission.feature_names))
    return RecordedRun(layout, identity, mission)


def _mission_of(folder: RunFolder, identity: Identity, source: str | None) -> Mission:
    """Return the mission kind of a run, with the run's own parameters."""
    if source is None:
        source = identity.mission
        if not _is_installed(identity):
            raise FolderError(
                folder.path,
                f"holds missions of the kind {source!r}, which may be anybody's code; say where it "
                "is found, with --mission or verify_run(mission=...)",
            )
    return load_mission(source, identity.parameters, _source_of(folder))


def _source_of(folder: RunFolder) -> str:
    """Return what errors call the place that a run's parameters come from."""
    return f"{folder.path}: run.json"


def may_import(identity: Identity) -> bool:
    """Whether building a run's Gymnasium environment may import whatever the folder names.

    An id with a colon names a module, and some environments are made with the id of another one.
    """
    return ":" in identity.mission.removeprefix(GYM) or bool(identity.parameters.get("make"))


def _is_installed(identity: Identity) -> bool:
    """Whether nothing but what was installed as a mission or an environment would be imported."""
    name, parameters = identity.mission, identity.parameters
    if name.startswith(GYM):
        return parameters.get("policy") == "random" and not may_import(identity)
    return name in BUILT_IN or any(name == point.name for point in offered())
