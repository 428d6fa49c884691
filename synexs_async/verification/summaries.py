"""Ledger, index, checkpoint and progress file: held against what follows from the journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from synexs_async.missions.mission import Mission
from synexs_async.storage.checkpoint import Checkpoint, content_of, encode_content
from synexs_async.storage.folder import Identity
from synexs_async.storage.index import compose_index
from synexs_async.storage.journal import Layout
from synexs_async.storage.ledger import Entry, Ledger
from synexs_async.storage.progress import group_counts
from synexs_async.verification.claims import Claims
from synexs_async.verification.differences import Differences, first_difference
from synexs_async.verification.truth import Truth


def compare_ledger(
    ledger: Ledger,
    journals: Iterable[Entry],
    batches: Iterable[Entry],
    differences: Differences,
    *,
    is_closed: bool,
) -> None:
    """Hold the ledger's entries against those that must be there.

    Where the ledger `is_closed`, it must hold no others.
    """
    name = ledger.path.name
    wanted = {True: _Queue(batches), False: _Queue(journals)}
    try:
        for number, entry in enumerate(ledger.lines(), 1):
            if not is_closed and all(queue.next is None for queue in wanted.values()):
                break  # what follows is ahead of the checkpoint
            if entry is None:
                differences.add(name, "an entry", "a line that is none", line=number)
                continue
            queue = wanted[entry.is_batch]
            if queue.next is not None or is_closed or entry.first < queue.end:
                _compare_entry(queue, entry, name, number, differences)
    except OSError as error:
        differences.add(name, "the ledger", f"a file that can't be read ({error.strerror})")
    for queue in wanted.values():
        for missing in queue.rest():
            differences.add(name, f"an entry of {missing.file}", "none")


def _compare_entry(
    queue: _Queue, entry: Entry, name: str, number: int, differences: Differences
) -> None:
    """Hold an entry against the next one that must be there of its kind."""
    while queue.next is not None and queue.next.first < entry.first:
        differences.add(name, f"an entry of {queue.take().file}", "none", line=number)
    if queue.next is None or queue.next.first > entry.first:
        expected = f"an entry of {queue.next.file}" if queue.next else "no further entry"
        differences.add(name, expected, f"one of {entry.file}", line=number)
        return
    expected_entry = msgspec.to_builtins(queue.take())
    if different := first_difference(expected_entry, msgspec.to_builtins(entry)):
        field, expected, found = different
        differences.add(name, expected, found, line=number, field=field)


class _Queue:
    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = iter(entries)
        self.next = next(self._entries, None)
        self.end = 0

    def take(self) -> Entry:
        taken = self.next
        assert taken is not None
        self.end = taken.end
        self.next = next(self._entries, None)
        return taken

    def rest(self) -> Iterator[Entry]:
        while self.next is not None:
            yield self.take()


def compare_index(
    layout: Layout,
    identity: Identity,
    mission: Mission,
    claims: Claims,
    truth: Truth,
    differences: Differences,
) -> str:
    """Hold the index of a complete run against what it should be; return the data set's digest."""
    index = claims.index
    name = f"batches/{layout.folder.index.name}"

    def compose() -> tuple[str, Iterator[bytes]]:
        return compose_index(
            identity,
            missions=claims.missions,
            feature_names=mission.feature_names,
            label_names=mission.label_names,
            journals=truth.journals.entries,
            batches=truth.batches.entries,
            created=index.created if index else "",
            cuda_available=index.cuda_available
            if index
            else None
            if not layout.has_batches
            else False,
        )

    digest, parts = compose()
    if index is None:
        differences.add(name, "an index", claims.index_problem or "no file")
        return digest
    path = layout.folder.index
    try:
        if not _is_same(path, parts):
            _add_documents(name, b"".join(compose()[1]), path.read_bytes(), differences)
    except OSError as error:
        differences.add(name, "an index", f"a file that can't be read ({error.strerror})")
    return digest


def true_checkpoint(layout: Layout, claims: Claims, truth: Truth, digest: str) -> Checkpoint:
    """Return what the checkpoint should say."""
    assert truth.claimed is not None
    told = claims.checkpoint
    if told is not None:
        elapsed = told.stats.elapsed_time
    else:
        elapsed = claims.progress.elapsed_seconds if claims.progress else 0.0
    is_complete = claims.is_finished or bool(told and told.dataset_sha256)
    if not claims.is_finished and told is not None:  # of a run that is being extended
        digest, last_batch_size = told.dataset_sha256, told.last_batch_size
    else:
        last_batch_size = 0
        for entry in truth.batches.entries():
            last_batch_size = entry.size if entry.missions < layout.batch_size else 0
    statistics = truth.claimed.statistics
    if told is not None and told.groups is UNSET:  # of a version that counted none
        statistics = msgspec.structs.replace(statistics, groups=None)
    return Checkpoint(
        truth.claimed.mark,
        statistics,
        elapsed,
        digest if is_complete else "",
        last_batch_size if is_complete else 0,
    )


def compare_checkpoint(
    layout: Layout, claims: Claims, truth: Truth, digest: str, differences: Differences
) -> None:
    """Hold the checkpoint against the journal that it speaks of."""
    name = layout.folder.checkpoint.name
    told = claims.checkpoint
    if told is None or claims.checkpoint_bytes is None:
        if truth.missions or claims.checkpoint_bytes is not None:
            differences.add(name, "a checkpoint", claims.checkpoint_problem)
        return
    content = content_of(
        true_checkpoint(layout, claims, truth, digest),
        told.timestamp,
        layout.file(claims.missions).name,
        layout.missions_per_batch,
    )
    expected = encode_content(content)
    if expected != claims.checkpoint_bytes:
        _add_documents(name, expected, claims.checkpoint_bytes, differences)


def compare_progress(claims: Claims, truth: Truth, differences: Differences) -> None:
    """Hold what monitors were told of a run that has ended against the journal."""
    progress = claims.progress
    if progress is None or progress.status == "running":
        return
    if claims.is_finished and progress.mission_current != claims.missions:
        expected, found = str(claims.missions), str(progress.mission_current)
        differences.add("progress.json", expected, found, field="mission_current")
    elif truth.counts is not None:
        _compare_told(truth.counts.counts(), progress.stats, "stats", differences)
        if progress.group_by:
            _compare_told(group_counts(truth.counts), progress.groups, "groups", differences)


def _compare_told(expected: object, told: object, name: str, differences: Differences) -> None:
    documents = (msgspec.to_builtins(expected), msgspec.to_builtins(told))
    if different := first_difference(*documents, name):
        field, wanted, found = different
        differences.add("progress.json", wanted, found, field=field)


def _is_same(path: Path, parts: Iterator[bytes]) -> bool:
    with path.open("rb") as file:
        return all(file.read(len(part)) == part for part in parts) and not file.read(1)


def _add_documents(name: str, expected: bytes, found: bytes, differences: Differences) -> None:
    """Name the first field in which two JSON files differ."""
    documents: list[Any] = [msgspec.json.decode(expected)]
    try:
        documents.append(msgspec.json.decode(found))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        differences.add(name, "JSON", f"bytes that are none ({error})")
        return
    field, wanted, there = first_difference(*documents) or ("", "these values", "another spelling")
    differences.add(name, wanted, there, field=field)
