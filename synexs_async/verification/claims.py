"""What a run's folder says of itself, read once, before anything is held against it."""

from __future__ import annotations

from dataclasses import dataclass

from synexs_async.errors import FolderError
from synexs_async.storage.checkpoint import CheckpointFile, decode_content
from synexs_async.storage.folder import RunFolder, read_run_file
from synexs_async.storage.index import IndexHead, read_index_head
from synexs_async.storage.journal import Layout, journal_files
from synexs_async.storage.ledger import Ledger
from synexs_async.storage.progress import Progress, read_progress
from synexs_async.verification.lines import last_record


@dataclass(frozen=True, slots=True)
class Claims:
    """What the folder speaks of.

    Attributes:
        checkpoint_bytes: the content of checkpoint.json, None where it can't be read.
        checkpoint: the same, decoded; None where there is none that can be trusted.
        checkpoint_problem: why that is so.
        index: the beginning of the index, None where there is none that can be read.
        index_problem: why it can't be read.
        progress: what monitors were told last, if it can be read.
        missions: how many missions must be there, with all that belongs to them.
        records: how many of the journal's records must be. More than that only where there is no
            checkpoint: then nobody knows which of them a crash may have torn.
        is_finished: the data set is complete, and no run is extending it.
    """

    checkpoint_bytes: bytes | None
    checkpoint: CheckpointFile | None
    checkpoint_problem: str
    index: IndexHead | None
    index_problem: str
    progress: Progress | None
    missions: int
    records: int
    is_finished: bool


def read_claims(layout: Layout) -> Claims:
    """Read what the folder says; a run may be writing to it meanwhile.

    The checkpoint comes first: what it speaks of was there before it.
    """
    folder = layout.folder
    data, checkpoint, checkpoint_problem = _read_checkpoint(folder)
    progress = _read_progress(folder)
    index, index_problem = None, ""
    try:
        index = read_index_head(folder.index)
    except ValueError as error:
        index_problem = str(error)
    except OSError as error:
        index_problem = f"a file that can't be read ({error.strerror})"
    if checkpoint is not None:
        missions = checkpoint.missions_completed
        is_complete = bool(checkpoint.dataset_sha256)
    else:
        missions = index.missions if index else _missions_in_ledger(layout)
        is_complete = index is not None
    # A run that is extended has removed its index; its last checkpoint may still say "complete".
    has_index = index is not None or bool(index_problem)
    is_extended = not has_index and progress is not None and progress.status != "completed"
    return Claims(
        data,
        checkpoint,
        checkpoint_problem,
        index,
        index_problem,
        progress,
        missions,
        missions if checkpoint is not None else max(missions, _records(layout)),
        is_finished=is_complete and not is_extended,
    )


def complete_digest(folder: RunFolder) -> str:
    """Return the digest that the index and the checkpoint of a complete run agree on.

    Raises:
        FolderError: there is none: no run, one that is not complete, or a damaged one.
    """
    try:
        read_run_file(folder)
        index = read_index_head(folder.index)
        _, checkpoint, problem = _read_checkpoint(folder)
    except (ValueError, OSError) as error:
        raise FolderError(folder.path, f"{error}; see `verify`") from error
    if checkpoint is None:
        raise FolderError(folder.path, f"checkpoint.json: {problem}; see `verify`")
    if index is None or not checkpoint.dataset_sha256:
        problem = f"is not complete: {checkpoint.missions_completed:,} missions so far"
        raise FolderError(folder.path, problem)
    if index.dataset_sha256 != checkpoint.dataset_sha256:
        raise FolderError(folder.path, "index and checkpoint name two digests; see `verify`")
    return index.dataset_sha256


def went_on(layout: Layout, claims: Claims) -> bool:
    """Whether a run has written to the folder since its claims were read."""
    checkpoint_bytes, _, _ = _read_checkpoint(layout.folder)
    progress = _read_progress(layout.folder)
    if layout.folder.index.exists() != (claims.index is not None or bool(claims.index_problem)):
        return True
    return checkpoint_bytes != claims.checkpoint_bytes or progress != claims.progress


def _read_checkpoint(folder: RunFolder) -> tuple[bytes | None, CheckpointFile | None, str]:
    try:
        data = folder.checkpoint.read_bytes()
    except FileNotFoundError:
        return None, None, "no file"
    except OSError as error:
        return None, None, f"a file that can't be read ({error.strerror})"
    try:
        return data, decode_content(data, folder.checkpoint.name), ""
    except ValueError as error:
        return data, None, str(error)


def _read_progress(folder: RunFolder) -> Progress | None:
    try:
        return read_progress(folder.path)
    except (FolderError, OSError):
        return None


def _missions_in_ledger(layout: Layout) -> int:
    """Return the missions, from 0 without a gap, that the ledger knows batches of."""
    end = 0
    try:
        for entry in Ledger(layout.folder.ledger).entries():
            if entry.is_batch and entry.first == end and entry.missions == layout.batch_size:
                end = entry.end
    except OSError:
        pass  # named where the ledger is compared
    return end


def _records(layout: Layout) -> int:
    """Return the index behind the last record that the journal holds."""
    for first in sorted(journal_files(layout), reverse=True):
        last = last_record(layout, first)
        if last is not None:
            return last + 1
    return 0
