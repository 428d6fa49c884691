"""What happens in a run, as it is told to the program that embeds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from synexs_async.storage.progress import RunStatus

OnLag = Literal["wait", "drop"]
"""What becomes of a consumer that is too slow: the run waits for it, or it misses something."""


@dataclass(frozen=True, slots=True)
class BatchWritten:
    """A batch is in the folder.

    Attributes:
        file: its path from the run's folder.
        first: the index of its first mission.
        missions: how many it holds.
    """

    file: str
    first: int
    missions: int


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """A checkpoint is on disk: a power cut takes nothing of the first `missions`."""

    missions: int


@dataclass(frozen=True, slots=True)
class Milestone:
    """Another tenth of the run's `total` is in the journal, `missions` of them."""

    missions: int
    total: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """No mission is simulated any more; what was simulated is being written.

    Attributes:
        missions: those in the journal now.
    """

    missions: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The run has ended, as `status` says, with `missions` in the journal: the last event."""

    status: RunStatus
    missions: int


Event = BatchWritten | CheckpointSaved | Milestone | Stopping | Finished
