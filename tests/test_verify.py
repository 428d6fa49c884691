"""Checking a run's folder, and mending it, whatever became of its files."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import cache, partial
from pathlib import Path

import anyio
import msgspec
import pytest
import torch
from air import AirMission, Grouped
from builders import (
    BATCH_SIZE,
    MISSION,
    SEED,
    SEQUENCE_LENGTH,
    TIME,
    Work,
    go_on,
    identity_of_tests,
    layout_in,
    missions,
    missions_with_errors,
    new_layout,
    nothing_changes,
    setup_of,
    tell_that_it_is_complete,
    write_run,
)
from conftest import Command
from datasets import data_set, everything, index_of
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async import (
    ConfigError,
    FolderError,
    FolderInUse,
    IdentityMismatch,
    RunConfig,
    TeamMission,
    Verification,
    open_run,
    read_progress,
    run,
    verify_run,
)
from synexs_async.missions.mission import OUTCOME_NAMES
from synexs_async.missions.statistics import Statistics
from synexs_async.storage.batch import (
    check_batches,
    cuda_is_available,
    serialise,
    write_batches,
)
from synexs_async.storage.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from synexs_async.storage.folder import Identity, RunFile, RunFolder
from synexs_async.storage.index import write_index
from synexs_async.storage.journal import Layout, Mark
from synexs_async.storage.ledger import Entry, Ledger, decode_line
from synexs_async.storage.progress import OutcomeCounts, RunStatus, write_progress
from synexs_async.storage.protocol import BatchRows, BatchState, Written
from synexs_async.storage.recovery import examine
from synexs_async.verification.recorded import RecordedRun, recorded_run
from synexs_async.verification.verify import verify_with

TOTAL = 33
JOURNAL = "missions/mission_000000010.jsonl"
LINES = missions(0, TOTAL).lines


class WorkHere:
    """Does a worker's work in this process."""

    def __init__(self, layout: Layout, sequence_length: int = SEQUENCE_LENGTH) -> None:
        self._setup = setup_of(layout, sequence_length)

    async def check(self, rows: BatchRows) -> list[BatchState]:
        """Compare batches with their files."""
        return await anyio.to_thread.run_sync(check_batches, rows, self._setup)

    async def write(self, rows: BatchRows) -> Written:
        """Write batches."""
        entries = await anyio.to_thread.run_sync(write_batches, rows, self._setup)
        return Written(entries, cuda_is_available())


def verified(
    layout: Layout, *, share: float = 1.0, repair: bool = False, identity: Identity | None = None
) -> Verification:
    """Verify a folder of the tests."""
    run = RecordedRun(layout, identity or identity_of_tests(), MISSION)
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


def not_alike(content: bytes, damaged: bytes | None) -> bool:
    """Whether a file is damaged: a ledger's batches and journal files may stand in any mixture."""
    lines = [(text or b"").splitlines(keepends=True) for text in (content, damaged)]
    batches, others = (
        [[line for line in text if (b"content_sha256" in line) == kind] for text in lines]
        for kind in (True, False)
    )
    return batches[0] != batches[1] or others[0] != others[1]


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
        damaged = data.draw(damages(content).filter(lambda new: not_alike(content, new)), "damaged")
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
            damages(beginning).filter(
                lambda new: not (new or b"").startswith(beginning) and not_alike(beginning, new)
            ),
            "damaged",
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


class TestWhatIsNamed:
    """File, line or row, field, expected and found."""

    def test_an_undisturbed_run_holds(self) -> None:
        """Nothing differs, and the report says what was checked and the digest."""
        with a_run() as layout:
            report = checked(layout)
            assert (True, True, (), ()) == (
                report.holds,
                report.is_complete,
                report.differences,
                report.notes,
            )
            assert (TOTAL, TOTAL, TOTAL) == (report.missions, report.committed, report.simulated)
            assert index_of(layout.folder.path)["dataset_sha256"] == report.dataset_sha256

    @pytest.mark.parametrize("share", [1.0, 0.0])
    def test_a_changed_value_is_named_by_line_and_field(self, share: float) -> None:
        """Also where it is not in the sample: a file whose digest is another is simulated whole."""
        with a_run() as layout:
            change_line(layout.folder.path / JOURNAL, 4, b'"latency_ms":', b'"latency_ms":1')
            (difference,) = checked(layout, share).differences
        latency = msgspec.json.decode(LINES[13])["communications"][0]["latency_ms"]
        expected = (JOURNAL, 4, "communications[0].latency_ms", str(latency), f"1{latency}")
        assert expected == (
            difference.file,
            difference.line,
            difference.field,
            difference.expected,
            difference.found,
        )

    @pytest.mark.parametrize(
        ("change", "line", "expected", "found"),
        [
            (lambda lines: [*lines[:3], *lines[4:]], 4, "mission 13", "mission 14"),
            (lambda lines: [*lines[:4], *lines[3:]], 5, "mission 14", "mission 13 once more"),
            (
                lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
                4,
                "mission 13",
                "mission 14",
            ),
            (lambda lines: lines[:9], 10, "mission 19", "the end of the file"),
            (lambda lines: [*lines, lines[9]], 11, "the end of the file", "mission 19"),
            (lambda lines: [], 1, "mission 10", "the end of the file"),
        ],
    )
    def test_lines_that_are_missing_doubled_or_swapped(
        self, change: Callable[[list[bytes]], list[bytes]], line: int, expected: str, found: str
    ) -> None:
        """The first line that is not the next one is named, and what follows still reads."""
        with a_run() as layout:
            file = layout.folder.path / JOURNAL
            file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))
            (difference,) = checked(layout).differences
        assert (JOURNAL, line, expected, found) == (
            difference.file,
            difference.line,
            difference.expected,
            difference.found,
        )

    def test_a_changed_value_in_a_batch_is_named_by_row_and_field(self) -> None:
        """The batch reads well, and its value is another than the journal's record gives."""
        with a_run() as layout:
            file = layout.folder.batch_file(2)
            content = torch.load(file, weights_only=True)
            content["metadata"][3]["duration"] += 1
            content["labels"][1] = 2
            file.write_bytes(serialise(content))
            (difference,) = checked(layout).differences
        label = str(LINES[9][-3:-2].decode())
        assert ("batches/batch_000002.pt", 1, "labels", label, "2") == (
            difference.file,
            difference.row,
            difference.field,
            difference.expected,
            difference.found,
        )

    @pytest.mark.parametrize("column", [0, 23])
    def test_a_changed_feature_is_named_by_its_place(self, column: int) -> None:
        """Row of the batch, row of the mission, column."""
        with a_run() as layout:
            file = layout.folder.batch_file(1)
            content = torch.load(file, weights_only=True)
            content["features"][2, 4, column] = 0.125
            file.write_bytes(serialise(content))
            (difference,) = checked(layout).differences
        assert (2, f"features[4, {column}]") == (difference.row, difference.field)
        assert "0.125" == difference.found

    def test_another_build_of_torch_is_no_false_alarm(self) -> None:
        """Where just the container differs, and ledger and index speak of these bytes, it holds."""
        with a_run() as layout:
            write_as_another_build_would(layout)
            report = checked(layout)
            assert report.holds
            (batches,) = (part for part in report.parts if part.part == "batches")
            assert "9 files, 9 of them written by another build of torch" == batches.checked

    def test_differences_are_counted_beyond_the_first(self) -> None:
        """Many differences are a number, and the first hundred."""
        with a_run() as layout:
            for file in layout.folder.missions.iterdir():
                file.write_bytes(file.read_bytes().replace(b"scout", b"SCOUT"))
            report = checked(layout)
        assert (33, 33) == (report.difference_count, len(report.differences))

    def test_a_ledger_s_and_an_index_s_changed_digest_are_told_from_changed_files(self) -> None:
        """What is held against the journal is right; what speaks of it is not."""
        with a_run() as layout:
            entries = list(Ledger(layout.folder.ledger).entries())
            entries[4] = msgspec.structs.replace(entries[4], sha256="f" * 64)
            Ledger(layout.folder.ledger).replace(entries)
            (difference,) = checked(layout, 0.0).differences
        assert ("ledger.jsonl", 5, "sha256") == (difference.file, difference.line, difference.field)

    def test_progress_of_a_run_that_has_ended(self) -> None:
        """Its counts are those of the journal; of one that was killed nobody looks at them."""
        with a_run() as layout:
            tell_progress(layout, "completed", TOTAL, OutcomeCounts(success_count=1))
            (difference,) = checked(layout).differences
            assert ("progress.json", "stats.success_count") == (difference.file, difference.field)
            assert verified(layout, repair=True).holds
        with a_run(27, 20, finish=False) as layout:
            tell_progress(layout, "running", 22, OutcomeCounts(success_count=1))
            assert checked(layout).holds

    def test_a_line_of_lists_without_an_end_is_no_record(self) -> None:
        """It is named as any other that is none."""
        with a_run() as layout:
            file = layout.folder.path / JOURNAL
            change_line(file, 3, b'"status":', b'"deep":' + b"[" * 5_000 + b"]" * 5_000 + b',"x":')
            report = checked(layout)
        assert (JOURNAL, 3) == (report.differences[0].file, report.differences[0].line)
        assert "found a line that is no record" in str(report.differences[0])


class TestRunsThatAreNotComplete:
    """Behind the checkpoint everything must hold, ahead of it nothing but whole lines count."""

    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_what_a_crash_leaves_is_no_difference(self, data: st.DataObject) -> None:
        """A torn end, batches and ledger entries that are ahead or missing there: notes at most."""
        saved = data.draw(st.integers(1, 27), "checkpoint at")
        with a_run(27, saved, finish=False) as layout:
            ends = [sum(map(len, LINES[:count])) for count in range(28)]
            size = data.draw(st.integers(ends[saved], ends[27]), "journal bytes")
            cut_journal(layout, size)
            for number in range(saved // BATCH_SIZE, 27 // BATCH_SIZE):
                fate = data.draw(st.sampled_from([b"", b"torn", None]), "batch")
                put(layout.folder.batch_file(number), fate)
            ledger = layout.folder.ledger.read_bytes() if layout.folder.ledger.exists() else b""
            kept = data.draw(st.integers(ledger_length(ledger, saved), len(ledger)), "ledger")
            layout.folder.ledger.write_bytes(ledger[:kept])

            report = checked(layout)

        lines = sum(end <= size for end in ends[1:])
        assert ((), lines, saved) == (report.differences, report.missions, report.committed)
        assert (size not in ends) == bool(report.notes)

    def test_a_changed_line_ahead_of_the_checkpoint_is_named(self) -> None:
        """A start keeps it, as it reads well; only simulating it tells."""
        with a_run(27, 12, finish=False) as layout:
            change_line(layout.folder.path / JOURNAL, 6, b'"latency_ms":', b'"latency_ms":1')
            report = checked(layout)
            assert [6] == [difference.line for difference in report.differences]
            assert verified(layout, repair=True).holds
            assert LINES[10:20] == (layout.folder.path / JOURNAL).read_bytes().splitlines(
                keepends=True
            )

    @pytest.mark.parametrize("saved", [12, 15, 20])
    def test_a_lost_checkpoint_is_named_and_made_again(self, saved: int) -> None:
        """From journal, batches and ledger; then the run goes on to the same bytes."""
        with a_run(27, saved, finish=False) as layout:
            layout.folder.checkpoint.unlink()
            report = checked(layout)
            assert ["checkpoint.json"] == [found.file for found in report.differences]
            assert verified(layout, repair=True).holds
            recovery = examine(layout, TOTAL)
            assert (24, []) == (recovery.checkpoint.mark.missions, recovery.warnings)
            go_on(layout, recovery, TOTAL)
            assert data_set_of(files_of(TOTAL, None, finish=True)) == data_set(layout.folder.path)

    def test_a_run_that_is_extended_needs_no_index(self) -> None:
        """While a complete run grows, its last checkpoint still says that it is complete."""
        with a_run() as layout:
            layout.folder.index.unlink()
            tell_progress(layout, "running", TOTAL, OutcomeCounts())
            layout.folder.batch_file(8).write_bytes(b"the one that replaces it")
            assert checked(layout).holds


class TestMending:
    """What is still true is enough, or nothing is touched."""

    def test_everything_but_the_journal_can_be_lost(self) -> None:
        """Batches, ledger, index and checkpoint are made from it."""
        before = files_of(TOTAL, None, finish=True)
        with a_run() as layout:
            for file in (*layout.folder.batches.iterdir(), layout.folder.ledger):
                file.unlink()
            report = verified(layout, repair=True)
            assert report.holds
            assert data_set_of(before) == data_set(layout.folder.path)

    def test_the_journal_alone_can_be_lost(self) -> None:
        """Simulating gives it again, and the digests say that it is the same."""
        before = files_of(TOTAL, None, finish=True)
        with a_run() as layout:
            for file in layout.folder.missions.iterdir():
                file.unlink()
            report = verified(layout, repair=True)
            assert report.holds
            assert data_set_of(before) == data_set(layout.folder.path)

    def test_an_error_record_is_never_thrown_away(self) -> None:
        """It stands, though here its mission does not raise, while what is around it is mended."""
        with new_layout() as layout:
            work = Work(layout, Checkpoint(Mark(), Statistics.of(TeamMission())))
            work.commit(missions_with_errors(0, TOTAL, [12, 17]))
            work.finish()
            before = everything(layout.folder.path)
            report = checked(layout)
            assert (True, TOTAL - 2, ()) == (report.holds, report.simulated, report.notes)
            change_line(layout.folder.path / JOURNAL, 4, b'"latency_ms":', b'"latency_ms":1')
            layout.folder.batch_file(3).unlink()

            assert verified(layout, repair=True).holds

            assert before == everything(layout.folder.path)

    def test_an_error_record_that_is_damaged_can_t_be_had_again(self) -> None:
        """The file is left as it is: what simulating gives is not what was committed."""
        with new_layout() as layout:
            work = Work(layout, Checkpoint(Mark(), Statistics.of(TeamMission())))
            work.commit(missions_with_errors(0, TOTAL, [12]))
            work.finish()
            change_line(layout.folder.path / JOURNAL, 3, b"ValueError", b"ValueErrer")
            with nothing_changes(layout.folder.path):
                report = verified(layout, repair=True)
        assert not report.holds
        assert f"{JOURNAL}: left as it is" in report.notes[-1]

    def test_another_seed_in_run_json_damages_nothing(self) -> None:
        """Simulating gives other records, but no digest agrees: nothing is written."""
        with a_run() as layout, nothing_changes(layout.folder.path):
            identity = msgspec.structs.replace(identity_of_tests(), seed=SEED + 1)
            report = verified(layout, repair=True, identity=identity)
        assert not report.holds
        assert report.mended == ()


class TestRealRuns:
    """With worker processes, locks, and runs that are going on."""

    async def test_a_run_that_is_going_on_gives_no_false_alarm(self, tmp_path: Path) -> None:
        """Whatever the moment; nothing is changed, the loop stays free, and the run goes on."""
        config = RunConfig(missions=30_000, output=tmp_path, seed=3)
        async with open_run(config) as live, aclosing(live.records()) as records:
            async for record in records:
                if record.mission_number in (2_000, 15_000, 25_000):
                    report = await verify_run(tmp_path)
                    assert ((), False) == (report.differences, report.is_complete)
                    assert report.missions > record.mission_number
        report = await verify_run(tmp_path, sample=0)
        assert ((), True, 2) == (report.differences, report.is_complete, report.simulated)
        assert live.report.dataset_sha256 == report.dataset_sha256

    async def test_a_run_that_is_extended_gives_no_false_alarm(self, tmp_path: Path) -> None:
        """Its index goes, its short batch and last journal file grow: none of it is damage."""
        await run(RunConfig(missions=1_007, output=tmp_path, seed=3))
        recorded = await anyio.to_thread.run_sync(recorded_run, RunFolder(tmp_path))
        pool = WorkHere(recorded.layout, recorded.identity.sequence_length)
        reports = []
        async with open_run(RunConfig(missions=8_000, output=tmp_path, seed=3)) as live:
            while live.progress.status == "running":
                reports.append(await verify_with(pool, 1, recorded, 1.0, repair=False))
        reports.append(await verify_with(pool, 1, recorded, 1.0, repair=False))
        assert {()} == {report.differences for report in reports}
        assert (True, 8_000) == (reports[-1].is_complete, reports[-1].missions)

    async def test_repair_is_refused_while_a_run_holds_the_folder(self, tmp_path: Path) -> None:
        """Mending takes the lock; checking does not."""
        async with open_run(RunConfig(missions=10, output=tmp_path)):
            with pytest.raises(FolderInUse):
                await verify_run(tmp_path, repair=True)

    @pytest.mark.parametrize("error", [ValueError, SystemExit])
    async def test_missions_of_a_kind_of_one_s_own(
        self, tmp_path: Path, error: type[BaseException]
    ) -> None:
        """A program hands its kind over; without it, or with another, nobody can tell."""

        def raise_at(index: int) -> None:
            if index == 7:
                raise error("seven")

        mission = AirMission(raise_at)
        config = RunConfig(missions=40, output=tmp_path, mission=mission, on_error="record")
        await run(config)
        assert (await verify_run(tmp_path, mission=mission, sample=100)).holds
        with pytest.raises(FolderError, match="kind 'air', which may be anybody's code"):
            await verify_run(tmp_path)
        with pytest.raises(IdentityMismatch, match="Give the kind"):
            await verify_run(tmp_path, mission=MISSION)

        journal = tmp_path / "missions" / "mission_000000000.jsonl"
        before = journal.read_bytes()
        name = error.__name__.encode()
        journal.write_bytes(before.replace(b'"error":"' + name, b'"error":"0' + name[1:]))
        report = await verify_run(tmp_path, mission=mission, repair=True)
        assert report.holds
        assert before == journal.read_bytes()

    async def test_outcomes_by_group_of_missions_in_workers(self, tmp_path: Path) -> None:
        """Groups that are known beforehand and never come stand in the checkpoint as well."""
        await run(RunConfig(missions=40, output=tmp_path, mission=Grouped()))
        assert (await verify_run(tmp_path, mission=Grouped())).holds

    async def test_missions_that_can_t_be_simulated_here(self, tmp_path: Path) -> None:
        """Their records stand, held against digests alone; what follows from them is mended."""
        await run(RunConfig(missions=40, output=tmp_path, mission=AirMission()))
        before = data_set(tmp_path)

        def raise_always(index: int) -> None:
            raise ValueError

        mission = AirMission(raise_always)
        (tmp_path / "batches" / "batch_000000.pt").unlink()
        report = await verify_run(tmp_path, mission=mission, sample=100, repair=True)
        assert (True, 0) == (report.holds, report.simulated)
        assert "40 missions raise when they are simulated here" in report.notes[0]
        assert before == data_set(tmp_path)

        journal = tmp_path / "missions" / "mission_000000000.jsonl"
        journal.write_bytes(journal.read_bytes().replace(b'"mission_number":9,', b'"x":9,'))
        with nothing_changes(tmp_path):
            report = await verify_run(tmp_path, mission=mission, repair=True)
        assert not report.holds
        assert "line 10: expected mission 9" in str(report.differences[0])

    async def test_an_impossible_sample_is_refused(self, tmp_path: Path) -> None:
        """A percentage, from 0 to 100."""
        for sample in (-1, 101, float("nan")):
            with pytest.raises(ConfigError, match="a percentage"):
                await verify_run(tmp_path, sample=sample)


class TestTheCommand:
    """`python -m synexs_async verify` and `digest`."""

    def test_from_a_run_to_a_mended_run(self, command: Command, tmp_path: Path) -> None:
        """Exit code 0 when all holds, 1 with the differences, 2 where there is no run."""
        folder = tmp_path / "run"
        assert command.run("--missions", 100, "--output", folder).returncode == 0
        before = data_set(folder)
        digest = index_of(folder)["dataset_sha256"]
        finished = command.run("verify", folder, "--all")
        assert (0, "") == (finished.returncode, finished.stderr)
        assert "100 missions again" in finished.stdout
        assert digest in finished.stdout

        finished = command.run("digest", folder)
        assert (0, f"{digest}\n", "") == (finished.returncode, finished.stdout, finished.stderr)

        journal = folder / "missions" / "mission_000000000.jsonl"
        change_line(journal, 18, b'"latency_ms":', b'"latency_ms":1')
        finished = command.run("verify", folder, "--sample", 5)
        assert (1, "") == (finished.returncode, finished.stderr)
        place = "missions/mission_000000000.jsonl, line 18, communications[0].latency_ms: expected"
        assert f"differs: {place}" in finished.stdout

        finished = command.run("verify", folder, "--repair")
        assert (0, "") == (finished.returncode, finished.stderr)
        assert "mended: missions/mission_000000000.jsonl: written again, 1 of" in finished.stdout
        assert before == data_set(folder)

    @pytest.mark.parametrize("options", [("verify",), ("verify", "--repair"), ("digest",)])
    def test_bad_input_is_one_line(
        self, options: tuple[str, ...], command: Command, tmp_path: Path
    ) -> None:
        """No folder, a file, no run, a torn run.json: exit code 2, and nothing is changed."""
        name, *others = options
        (tmp_path / "file").write_text("")
        (tmp_path / "empty").mkdir()
        (tmp_path / "torn").mkdir()
        (tmp_path / "torn" / "run.json").write_text("{")
        with nothing_changes(tmp_path):
            for folder in ("nowhere", "file", "empty", "torn"):
                finished = command.run(name, tmp_path / folder, *others)
                assert (2, "") == (finished.returncode, finished.stdout)
                (line,) = finished.stderr.splitlines()
                assert f"{tmp_path / folder}: " in line

    def test_a_digest_needs_a_complete_run(self, command: Command, tmp_path: Path) -> None:
        """One line, exit code 2."""
        with a_run(27, 12, finish=False) as layout:
            write_run_file(layout)
            finished = command.run("digest", layout.folder.path)
        assert (2, "") == (finished.returncode, finished.stdout)
        assert "is not complete: 12 missions so far" in finished.stderr


def data_set_of(files: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """Return the data set among files."""
    return {
        name: content
        for name, content in files.items()
        if name.startswith(("missions/", "batches/")) and not name.endswith(".json")
    }


def _is_only_a_time(content: bytes, damaged: bytes) -> bool:
    """Whether just what stands outside of all digests differs: a time, and a GPU."""
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
    end = position = 0
    for line in content.splitlines(keepends=True):
        position += len(line)
        entry = decode_line(line)
        assert entry is not None
        if entry.end <= missions:
            end = position
    return end


def change_line(file: Path, number: int, old: bytes, new: bytes) -> None:
    """Change the first `old` in a line to `new`."""
    lines = file.read_bytes().splitlines(keepends=True)
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    file.write_bytes(b"".join(lines))


def cut_journal(layout: Layout, size: int) -> None:
    """Cut the journal to so many bytes over all of its files."""
    for file in sorted(layout.folder.missions.iterdir()):
        content = file.read_bytes()
        put(file, content[:size] if size else None)
        size -= min(size, len(content))


def tell_progress(layout: Layout, status: RunStatus, missions: int, stats: OutcomeCounts) -> None:
    """Write another progress file."""
    tell_that_it_is_complete(layout, missions)
    progress = read_progress(layout.folder.path)
    told = msgspec.structs.replace(progress, status=status, stats=stats)
    write_progress(layout.folder.progress, told)


def write_run_file(layout: Layout) -> None:
    """Write run.json."""
    content = msgspec.json.encode(RunFile(identity_of_tests(), "team"))
    layout.folder.run_file.write_bytes(content)


def write_as_another_build_would(layout: Layout) -> None:
    """Save all batches in another container, and let ledger, index and checkpoint speak of it."""
    index = index_of(layout.folder.path)
    last = [
        Entry(
            file=listed["file"],
            first=listed["first_mission"],
            missions=listed["rows"],
            size=listed["bytes"],
            sha256=listed["sha256"],
            content_sha256=listed.get("content_sha256", ""),
            rows=listed["rows"] if "content_sha256" in listed else 0,
        )
        for listed in (index["journal_files"][-1], index["batches"][-1])
    ]
    ledger = Ledger(layout.folder.ledger)
    ledger.replace([_saved_again(layout, entry) for entry in ledger.entries()])
    last = [_saved_again(layout, entry) for entry in last]
    digest = write_index(
        layout.folder,
        identity_of_tests(),
        missions=TOTAL,
        feature_names=MISSION.feature_names,
        label_names=OUTCOME_NAMES,
        last=last,
        created=TIME,
        cuda_available=False,
    )
    checkpoint = read_checkpoint(layout.folder.checkpoint)
    assert checkpoint is not None
    assert checkpoint.dataset_sha256 == digest
    write_checkpoint(
        layout.folder.checkpoint,
        msgspec.structs.replace(checkpoint, last_batch_size=last[1].size),
        timestamp=TIME,
        journal_file=layout.file(TOTAL).name,
        batch_size=layout.batch_size,
    )


def _saved_again(layout: Layout, entry: Entry) -> Entry:
    if not entry.is_batch:
        return entry
    file = layout.folder.path / entry.file
    torch.save(torch.load(file, weights_only=True), file)  # its name is in the bytes
    content = file.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return msgspec.structs.replace(entry, size=len(content), sha256=sha256)
