"""Deterministic missions, run with asyncio: the same bytes every time, and nothing lost.

    import anyio
    from synexs_async import RunConfig, run

    report = anyio.run(run, RunConfig(missions=1000, output="runs/seven", seed=7))
    print(report.dataset_sha256)

Names are imported when they are first used: `--help`, monitors and worker processes need few.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synexs_async.config import RunConfig
    from synexs_async.errors import (
        ConfigError,
        FolderError,
        FolderInUse,
        IdentityMismatch,
        JournalDamaged,
        MissionFailed,
        RunFailed,
        ScenarioError,
        StorageFailed,
        SynexsError,
        UsageError,
        WorkerFailed,
    )
    from synexs_async.missions.mission import Block, Mission
    from synexs_async.missions.records import ErrorRecord, MissionRecord
    from synexs_async.missions.scenario import Scenario, default_scenario, load_scenario
    from synexs_async.missions.team import simulate_mission
    from synexs_async.missions.team_block import TeamMission
    from synexs_async.runner import LiveRun, RunReport, open_run, run
    from synexs_async.storage.journal import read_journal
    from synexs_async.storage.progress import Progress, read_progress

_HOMES = {
    "config": ["RunConfig"],
    "errors": [
        "ConfigError",
        "FolderError",
        "FolderInUse",
        "IdentityMismatch",
        "JournalDamaged",
        "MissionFailed",
        "RunFailed",
        "ScenarioError",
        "StorageFailed",
        "SynexsError",
        "UsageError",
        "WorkerFailed",
    ],
    "missions.mission": ["Block", "Mission"],
    "missions.records": ["ErrorRecord", "MissionRecord"],
    "missions.scenario": ["Scenario", "default_scenario", "load_scenario"],
    "missions.team": ["simulate_mission"],
    "missions.team_block": ["TeamMission"],
    "runner": ["LiveRun", "RunReport", "open_run", "run"],
    "storage.journal": ["read_journal"],
    "storage.progress": ["Progress", "read_progress"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
