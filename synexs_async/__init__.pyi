from .config import RunConfig
from .datasets import MissionDataset, MissionRow, StreamingMissions
from .errors import (
    BatchDamaged,
    ConfigError,
    FolderError,
    FolderInUse,
    IdentityMismatch,
    JournalDamaged,
    MissionError,
    MissionFailed,
    ParameterError,
    RunFailed,
    ScenarioError,
    StorageFailed,
    SynexsError,
    UsageError,
    WorkerFailed,
)
from .events import BatchWritten, CheckpointSaved, Event, Finished, Milestone, Stopping
from .missions.context import Context, Outcome, Record
from .missions.declaring import mission
from .missions.loading import load_mission
from .missions.mission import (
    OUTCOME_NAMES,
    Block,
    BlockMission,
    Mission,
    mission_identifiers,
)
from .missions.plain import PlainMission
from .missions.records import ErrorRecord, MissionRecord
from .missions.rng import mission_uniforms
from .missions.scenario import Difficulty, Scenario, default_scenario, load_scenario
from .missions.team import simulate_mission
from .missions.team_block import TeamMission
from .monitoring.log import LogLine, follow_log, last_log_lines
from .monitoring.missions import follow_missions, last_missions
from .monitoring.search import Found, find_missions, read_mission
from .monitoring.state import RunState, find_runs, read_state
from .report.writing import write_report
from .runner import LiveRun, RecordStream, RunReport, open_run, run
from .shuffle import ResumableShuffle
from .storage.progress import OutcomeCounts, Progress, read_progress
from .storage.records import read_journal
from .storage.series import Sample, rates, read_series
from .tasks.broadcast import EventStream
from .verification.differences import Difference
from .verification.verify import PartCheck, Verification, verify_run

__all__ = [
    "OUTCOME_NAMES",
    "BatchDamaged",
    "BatchWritten",
    "Block",
    "BlockMission",
    "CheckpointSaved",
    "ConfigError",
    "Context",
    "Difference",
    "Difficulty",
    "ErrorRecord",
    "Event",
    "EventStream",
    "Finished",
    "FolderError",
    "FolderInUse",
    "Found",
    "IdentityMismatch",
    "JournalDamaged",
    "LiveRun",
    "LogLine",
    "Milestone",
    "Mission",
    "MissionDataset",
    "MissionError",
    "MissionFailed",
    "MissionRecord",
    "MissionRow",
    "Outcome",
    "OutcomeCounts",
    "ParameterError",
    "PartCheck",
    "PlainMission",
    "Progress",
    "Record",
    "RecordStream",
    "ResumableShuffle",
    "RunConfig",
    "RunFailed",
    "RunReport",
    "RunState",
    "Sample",
    "Scenario",
    "ScenarioError",
    "Stopping",
    "StorageFailed",
    "StreamingMissions",
    "SynexsError",
    "TeamMission",
    "UsageError",
    "Verification",
    "WorkerFailed",
    "default_scenario",
    "find_missions",
    "find_runs",
    "follow_log",
    "follow_missions",
    "last_log_lines",
    "last_missions",
    "load_mission",
    "load_scenario",
    "mission",
    "mission_identifiers",
    "mission_uniforms",
    "open_run",
    "rates",
    "read_journal",
    "read_mission",
    "read_progress",
    "read_series",
    "read_state",
    "run",
    "simulate_mission",
    "verify_run",
    "write_report",
]
