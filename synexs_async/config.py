"""Every option of a run, once: the command line is made from the fields of `RunConfig`."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import msgspec

from synexs_async.errors import ConfigError

if TYPE_CHECKING:
    from synexs_async.missions.mission import Mission
    from synexs_async.storage.folder import Identity

LogLevel = Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"]
MissionFiles = Literal["journal", "single"]
OnError = Literal["stop", "record"]

MISSIONS_LIMIT: Final = 10**9  # files are numbered with nine digits
SEED_LIMIT: Final = 2**64
_ROWS_LIMIT: Final = 10**9
_ADAPTIVE_INTERVALS: Final = ((100, 10), (1_000, 50), (10_000, 100))
_LARGEST_INTERVAL: Final = 500
_LONGEST_TIMEOUT: Final = 1e8  # seconds; what the system's timers take


def _option(default: Any, described: str) -> Any:
    return field(default=default, metadata={"help": described})


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """What to run, where, and how; ConfigError on construction says what is wrong.

    Attributes:
        missions: how many the run has in the end; a run may grow.
        output: the run's folder.
        seed: chooses the episodes, with the kind's parameters; from 0, below 2**64.
        team_id: a label, outside the data set; made from the run's identity by default.
        resume: go on with the run in the folder; else it is moved into `archive/` there.
        workers: processes that write batches, and as many that simulate; cores - 1 by default.
        batch_size: missions a batch.
        sequence_length: rows a mission in a batch.
        checkpoint_every: missions between checkpoints; by default the run chooses.
        grace: seconds to write what is done when told to stop.
        mission_files: "journal" with 10,000 missions a file, or "single" with one.
        on_error: whether to "stop" when a mission's own code raises, or to "record" it and go on.
        log_level: the least level in the log file.
        concurrency: async missions at once.
        timeout: seconds that a mission, or each try of an async one, may take; no limit by default.
        mission: the kind to run, or what `load_mission` finds it by.
        parameters: those of the kind; its own defaults where there are none.
    """

    missions: int = _option(100, "missions that the run has in the end")
    output: Path | str = _option(Path("training_logs"), "the run's folder")
    seed: int = _option(0, "chooses the episodes, with the scenario")
    team_id: str | None = _option(None, "a label for the run (default: from its identity)")
    resume: bool = _option(True, "move the folder's run into its archive, and start anew")
    workers: int | None = _option(None, "writers of batches, and simulators (default: cores - 1)")
    batch_size: int = _option(32, "missions a batch")
    sequence_length: int = _option(50, "rows a mission in a batch")
    checkpoint_every: int | None = _option(None, "missions a checkpoint (default: adaptive)")
    grace: float = _option(30.0, "seconds to write what is done when told to stop")
    mission_files: MissionFiles = _option("journal", "10,000 missions a file, or a single one")
    on_error: OnError = _option("stop", "when a mission's own code raises: stop, or record it")
    log_level: LogLevel = _option("DEBUG", "least level in the log file")
    concurrency: int = _option(100, "async missions at once")
    timeout: float | None = _option(
        None, "seconds a mission, or a try of an async one (default: no limit)"
    )
    mission: "Mission | str" = "team"
    parameters: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.output, str | os.PathLike):
            raise ConfigError("output", self.output, "a path")
        object.__setattr__(self, "output", Path(self.output))
        if not isinstance(self.resume, bool):
            raise ConfigError("resume", self.resume, "True or False")
        self._whole("missions", 1, MISSIONS_LIMIT)
        self._whole("seed", 0, SEED_LIMIT - 1)
        self._whole("batch_size", 1, MISSIONS_LIMIT)
        self._whole("sequence_length", 1, _ROWS_LIMIT)
        self._whole("concurrency", 1)
        for name in ("workers", "checkpoint_every"):
            if getattr(self, name) is not None:
                self._whole(name, 1)
        self._check_mission()
        if not (_is_number(self.grace) and 0 <= self.grace < float("inf")):
            raise ConfigError("grace", self.grace, "a number of seconds, 0 or more")
        self._check_choices()

    def _check_choices(self) -> None:
        label = self.team_id
        if label is not None and not (isinstance(label, str) and label and label.isprintable()):
            raise ConfigError("team_id", label, "a text of printable characters")
        for name, choices in (
            ("mission_files", MissionFiles),
            ("on_error", OnError),
            ("log_level", LogLevel),
        ):
            if getattr(self, name) not in get_args(choices):
                listed = ", ".join(get_args(choices))
                raise ConfigError(name, getattr(self, name), f"one of {listed}")

    def _check_mission(self) -> None:
        if self.timeout is not None and not (
            _is_number(self.timeout) and 0 < self.timeout < _LONGEST_TIMEOUT
        ):
            raise ConfigError("timeout", self.timeout, "a number of seconds, more than 0")
        if not (self.mission if isinstance(self.mission, str) else self.mission is not None):
            raise ConfigError("mission", self.mission, "a mission kind, or where it is found")
        if self.parameters is not None and not isinstance(self.parameters, Mapping):
            raise ConfigError("parameters", self.parameters, "a mapping")

    def _whole(self, name: str, low: int, high: int | None = None) -> None:
        value = getattr(self, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < low or (high is not None and value > high):
            bounds = f"{low} or more" if high is None else f"between {low:,} and {high:,}"
            raise ConfigError(name, value, f"a whole number, {bounds}")

    @property
    def worker_count(self) -> int:
        """Return how many worker processes there may be."""
        return self.workers or max(available_cores() - 1, 1)

    @property
    def checkpoint_interval(self) -> int:
        """Return the missions between checkpoints."""
        if self.checkpoint_every is not None:
            return self.checkpoint_every
        for missions, interval in _ADAPTIVE_INTERVALS:
            if self.missions <= missions:
                return interval
        return _LARGEST_INTERVAL

    def resolve_mission(self) -> "Mission":
        """Return the mission kind to run, with its parameters.

        Raises:
            MissionError: there is no such kind.
            ParameterError: it can't take the parameters.
            ConfigError: it can't take a timeout.
        """
        from synexs_async.missions.loading import load_mission, with_parameters

        if isinstance(self.mission, str):
            mission = load_mission(self.mission, self.parameters)
        else:
            mission = with_parameters(self.mission, self.parameters, type(self.mission).__name__)
        if mission.place == "loop" and self.timeout is not None:
            expected = f"none for {mission.name!r}, whose blocks can't be cut short"
            raise ConfigError("timeout", self.timeout, expected)
        return mission


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def identity_of(config: RunConfig, mission: "Mission") -> "Identity":
    """Return what the data set of a run is a function of."""
    from synexs_async.storage.folder import Identity

    return Identity(
        mission=mission.name,
        mission_version=mission.version,
        parameters=msgspec.json.decode(msgspec.json.encode(mission.parameters())),
        seed=config.seed,
        batch_size=config.batch_size,
        sequence_length=config.sequence_length,
        mission_files=config.mission_files,
    )


def derived_team_id(identity: "Identity") -> str:
    """Return the label of a run that was given none."""
    origin = msgspec.json.encode(identity, order="sorted")
    return f"team-{hashlib.blake2b(origin, digest_size=6).hexdigest()}"


OPTIONS: Final = tuple(option for option in fields(RunConfig) if option.metadata)
