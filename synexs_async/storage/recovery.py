"""From a folder in any state to a point to go on from.

`examine` only reads, and refuses what no crash leaves behind; `repair` then clears away what was
in flight. Behind the checkpoint only what is cheap is checked: that files are there, and their
sizes. Ahead of it nothing counts but the journal's valid lines.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from synexs_async.errors import FolderError, JournalDamaged
from synexs_async.missions.mission import Mission
from synexs_async.missions.statistics import Statistics
from synexs_async.storage.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from synexs_async.storage.files import temporary_files
from synexs_async.storage.folder import batch_name, journal_name
from synexs_async.storage.journal import (
    Extent,
    Layout,
    Mark,
    check_content,
    check_lines,
    cut,
    digest_file,
    digest_of_beginning,
    line_before,
    measure,
    problem_of,
    read_lines,
)
from synexs_async.storage.ledger import Entry, Ledger
from synexs_async.storage.progress import Progress, timestamp, told_progress

if TYPE_CHECKING:
    from hashlib import _Hash as Hash


@dataclass(slots=True)
class Recovery:
    """What a folder holds.

    Attributes:
        checkpoint: the point to go on from; it calls a run complete just if this one is.
        extent: how far the journal's valid lines reach.
        digest: of the bytes before the checkpoint's point, in the file that goes on there.
        missing_batches: numbers of whole batches behind the checkpoint that must be made again.
        last_progress: what the last session told monitors, if it can be read.
        warnings: what was found that should not be.
        complete: there is nothing left to do, and monitors know it.
    """

    checkpoint: Checkpoint
    extent: Extent
    digest: Hash
    missing_batches: list[int] = field(default_factory=list)
    missing_entries: list[Entry] = field(default_factory=list)
    checkpoint_is_stale: bool = False
    ledger_is_stale: bool = False
    temporaries: list[Path] = field(default_factory=list)
    last_progress: Progress | None = None
    warnings: list[str] = field(default_factory=list)
    complete: bool = False

    @property
    def elapsed_time(self) -> float:
        """Seconds of work over all sessions, for the missions in the journal.

        A kill loses none that were told, as it loses no mission; a power cut may.
        """
        told = self.told
        elapsed = self.checkpoint.elapsed_time
        return elapsed if told is None else max(elapsed, told.elapsed_seconds)

    @property
    def told(self) -> Progress | None:
        """What the last session told of missions that are in the journal, all of them."""
        told = self.last_progress
        return None if told is None or told.mission_current > self.extent.missions else told

    def first_unsure(self, layout: Layout) -> int:
        """Return the first mission whose files may not be on disk yet."""
        missing = [number * layout.batch_size for number in self.missing_batches]
        return min([self.checkpoint.mark.missions, *missing])


def examine(layout: Layout, total: int, mission: Mission | None = None) -> Recovery:
    """Find out where a run of `total` missions can go on; nothing is changed.

    Ahead of the checkpoint a line counts only if `mission` can read its record, where it is given.

    Raises:
        JournalDamaged: committed records are gone or unreadable.
        FolderError: the folder holds more missions than `total`, and not all that they need.
    """
    warnings: list[str] = []
    trusted = _read_checkpoint(layout, warnings)
    if trusted is None:
        checkpoint, digest = Checkpoint(Mark(), Statistics.of(mission)), hashlib.sha256()
        extent = _measure(layout, checkpoint.mark, mission)
        if extent.valid_follows:
            raise JournalDamaged(layout.file(extent.missions), extent.line, extent.problem)
        if extent.missions:
            warnings.append(
                f"no checkpoint to go on from: the whole journal was read, {extent.missions} "
                "missions, and their batches are written again"
            )
    else:
        checkpoint, digest = trusted
        extent = _measure(layout, checkpoint.mark, mission)
    if extent.problem:
        file = layout.file(extent.missions)
        warnings.append(f"{file}, line {extent.line}: {extent.problem}; cut off from there")

    recovery = Recovery(
        checkpoint, extent, digest, checkpoint_is_stale=trusted is None, warnings=warnings
    )
    _check_files(layout, recovery)
    recovery.temporaries = [
        file
        for folder in (layout.folder.path, layout.folder.missions, layout.folder.batches)
        for file in temporary_files(folder)
    ]
    if recovery.temporaries:
        warnings.append(f"{len(recovery.temporaries)} left-over temporary files removed")
    recovery.last_progress = told_progress(layout.folder)
    recovery.complete = _is_complete(layout, recovery, total)
    if checkpoint.dataset_sha256 and not recovery.complete:
        recovery.checkpoint = msgspec.structs.replace(
            checkpoint, dataset_sha256="", last_batch_size=0
        )
        recovery.checkpoint_is_stale = True
    if not recovery.complete:
        _check_what_is_read(layout, recovery)
        if mission:
            _check_waiting(layout, mission, checkpoint.mark)
    if extent.missions > total and not recovery.complete:
        raise FolderError(
            layout.folder.path,
            f"holds {extent.missions} missions already; ask for at least as many with "
            "--missions, or add --no-resume to start anew",
        )
    return recovery


def repair(layout: Layout, recovery: Recovery) -> None:
    """Clear away what was in flight, so that the run can go on.

    From here on the checkpoint on disk is the one that the run goes on from: so what a power cut
    leaves is told from damage, and what is written again is never taken for complete.
    """
    if recovery.checkpoint_is_stale:
        mark = recovery.checkpoint.mark
        write_checkpoint(
            layout.folder.checkpoint,
            recovery.checkpoint,
            timestamp=timestamp(),
            journal_file=layout.file(mark.missions).name,
            batch_size=layout.missions_per_batch,
        )
    for file in recovery.temporaries:
        file.unlink(missing_ok=True)
    cut(layout, recovery.extent)
    ledger = Ledger(layout.folder.ledger)
    if recovery.ledger_is_stale:
        ledger.keep(_LedgerCheck(layout, recovery.checkpoint.mark).accepts)
    if recovery.missing_entries:
        ledger.insert(recovery.missing_entries)
    if not recovery.complete:
        # The index speaks of a complete run; while this one grows, it would not be true.
        layout.folder.index.unlink(missing_ok=True)


def _read_checkpoint(layout: Layout, warnings: list[str]) -> tuple[Checkpoint, Hash] | None:
    """Read the checkpoint, and see that the journal still holds what it speaks of.

    Returns:
        The checkpoint, and the digest of the bytes before it in its file.
    """
    try:
        checkpoint = read_checkpoint(layout.folder.checkpoint)
    except ValueError as error:
        warnings.append(f"{error}; the journal is read instead")
        return None
    if checkpoint is None:
        return None
    mark = checkpoint.mark
    file = layout.file(mark.missions)
    digest = digest_of_beginning(file, mark.offset)
    if digest is None or digest.hexdigest() != mark.sha256:
        raise _damage(layout, layout.file_start(mark.missions), mark.missions)
    if problem := _contradiction(layout, checkpoint):
        name = layout.folder.checkpoint.name
        warnings.append(f"{name} contradicts {problem}; the journal is read instead")
        return None
    return checkpoint, digest


def _contradiction(layout: Layout, checkpoint: Checkpoint) -> str:
    """Say what a checkpoint contradicts, "" where its numbers agree: they may lie all the same."""
    mark = checkpoint.mark
    if checkpoint.statistics.missions != mark.missions:
        return "itself: its missions are not as many as it counts"
    if mark.offset:
        line = line_before(layout.file(mark.missions), mark.offset)
        problem = problem_of(line, mark.missions - 1)
    else:
        problem = "" if mark.missions % layout.missions_per_file == 0 else "no record is before it"
    first = layout.batch_start(mark.missions)
    if not problem and layout.file_start(mark.missions) <= first < mark.missions:
        with layout.file(first).open("rb") as lines:
            lines.seek(mark.batch_offset)
            problem = problem_of(lines.readline(), first)
    return problem and f"the journal: {problem}"


def _measure(layout: Layout, mark: Mark, mission: Mission | None) -> Extent:
    extent = measure(layout, mark.missions, mark.offset)
    return check_content(layout, mission, mark, extent) if mission else extent


class _LedgerCheck:
    """Tells entries to keep, of files behind the checkpoint that are there, from others."""

    def __init__(self, layout: Layout, mark: Mark) -> None:
        self._layout = layout
        self._root = str(layout.folder.path)
        self._mark = mark
        self._next = {True: 0, False: 0}
        self.missing: dict[bool, list[int]] = {True: [], False: []}  # first missions, by is_batch

    def accepts(self, entry: Entry) -> bool:
        step = self._step(entry.is_batch)
        expected = self._next[entry.is_batch]
        if entry.first < expected or entry.first % step or entry.missions != step:
            return False
        name = batch_name(entry.first // step) if entry.is_batch else journal_name(entry.first)
        if entry.file != name or entry.end > self._mark.missions:
            return False
        try:
            size = os.stat(f"{self._root}/{name}").st_size  # noqa: PTH116 - there may be millions
        except OSError:
            size = -1
        if size != entry.size:
            if not entry.is_batch:
                raise _damage(self._layout, entry.first, entry.end)
            return False
        self.missing[entry.is_batch] += range(expected, entry.first, step)
        self._next[entry.is_batch] = entry.end
        return True

    def close(self) -> None:
        """Count as missing what should have come behind the last entry."""
        for is_batch in (True, False):
            if is_batch and not self._layout.has_batches:
                continue
            step = self._step(is_batch)
            end = self._mark.missions - self._mark.missions % step
            self.missing[is_batch] += range(self._next[is_batch], end, step)

    def _step(self, is_batch: bool) -> int:
        return self._layout.batch_size if is_batch else self._layout.missions_per_file


def _check_files(layout: Layout, recovery: Recovery) -> None:
    """Hold the ledger against the folder, behind the checkpoint."""
    check = _LedgerCheck(layout, recovery.checkpoint.mark)
    for entry in Ledger(layout.folder.ledger).lines():
        if entry is None or not check.accepts(entry):
            recovery.ledger_is_stale = True
    check.close()
    recovery.missing_entries = [digest_file(layout, first) for first in check.missing[False]]
    recovery.missing_batches = [first // layout.batch_size for first in check.missing[True]]
    if recovery.missing_batches:
        recovery.warnings.append(
            f"{len(recovery.missing_batches)} batches are missing or damaged, the first is "
            f"{layout.folder.batch_file(recovery.missing_batches[0]).name}; "
            "made again from the journal"
        )


def _check_what_is_read(layout: Layout, recovery: Recovery) -> None:
    """See that batches will be made of the bytes that were committed, wherever they are read."""
    mark = recovery.checkpoint.mark
    starts = [layout.batch_start(mark.missions)]
    starts += [number * layout.batch_size for number in recovery.missing_batches]
    needed = {
        file_start
        for start in starts
        for file_start in range(
            layout.file_start(start),
            min(start + layout.batch_size, mark.missions),
            layout.missions_per_file,
        )
    }
    # The file that the next record belongs to was held against the checkpoint.
    for entry in Ledger(layout.folder.ledger).entries():
        if not entry.is_batch and entry.first in needed and entry.end <= mark.missions:
            file = layout.folder.journal_file(entry.first)
            digest = digest_of_beginning(file, entry.size)
            if digest is None or digest.hexdigest() != entry.sha256:
                raise _damage(layout, entry.first, entry.end)


def _check_waiting(layout: Layout, mission: Mission, mark: Mark) -> None:
    """See that the records that wait for a batch can be read: the run begins with them."""
    first = layout.batch_start(mark.missions)
    if first < mark.missions:
        lines = list(read_lines(layout, first, mark.missions, mark.batch_offset))
        check_lines(layout, mission, first, lines)


def _is_complete(layout: Layout, recovery: Recovery, total: int) -> bool:
    """Whether there is nothing left to do for a run of `total` missions."""
    checkpoint = recovery.checkpoint
    missions = checkpoint.mark.missions
    short_batch = layout.folder.batch_file(missions // layout.batch_size)
    return (
        bool(checkpoint.dataset_sha256)
        and total <= missions == recovery.extent.missions
        and not recovery.missing_batches
        and layout.folder.index.exists()
        and recovery.last_progress is not None
        and recovery.last_progress.status == "completed"
        and (
            missions % layout.batch_size == 0
            or (short_batch.exists() and short_batch.stat().st_size == checkpoint.last_batch_size)
        )
    )


def _damage(layout: Layout, first: int, end: int) -> JournalDamaged:
    """Find the place of damage between missions `first` and `end`, in one file."""
    extent = measure(layout, first, 0)
    file = layout.folder.journal_file(layout.file_start(first))
    if not file.exists():
        return JournalDamaged(file, None, "the file is missing, though its records were committed")
    if extent.missions < end:
        problem = extent.problem or "the line is missing, though it was committed"
        return JournalDamaged(file, extent.missions - first + 1, problem)
    return JournalDamaged(file, None, "the bytes are not those that were committed")
