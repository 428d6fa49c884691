"""progress.json: what monitors read. Its first nine keys are fixed; others may be added."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct

from synexs_async.errors import FolderError
from synexs_async.storage.files import overwrite_file, read_small_file, replace_file
from synexs_async.storage.folder import RunFolder

if TYPE_CHECKING:
    from synexs_async.missions.statistics import Statistics

OUTCOMES: Final = ("success", "failure", "aborted", "error")
RunStatus = Literal["running", "completed", "interrupted", "failed"]

_UNREADABLE: Final = (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class OutcomeCounts(Struct, frozen=True):
    """Missions by outcome, over all sessions of the run."""

    success_count: int = 0
    failure_count: int = 0
    abort_count: int = 0
    error_count: int = 0

    def by_outcome(self) -> dict[str, int]:
        """Return the counts by what a record's status is."""
        return dict(zip(OUTCOMES, msgspec.structs.astuple(self), strict=True))


def group_counts(statistics: Statistics) -> dict[str, OutcomeCounts]:
    """Return the outcome counts of each group; empty where they were not counted."""
    return {name: OutcomeCounts(*counts) for name, counts in (statistics.groups or {}).items()}


class Progress(Struct, frozen=True):
    """A moment of a run.

    Attributes:
        timestamp: wall-clock time, ISO 8601 with its offset from UTC.
        status: what the run is doing, or how it ended.
        mission_current: missions in the journal.
        mission_total: missions that the run will have.
        elapsed_seconds: working time over all sessions.
        rate_missions_per_sec: this session's own work, so that a resume does not overstate it.
        eta_seconds: None before the first mission of the session.
        checkpoint_missions: missions before the last checkpoint.
        batches_written: batches in the folder.
        loop_lag_ms: the longest delay of the event loop since the file was last written.
        rss_bytes: memory of the main process.
        group_by: the field of a record that outcomes are counted by as well, a path with dots;
            "" where the kind has none, or missions of earlier sessions were not counted so.
        groups: those counts by the field's value.
        blocks_waiting: blocks of missions that wait for the journal.
        batches_waiting: missions in the journal whose batches are not written yet, in batches.
    """

    timestamp: str
    status: RunStatus
    mission_current: int
    mission_total: int
    progress_percent: float
    elapsed_seconds: float
    rate_missions_per_sec: float
    eta_seconds: float | None
    stats: OutcomeCounts
    seed: int
    pid: int
    host: str
    checkpoint_missions: int
    batches_written: int
    loop_lag_ms: float
    rss_bytes: int
    group_by: str = ""
    groups: dict[str, OutcomeCounts] = {}
    blocks_waiting: int = 0
    batches_waiting: int = 0


def timestamp() -> str:
    """Return the wall-clock time as ISO 8601, with its offset from UTC."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def write_progress(path: Path, progress: Progress) -> None:
    """Replace progress.json; it need not outlive a power cut.

    How a run ended is told even where the disk is full.
    """
    content = msgspec.json.encode(progress) + b"\n"
    try:
        replace_file(path, content, durable=False)
    except OSError:
        if progress.status == "running":
            raise
        overwrite_file(path, content)


def read_progress(folder: str | os.PathLike[str]) -> Progress:
    """Read how a run stands; FolderError where there is nothing to read."""
    path = Path(folder)
    try:
        return _read(RunFolder(path))
    except FileNotFoundError as error:
        raise FolderError(path, "no run has started here: no progress.json") from error
    except _UNREADABLE as error:
        raise FolderError(path, f"progress.json can't be read: {error}") from error


def told_progress(folder: RunFolder) -> Progress | None:
    """Read how a run stands; None before it told, or where a full disk cut it short."""
    try:
        return _read(folder)
    except _UNREADABLE:
        return None


def _read(folder: RunFolder) -> Progress:
    return msgspec.json.decode(read_small_file(folder.progress), type=Progress)
