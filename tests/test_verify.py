"""Checking a run's folder, and mending it, whatever became of its files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from builders import (
    BATCH_SIZE,
    MISSION,
    SEED,
    go_on,
    identity_of_tests,
    layout_in,
    missions,
    new_layout,
    nothing_changes,
    setup_of,
    write_run,
)
from datasets import data_set, everything, index_of
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async import Verification
from synexs_async.storage.batch import check_batches, cuda_is_available, write_batches
from synexs_async.storage.journal import Layout
from synexs_async.storage.protocol import BatchRows, BatchState, Written
from synexs_async.storage.recovery import examine
from synexs_async.verification.recorded import RecordedRun
from synexs_async.verification.verify import verify_with

TOTAL = 33
JOURNAL = "missions/mission_000000010.jsonl"


class WorkHere:
    """Does a worker's work in this process."""

    def __init__(self, layout: Layout) -> None:
        self._setup = setup_of(layout)

    async def check(self, rows: BatchRows) -> list[BatchState]:
        """Compare batches with their files."""
        return await anyio.to_thread.run_sync(check_batches, rows, self._setup)

    async def write(self, rows: BatchRows) -> Written:
        """Write batches."""
        entries = await anyio.to_thread.run_sync(write_batches, rows, self._setup)
        return Written(entries, cuda_is_available())


def verified(layout: Layout, *, share: float = 1.0, repair: bool = False) -> Verification:
    """Verify a folder of the tests."""
    run = RecordedRun(layout, identity_of_tests(), MISSION)
    return anyio.run(partial(verify_with, WorkHere(layout), 1, run, share, repair=repair))


def checked(layout: Layout, share: float = 1.0) -> Verification:
    """Verify a folder, which must not change it."""
    with nothing_changes(layout.folder.path):
        return verified(layout, share=share)


@cache
def files_of(count: int, checkpoint_at: int | None, *, finish: bool) -> dict[str, bytes | None]:
    """Return the files of a run that nothing happened to."""
    with new_layout() as layout:
        write_run(layout, count, checkpoint_at, finish=finish)
        return everything(layout.folder.path)


@contextmanager
def a_run(
    count: int = TOTAL, checkpoint_at: int | None = None, *, finish: bool = True
) -> Iterator[Layout]:
    """Give a copy of such a run."""
    with tempfile.TemporaryDirectory() as path:
        layout = layout_in(Path(path))
        for name, content in files_of(count, checkpoint_at, finish=finish).items():
            if content is not None:
                (layout.folder.path / name).write_bytes(content)
        yield layout


def line_damages(lines: list[bytes]) -> st.SearchStrategy[list[bytes]]:
    """Delete, duplicate, swap or empty a line."""
    places = st.integers(0, len(lines) - 1)
    changes: list[Callable[[int], list[bytes]]] = [
        lambda k: [*lines[:k], *lines[k + 1 :]],
        lambda k: [*lines[: k + 1], *lines[k:]],
        lambda k: [*lines[:k], b"\n", *lines[k + 1 :]],
        lambda k: [*lines[:k], b"{}\n", *lines[k:]],
    ]
    if len(lines) > 1:
        changes.append(lambda k: [*lines[: k - 1], lines[k], lines[k - 1], *lines[k + 1 :]])
    return st.tuples(places, st.sampled_from(changes)).map(
        lambda drawn: drawn[1](max(drawn[0], 1) if drawn[1] is changes[-1] else drawn[0])
    )


def damages(content: bytes) -> st.SearchStrategy[bytes | None]:
    """Flip a bit, cut, lengthen, empty or delete a file, or damage one of its lines."""
    places = st.integers(0, len(content) - 1)
    flips = st.tuples(places, st.integers(0, 7)).map(
        lambda at: content[: at[0]] + bytes([content[at[0]] ^ 1 << at[1]]) + content[at[0] + 1 :]
    )
    cuts = places.map(lambda place: content[:place])
    tails = st.binary(min_size=1, max_size=20).map(lambda tail: content + tail)
    lines = line_damages(content.splitlines(keepends=True)).map(b"".join)
    return st.one_of(flips, flips, cuts, tails, lines, st.just(b""), st.none())


def put(file: Path, content: bytes | None) -> None:
    """Write a file, or delete it."""
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)


def assert_named(report: Verification, name: str) -> None:
    """See that a difference names the file."""
    assert not report.holds
    assert name in {difference.file for difference in report.differences}, report.differences


class TestAnyDamage:
    """Whatever happens to one file is found, and mended to the same bytes."""

    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_damage_to_a_complete_run_is_found_and_mended(self, data: st.DataObject) -> None:
        """The file is named, and the data set comes back byte for byte."""
        before = files_of(TOTAL, None, finish=True)
        names = [
            name for name in before if name.startswith(("missions/", "batches/", "ledger", "check"))
        ]
        name = data.draw(st.sampled_from(names), "file")
        content = before[name]
        assert content is not None
        damaged = data.draw(damages(content).filter(lambda new: new != content), "damaged")
        share = data.draw(st.sampled_from([1.0, 0.0]), "share")
        if name.endswith("index.json") and damaged and _is_only_a_time(content, damaged):
            return
        with a_run() as layout:
            put(layout.folder.path / name, damaged)
            assert_named(checked(layout, share), name)

            report = verified(layout, share=share, repair=True)

            assert report.holds, (report.differences, report.notes, report.mended)
            assert any(name in sentence for sentence in report.mended)
            after = everything(layout.folder.path)
            assert {key: value for key, value in after.items() if key.startswith("missions/")} == {
                key: value for key, value in before.items() if key.startswith("missions/")
            }
            assert data_set_of(before) == data_set(layout.folder.path)
            assert checked(layout).holds
            recovery = examine(layout, TOTAL)
            assert (True, []) == (recovery.complete, recovery.warnings)

    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_damage_behind_a_checkpoint_is_found_and_mended(self, data: st.DataObject) -> None:
        """Of a run that was interrupted; it goes on to the bytes of one that was not."""
        saved = data.draw(st.integers(4, 27), "checkpoint at")
        before = files_of(27, saved, finish=False)
        names = [name for name in before if _is_behind(name, saved)]
        name = data.draw(st.sampled_from(names), "file")
        content = before[name]
        assert content is not None
        length = len(content)
        if name.startswith("missions/"):
            first = int(name[-15:-6])
            length = sum(map(len, missions(first, min(first + 10, saved)).lines))
        elif name == "ledger.jsonl":
            length = ledger_length(content, saved)
        beginning, rest = content[:length], content[length:]
        new = data.draw(
            damages(beginning).filter(lambda new: not (new or b"").startswith(beginning)), "damaged"
        )
        share = data.draw(st.sampled_from([1.0, 0.0]), "share")
        with a_run(27, saved, finish=False) as layout:
            put(layout.folder.path / name, None if new is None else new + rest)
            assert_named(checked(layout, share), name)

            report = verified(layout, share=share, repair=True)

            assert report.holds, (report.differences, report.notes, report.mended)
            assert checked(layout).holds
            go_on(layout, examine(layout, TOTAL), TOTAL)
            assert data_set_of(files_of(TOTAL, None, finish=True)) == data_set(layout.folder.path)


def data_set_of(files: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """Return the data set among files."""
    return {
        name: content
        for name, content in files.items()
        if name.startswith(("missions/", "batches/")) and not name.endswith(".json")
    }


def _is_only_a_time(content: bytes, damaged: bytes) -> bool:
    """Whether just what stands outside of all digests differs: when the index was made, and a GPU."""
    kept = [
        [line for line in text.split(b"\n") if b'"created"' not in line and b'"cuda_' not in line]
        for text in (content, damaged)
    ]
    return kept[0] == kept[1]


def _is_behind(name: str, missions: int) -> bool:
    if name.startswith("missions/"):
        return int(name[-15:-6]) < missions
    if name.startswith("batches/"):
        return (int(name[-9:-3]) + 1) * BATCH_SIZE <= missions
    return name == "checkpoint.json" or (name == "ledger.jsonl" and missions >= BATCH_SIZE)


def ledger_length(content: bytes, missions: int) -> int:
    """Return where the last entry ends that must be there."""
    import msgspec

    from synexs_async.storage.ledger import Entry

    end = position = 0
    for line in content.splitlines(keepends=True):
        position += len(line)
        entry = msgspec.json.decode(line, type=Entry)
        if entry.end <= missions:
            end = position
    return end
