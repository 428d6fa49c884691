"""The checkpoint: the point that a resume starts from, about 1 KB whatever the run's size.

It never speaks of data that a power cut could take: what lies before it was flushed first.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from synexs_async.missions.statistics import Count, Statistics
from synexs_async.storage.files import replace_file
from synexs_async.storage.journal import Mark

_SUM: Final = "_sum"


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a run stands.

    Attributes:
        mark: the point of the journal.
        statistics: of the missions before it.
        elapsed_time: seconds of work, over all sessions.
        dataset_sha256: the digest of the data set once the run is complete, "" before.
        last_batch_size: bytes of its last batch, where that is a short one.
    """

    mark: Mark
    statistics: Statistics
    elapsed_time: float = 0.0
    dataset_sha256: str = ""
    last_batch_size: int = 0


class CheckpointStats(Struct, forbid_unknown_fields=True):
    """`stats` of checkpoint.json; `elapsed_time` is seconds over all sessions."""

    success_count: int
    failure_count: int
    abort_count: int
    error_count: int
    elapsed_time: float
    completed: bool


class LoggerStats(Struct, forbid_unknown_fields=True):
    """`logger_stats`: whole batches, and missions that wait for one."""

    batches: int
    missions_waiting: int


class JournalPoint(Struct, forbid_unknown_fields=True):
    """`journal`: see `Mark`; `file` is the one that the next record belongs to."""

    file: str
    offset: Count
    sha256: str
    batch_offset: Count


Sums = dict[str, Annotated[int, Meta(ge=0)] | float]  # counts by outcome, then "<metric>_sum"


class CheckpointFile(Struct, forbid_unknown_fields=True):
    """The content of checkpoint.json; `checksum` is of the rest, encoded as JSON.

    Earlier versions counted no groups: then the missions before the checkpoint are in none.
    """

    timestamp: str
    missions_completed: Count
    stats: CheckpointStats
    team_stats: dict[str, float]
    sums: Sums
    logger_stats: LoggerStats
    journal: JournalPoint
    dataset_sha256: str
    last_batch_size: int
    groups: dict[str, list[Count]] | UnsetType = UNSET
    checksum: str = ""

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that this speaks of."""
        journal = self.journal
        return Checkpoint(
            mark=Mark(
                self.missions_completed, journal.offset, journal.sha256, journal.batch_offset
            ),
            statistics=_statistics(self.sums, self.groups),
            elapsed_time=self.stats.elapsed_time,
            dataset_sha256=self.dataset_sha256,
            last_batch_size=self.last_batch_size,
        )


def write_checkpoint(
    path: Path, checkpoint: Checkpoint, *, timestamp: str, journal_file: str, batch_size: int | None
) -> None:
    """Replace checkpoint.json, durably; `batch_size` is None for a run without batches."""
    content = content_of(checkpoint, timestamp, journal_file, batch_size)
    replace_file(path, encode_content(content), durable=True)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read checkpoint.json, None where there is none; ValueError where it can't be trusted."""
    try:
        return decode_content(path.read_bytes(), path.name).checkpoint
    except FileNotFoundError:
        return None


def content_of(
    checkpoint: Checkpoint, timestamp: str, journal_file: str, batch_size: int | None
) -> CheckpointFile:
    """Return what checkpoint.json says of a checkpoint."""
    mark, statistics = checkpoint.mark, checkpoint.statistics
    content = CheckpointFile(
        timestamp=timestamp,
        missions_completed=mark.missions,
        stats=CheckpointStats(
            **statistics.counts(),
            elapsed_time=checkpoint.elapsed_time,
            completed=bool(checkpoint.dataset_sha256),
        ),
        team_stats=statistics.means(),
        sums=_sums(statistics),
        logger_stats=LoggerStats(*(divmod(mark.missions, batch_size) if batch_size else (0, 0))),
        journal=JournalPoint(journal_file, mark.offset, mark.sha256, mark.batch_offset),
        dataset_sha256=checkpoint.dataset_sha256,
        last_batch_size=checkpoint.last_batch_size,
        groups=UNSET if statistics.groups is None else statistics.groups,
    )
    content.checksum = _checksum(content)
    return content


def encode_content(content: CheckpointFile) -> bytes:
    """Return the bytes of checkpoint.json."""
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def decode_content(data: bytes, name: str) -> CheckpointFile:
    """Read the bytes of checkpoint.json; ValueError where they can't be trusted."""
    try:
        content = msgspec.json.decode(data, type=CheckpointFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} can't be read: {error}") from error
    if content.checksum != _checksum(content):
        raise ValueError(f"{name} does not match its own checksum")
    try:
        _statistics(content.sums, content.groups)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name} can't be read: {error}") from error
    return content


def _sums(statistics: Statistics) -> Sums:
    return {
        **statistics.counts(),
        **{f"{name}{_SUM}": total for name, total in statistics.sums.items()},
    }


def _statistics(sums: Sums, groups: dict[str, list[int]] | UnsetType) -> Statistics:
    counts = {name: value for name, value in sums.items() if not name.endswith(_SUM)}
    totals = {name.removesuffix(_SUM): value for name, value in sums.items() if name not in counts}
    counted = None if groups is UNSET else groups
    return msgspec.convert({**counts, "sums": totals, "groups": counted}, Statistics)


def _checksum(content: CheckpointFile) -> str:
    bare = msgspec.structs.replace(content, checksum="")
    return hashlib.sha256(msgspec.json.encode(bare)).hexdigest()
