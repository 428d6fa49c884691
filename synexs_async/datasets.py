"""A run's batches as PyTorch data sets: row by row, or as a stream while the run goes on.

A row is one mission. The modules of a run never import this one: it is there for training programs.
"""

from __future__ import annotations

import hashlib
import math
import operator
import os
import shlex
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from synexs_async.errors import BatchDamaged, ConfigError, FolderError, JournalDamaged
from synexs_async.missions.failed import is_error
from synexs_async.monitoring.changes import Changes
from synexs_async.storage.folder import RunFolder, read_run_file
from synexs_async.storage.following import Ending, LedgerTail
from synexs_async.storage.index import BatchIndex, read_batch_index
from synexs_async.storage.journal import JournalReader, Layout

Split = Literal["train", "val", "test"]

_OPEN_BATCHES: Final = 2048  # kept in each process, at some 11 KB: opening one takes a millisecond
_LONGEST_WAIT: Final = 0.5  # seconds: nobody is told of a process that was killed
_DRAWS_A_DIGEST: Final = 16  # of four bytes each: BLAKE2b gives 64
_DRAWS: Final = 2**32


class MissionRow(NamedTuple):
    """One mission, as a model is trained with it; a DataLoader makes one of columns from many.

    Attributes:
        features: float32 [sequence_length, columns], a copy of its own.
        label: int64 [], an index into the run's label names.
        mission: the mission's index in the run.
        mission_id: its id.
        status: how it ended: success, failure or aborted.
        duration: simulated seconds.
        metrics: the metrics that the mission kind puts into batches, by name.
    """

    features: torch.Tensor
    label: torch.Tensor
    mission: int
    mission_id: str
    status: str
    duration: float
    metrics: dict[str, float]


_METADATA: Final = frozenset(MissionRow._fields[3:6])


class MissionDataset(Dataset[MissionRow]):
    """All missions of a complete run, or those of one split; those that raised are not in it.

    It can be pickled, and used by several workers. It is what the run was when it was opened, also
    if the run is extended afterwards.

    Args:
        folder: the run's folder.
        split: which part, None for all. Which one a mission belongs to depends on its index and
            the fractions alone, so it stays in its part when the run is extended.
        fractions: the shares of train, val and test; they add up to 1.

    Attributes:
        missions: the index of each row's mission, in order: a range, or an array.
        feature_names: names of the features, by column.
        label_names: names of the labels.

    Raises:
        ConfigError: there is no such split, or the fractions are none.
        FolderError: the folder holds no complete run.
        JournalDamaged: the journal does not tell which missions raised.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        split: Split | None = None,
        *,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
    ) -> None:
        bounds = _bounds(split, fractions)
        self._layout = _layout_of(folder)
        index = _complete_index(self._layout.folder)
        self.feature_names, self.label_names = index.feature_names, index.label_names
        self._end = index.missions
        self._raised = _raised_missions(self._layout, index)
        self.missions: Sequence[int] | npt.NDArray[np.uint32] = range(index.missions)
        if bounds is not None or len(self._raised):
            chosen = np.ones(index.missions, np.bool_)
            if bounds is not None:
                draws = _draws(index.missions)
                chosen = (draws >= bounds[0]) & (draws < bounds[1])
            chosen[self._raised] = False
            self.missions = np.flatnonzero(chosen).astype(np.uint32)
        self._open = lru_cache(_OPEN_BATCHES)(_load_batch)

    def __len__(self) -> int:
        return len(self.missions)

    def __getitem__(self, index: int) -> MissionRow:
        """Return a row by its place in the data set; a negative one counts from the end.

        Raises:
            IndexError: there is no such row.
            BatchDamaged: its batch can't be read.
        """
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"row {place} of a data set of {len(self)} rows")
        return self._row(int(self.missions[place]))

    def of_mission(self, mission: int) -> MissionRow:
        """Return a mission's row.

        Raises:
            IndexError: the mission is not in the data set: it is none of the run's, belongs to
                another split, or raised.
            BatchDamaged: its batch can't be read.
        """
        place = bisect_left(self.missions, mission)
        if place == len(self) or self.missions[place] != mission:
            raise IndexError(f"mission {mission} is not in this data set of {len(self)} rows")
        return self._row(int(mission))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_open"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open = lru_cache(_OPEN_BATCHES)(_load_batch)

    def _row(self, mission: int) -> MissionRow:
        first = self._layout.batch_start(mission)
        end = min(first + self._layout.batch_size, self._end)
        before, raised, all_raised = np.searchsorted(self._raised, (first, mission, end)).tolist()
        file = self._layout.folder.batch_file(first // self._layout.batch_size)
        content = self._open(file, first, end - first - (all_raised - before))
        return _row(content, mission - first - (raised - before), mission)


class StreamingMissions(IterableDataset[MissionRow]):
    """The rows of a run in the order of its missions, also while it is being written.

    Rows come as soon as their batch is finished. The last, short batch comes with the run's
    completion; missions that an interrupted run has left without a batch do not come.

    The workers of a DataLoader share the batches: of W workers, worker w gives batches w, w + W,
    and so on, each in order.

    Args:
        folder: the run's folder.
        follow: wait for more until the run ended: it says so, its process on this machine is gone,
            or nothing was heard of it for a minute. Otherwise the stream ends with what is
            finished.

    Raises:
        FolderError: the folder holds no run; on iteration, the run has ended without a batch.
        BatchDamaged: on iteration, a finished batch can't be read.
    """

    def __init__(self, folder: str | os.PathLike[str], follow: bool = True) -> None:
        self._layout = _layout_of(folder)
        self.follow = follow

    def __iter__(self) -> Iterator[MissionRow]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        with Changes(self._layout.folder.path) as changes:
            for first, missions, rows in self._finished(changes):
                batch = first // self._layout.batch_size
                if batch % workers == number:
                    yield from _rows_of(self._layout, first, missions, rows)

    def _finished(self, changes: Changes) -> Iterator[tuple[int, int, int]]:
        """Give first mission, missions and rows of each batch, as they are finished."""
        folder, size = self._layout.folder, self._layout.batch_size
        ledger, ending, first = LedgerTail(folder.ledger), Ending(folder), 0
        while True:
            is_over = ending.is_reached()  # asked first: what was written before the end is seen
            if (index := _index_of(folder)) is not None:
                for number in range(first // size, len(index.batches)):
                    start = number * size
                    missions = min(size, index.missions - start)
                    yield start, missions, index.batches[number].rows
                return
            for entry in ledger.batches_from(first):
                yield entry.first, entry.missions, entry.rows
                first = entry.end
            if is_over or not self.follow:
                is_over = is_over or ending.progress is None
                self._see_that_none_is_missing(ledger, first, is_over=is_over)
                return
            changes.wait_here(_LONGEST_WAIT)

    def _see_that_none_is_missing(self, ledger: LedgerTail, first: int, *, is_over: bool) -> None:
        folder = self._layout.folder
        if not is_over:
            return  # what is missing may still come
        if ledger.has_gap:
            problem = "it is not in ledger.jsonl, though a later batch is"
            raise BatchDamaged(folder.batch_file(first // self._layout.batch_size), problem)
        if first == 0 and self._layout.file(0).exists():
            raise FolderError(
                folder.path,
                "holds a journal and no finished batch; start the run's command again, which goes "
                "on with it and writes them, if its mission kind declares features",
            )


def _layout_of(folder: str | os.PathLike[str]) -> Layout:
    run_folder = RunFolder(Path(folder))
    identity = read_run_file(run_folder).identity
    return Layout.of(run_folder, identity, has_batches=True)


def _index_of(folder: RunFolder) -> BatchIndex | None:
    try:
        index = read_batch_index(folder.index)
    except ValueError as error:
        name = shlex.quote(str(folder.path))
        raise FolderError(
            folder.path,
            f"{error}; write it again with `python -m synexs_async verify {name} --repair`",
        ) from error
    if index is not None and not index.feature_names:
        problem = "has no batches, as its mission kind declares no features"
        raise FolderError(folder.path, f"{problem}; its records are in the journal (read_journal)")
    return index


def _complete_index(folder: RunFolder) -> BatchIndex:
    index = _index_of(folder)
    if index is None:
        has_batches = any(folder.batches.glob("batch_*.pt"))
        raise FolderError(
            folder.path,
            f"the run is not complete: there is no {'' if has_batches else 'batch and no '}"
            "batches/training_index.json; start the run's command again, which goes on with it, or "
            "read the batches that are finished with StreamingMissions",
        )
    return index


def _raised_missions(layout: Layout, index: BatchIndex) -> npt.NDArray[np.uint32]:
    """Find the missions that are left out of their batches, in order."""
    raised: list[int] = []
    reader: JournalReader | None = None
    for first, batch in zip(
        range(0, index.missions, layout.batch_size), index.batches, strict=True
    ):
        end = min(first + layout.batch_size, index.missions)
        if batch.rows == end - first:
            continue
        near = reader and layout.file_start(reader.position) == layout.file_start(first)
        if reader is None or not near:
            reader = JournalReader(layout, first)
        kept = _kept_missions(layout, reader, first, end, batch.rows)
        raised += sorted({*range(first, end)} - {*kept})
    return np.array(raised, np.uint32)


def _kept_missions(
    layout: Layout, reader: JournalReader, first: int, end: int, rows: int
) -> list[int]:
    """Ask the journal which missions of a batch did not raise."""
    try:
        reader.read(first)
        lines = reader.read(end)
    except OSError as error:
        problem = f"{error.strerror}; it is needed to tell which missions of a batch raised"
        raise JournalDamaged(Path(error.filename or layout.file(first)), None, problem) from error
    kept = [mission for mission, line in enumerate(lines, first) if not is_error(line)]
    if len(kept) != rows:
        problem = f"its journal has {len(kept)} missions that did not raise, not {rows}"
        raise BatchDamaged(layout.folder.batch_file(first // layout.batch_size), problem)
    return kept


def _rows_of(layout: Layout, first: int, missions: int, rows: int) -> Iterator[MissionRow]:
    """Give the rows of a batch."""
    file = layout.folder.batch_file(first // layout.batch_size)
    content = _load_batch(file, first, rows)
    kept: Iterable[int] = range(first, first + missions)
    if rows < missions:
        kept = _kept_missions(layout, JournalReader(layout, first), first, first + missions, rows)
    for place, mission in enumerate(kept):
        yield _row(content, place, mission)


def _load_batch(file: Path, first: int, rows: int) -> dict[str, Any]:
    """Open the batch that begins with mission `first`, as a memory map.

    It has `rows` rows; or more of them, where it was the last one of a run that was extended.
    """
    try:
        content: dict[str, Any] = torch.load(file, weights_only=True, mmap=True)
        lengths = {len(content[name]) for name in ("features", "labels", "metadata")}
        names = {frozenset(entry) for entry in content["metadata"]}
        is_sound = (
            content["first_mission"] == first
            and lengths == {content["batch_size"]}
            and all(keys >= _METADATA for keys in names)
        )
    except FileNotFoundError as error:
        raise BatchDamaged(file, "the file is missing") from error
    except Exception as error:  # whatever comes of damaged bytes
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BatchDamaged(file, f"the file can't be read as a batch ({reason})") from error
    if not is_sound:
        raise BatchDamaged(file, f"the file does not hold the batch from mission {first} on")
    if content["batch_size"] < rows:
        raise BatchDamaged(file, f"the file holds {content['batch_size']} rows, not {rows}")
    return content


def _row(content: dict[str, Any], place: int, mission: int) -> MissionRow:
    # Copies: sent to another process, a view would take the whole batch with it.
    features, label = content["features"][place].clone(), content["labels"][place].clone()
    metadata = content["metadata"][place]
    metrics = {name: value for name, value in metadata.items() if name not in _METADATA}
    own = (metadata["mission_id"], metadata["status"], metadata["duration"])
    return MissionRow(features, label, mission, *own, metrics)


def _bounds(split: str | None, fractions: Sequence[float]) -> tuple[int, int] | None:
    """Return the draws between which a mission belongs to a split, None for all of them."""
    names = get_args(Split)
    if split is not None and split not in names:
        raise ConfigError("split", split, f"one of {', '.join(names)}, or None")
    is_sum = len(fractions) == len(names) and math.isclose(sum(fractions), 1.0, abs_tol=1e-9)
    if not is_sum or min(fractions) < 0:
        expected = "three shares, of train, val and test, that add up to 1"
        raise ConfigError("fractions", fractions, expected)
    if split is None:
        return None
    place = names.index(split)
    borders = [0, *(round(share * _DRAWS) for share in accumulate(fractions[:-1])), _DRAWS]
    return borders[place], borders[place + 1]


def _draws(missions: int) -> npt.NDArray[np.uint32]:
    """Draw a number for each mission from its index alone: sixteen missions share a BLAKE2b."""
    digests = b"".join(
        hashlib.blake2b(number.to_bytes(8, "little")).digest()
        for number in range(-(-missions // _DRAWS_A_DIGEST))
    )
    return np.frombuffer(digests, "<u4")[:missions]
