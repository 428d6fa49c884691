from .config import RunConfig
from .datasets import MissionDataset, MissionRow, StreamingMissions
from .errors import (
    BatchDamaged,
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
from .missions.mission import Block, Mission
from .missions.records import ErrorRecord, MissionRecord
from .missions.scenario import Scenario, default_scenario, load_scenario
from .missions.team import simulate_mission
from .missions.team_block import TeamMission
from .runner import LiveRun, RunReport, open_run, run
from .shuffle import ResumableShuffle
from .storage.journal import read_journal
from .storage.progress import Progress, read_progress
from .verification.differences import Difference
from .verification.verify import PartCheck, Verification, verify_run

__all__ = [
    "BatchDamaged",
    "Block",
    "ConfigError",
    "Difference",
    "ErrorRecord",
    "FolderError",
    "FolderInUse",
    "IdentityMismatch",
    "JournalDamaged",
    "LiveRun",
    "Mission",
    "MissionDataset",
    "MissionFailed",
    "MissionRecord",
    "MissionRow",
    "PartCheck",
    "Progress",
    "ResumableShuffle",
    "RunConfig",
    "RunFailed",
    "RunReport",
    "Scenario",
    "ScenarioError",
    "StorageFailed",
    "StreamingMissions",
    "SynexsError",
    "TeamMission",
    "UsageError",
    "Verification",
    "WorkerFailed",
    "default_scenario",
    "load_scenario",
    "open_run",
    "read_journal",
    "read_progress",
    "run",
    "simulate_mission",
    "verify_run",
]
