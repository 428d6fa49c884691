"""From a folder in any state to the data set of a run that was never interrupted."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builders import (
    BATCH_SIZE,
    MISSION,
    TIME,
    go_on,
    layout_in,
    missions,
    new_layout,
    nothing_changes,
    write_run,
)
from datasets import data_set, everything, index_of
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async import FolderError, JournalDamaged
from synexs_async.missions.statistics import Statistics
from synexs_async.storage.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from synexs_async.storage.files import temporary_path
from synexs_async.storage.journal import Layout, Mark
from synexs_async.storage.ledger import Ledger
from synexs_async.storage.recovery import Recovery, examine, repair

TOTAL = 33
LINES = missions(0, TOTAL).lines

Change = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Any]:
    """Give the data set and index of a run that nothing happened to."""
    known: dict[int, Any] = {}

    def of(total: int) -> Any:
        if total not in known:
            layout = layout_in(tmp_path_factory.mktemp("undisturbed"))
            write_run(layout, total, finish=True)
            known[total] = data_set(layout.folder.path), index_of(layout.folder.path)
        return known[total]

    return of


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Make an empty folder."""
    return layout_in(tmp_path)


def finished(layout: Layout, total: int = TOTAL) -> Any:
    """Take a run on to its end; return the data set and index that come of it."""
    go_on(layout, examine(layout, total), total)
    return data_set(layout.folder.path), index_of(layout.folder.path)


def change(file: Path, how: Change) -> None:
    """Damage a file."""
    file.write_bytes(how(file.read_bytes()))


def change_line(number: int, how: Change) -> Change:
    """Damage one line of a file, counted from 1."""

    def changed(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        lines[number - 1] = how(lines[number - 1])
        return b"".join(lines)

    return changed


def rewrite(layout: Layout, checkpoint: Checkpoint) -> None:
    """Write another checkpoint, its checksum right."""
    write_checkpoint(
        layout.folder.checkpoint,
        checkpoint,
        timestamp=TIME,
        journal_file="mission_000000020.jsonl",
        batch_size=BATCH_SIZE,
    )


def garble(line: bytes) -> bytes:
    """Make a line no record, without changing its length."""
    return b"#" + line[1:]


def found(layout: Layout, total: int = TOTAL) -> Recovery:
    """Examine a folder, which must not change it."""
    with nothing_changes(layout.folder.path):
        return examine(layout, total)


class TestAnyCrash:
    """Whatever a kill, a full disk or a power cut leaves."""

    @settings(max_examples=50, deadline=None)
    @given(data=st.data())
    def test_a_resumed_run_is_like_one_that_was_never_interrupted(
        self, data: st.DataObject, undisturbed: Callable[[int], Any]
    ) -> None:
        """No record in the journal is lost, and the data set comes out byte for byte the same."""
        count = data.draw(st.integers(0, TOTAL), "missions")
        saved = data.draw(st.none() | st.integers(0, count), "checkpoint at")
        with new_layout() as layout:
            write_run(layout, count, saved)
            ends = [0, *accumulate(map(len, LINES[:count]))]
            size = data.draw(st.integers(ends[saved or 0], ends[-1]) | st.just(ends[-1]), "journal")
            cut_journal(layout, size)
            cut_ledger(layout, data)
            for file in sorted(layout.folder.batches.iterdir()):
                fate = data.draw(st.sampled_from(["stays", "stays", "goes", "shrinks", "grows"]))
                damage_batch(file, fate)
            for folder in (layout.folder.path, layout.folder.missions, layout.folder.batches):
                if data.draw(st.booleans(), "temporary file"):
                    temporary_path(folder / "torn").write_bytes(b"torn")

            recovery = found(layout)

            assert sum(end <= size for end in ends[1:]) == recovery.extent.missions
            assert (saved or 0) == recovery.checkpoint.mark.missions
            assert undisturbed(TOTAL) == finished(layout)
            assert not [name for name in everything(layout.folder.path) if name.endswith(".tmp")]

    @settings(max_examples=20, deadline=None)
    @given(totals=st.lists(st.integers(1, TOTAL), min_size=2, max_size=4).map(sorted))
    def test_a_run_may_be_extended_again_and_again(
        self, totals: list[int], undisturbed: Callable[[int], Any]
    ) -> None:
        """`--missions 1000` and then `--missions 2000` equals `--missions 2000`."""
        with new_layout() as layout:
            for total in totals:
                if not examine(layout, total).complete:
                    assert undisturbed(total) == finished(layout, total)


class TestFresh:
    """A folder in which nothing has happened yet."""

    def test_there_is_nothing_to_go_on_from(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """A new run starts at mission 0, and nobody is warned of anything."""
        recovery = found(layout)

        assert Checkpoint(Mark(), Statistics()) == recovery.checkpoint
        assert (0, 0, "") == (
            *(recovery.extent.missions, recovery.extent.offset, recovery.extent.problem),
        )
        assert [] == recovery.warnings
        assert not recovery.complete
        assert undisturbed(TOTAL) == finished(layout)


class TestInterrupted:
    """A run that was told to stop, or killed."""

    @pytest.mark.parametrize("count", [4, 10, 20, 23])
    def test_a_stopped_run_goes_on_at_its_checkpoint(
        self, layout: Layout, count: int, undisturbed: Callable[[int], Any]
    ) -> None:
        """A run that ended in order is taken on without a warning, and nothing is done twice."""
        write_run(layout, count, count)

        recovery = found(layout)

        assert read_checkpoint(layout.folder.checkpoint) == recovery.checkpoint
        assert (count, count) == (recovery.checkpoint.mark.missions, recovery.extent.missions)
        assert ([], [], []) == (
            *(recovery.missing_batches, recovery.missing_entries, recovery.warnings),
        )
        assert not recovery.ledger_is_stale
        assert undisturbed(TOTAL) == finished(layout)

    def test_records_ahead_of_the_checkpoint_are_kept(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """A mission whose record is in the journal is never simulated again."""
        write_run(layout, 25, 12)

        recovery = found(layout)

        assert (12, 25) == (recovery.checkpoint.mark.missions, recovery.extent.missions)
        assert [] == recovery.warnings
        repair(layout, recovery)
        assert b"".join(LINES[:25]) == journal_of(layout)
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize("kept", [1, 200, -1])
    @pytest.mark.parametrize("count", [14, 20])
    def test_a_torn_line_is_cut_off_and_told(
        self, layout: Layout, count: int, kept: int, undisturbed: Callable[[int], Any]
    ) -> None:
        """A line without its end was never committed; the warning names file and line."""
        write_run(layout, count, 12)
        with layout.file(count).open("ab") as file:
            file.write(LINES[count][:kept])

        recovery = found(layout)

        assert count == recovery.extent.missions
        place = f"{layout.file(count)}, line {count % 10 + 1}"
        assert [f"{place}: the line is torn; cut off from there"] == recovery.warnings
        repair(layout, recovery)
        assert b"".join(LINES[:count]) == journal_of(layout)
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize("bad", [12, 14, 19, 20, 24])
    def test_a_bad_line_ahead_of_the_checkpoint_is_cut_off_with_all_behind_it(
        self, layout: Layout, bad: int, undisturbed: Callable[[int], Any]
    ) -> None:
        """A power cut may take lines in the middle of what was not flushed."""
        write_run(layout, 25, 12)
        change(layout.file(bad), change_line(bad % 10 + 1, garble))

        recovery = found(layout)

        assert bad == recovery.extent.missions
        assert 1 == len(recovery.warnings)
        assert recovery.warnings[0].startswith(f"{layout.file(bad)}, line {bad % 10 + 1}: ")
        repair(layout, recovery)
        assert b"".join(LINES[:bad]) == journal_of(layout)
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize("bad", [12, 19, 20, 24])
    @pytest.mark.parametrize(
        ("there", "instead"),
        [
            (b'"training_label":', b'"training_lapel":'),
            (b'"training_label":', b'"training_label":7'),
            (b'"duration":', b'"duration":-1e308,"durat":'),
        ],
    )
    def test_a_record_ahead_of_the_checkpoint_that_is_none_of_the_kind_is_cut_off(
        self,
        layout: Layout,
        there: bytes,
        instead: bytes,
        bad: int,
        undisturbed: Callable[[int], Any],
    ) -> None:
        """Valid JSON with the right index may still be no record that can be read."""
        write_run(layout, 25, 12)
        change(
            layout.file(bad),
            change_line(bad % 10 + 1, lambda line: line.replace(there, instead, 1)),
        )

        with nothing_changes(layout.folder.path):
            recovery = examine(layout, TOTAL, MISSION)

        assert bad == recovery.extent.missions
        assert f"line {bad % 10 + 1}: record {bad} is not valid: " in recovery.warnings[0]
        go_on(layout, recovery, TOTAL)
        assert undisturbed(TOTAL) == (data_set(layout.folder.path), index_of(layout.folder.path))

    @pytest.mark.parametrize("waiting", [8, 9])
    @pytest.mark.parametrize("damage", [garble, lambda line: line.replace(b"status", b"stains")])
    def test_a_damaged_record_that_waits_for_a_batch_is_refused_by_name(
        self, layout: Layout, waiting: int, damage: Change
    ) -> None:
        """It would be the first to be read, in the middle of the run."""
        write_run(layout, 11, 11)
        change(layout.file(waiting), change_line(waiting + 1, damage))

        with nothing_changes(layout.folder.path), pytest.raises(JournalDamaged) as caught:
            examine(layout, TOTAL, MISSION)

        assert layout.file(waiting) == caught.value.file

    @pytest.mark.parametrize("missing", [None, 0])
    def test_batches_are_never_made_of_records_whose_numbers_were_changed(
        self, layout: Layout, missing: int | None
    ) -> None:
        """The file's digest tells, whether the records wait for a batch or one is made again."""
        write_run(layout, 11, 11)
        place = 9
        if missing is not None:
            layout.folder.batch_file(missing).unlink()
            place = 2
        change(
            layout.file(0),
            change_line(place + 1, lambda line: line.replace(b'"hosts":1', b'"hosts":2')),
        )
        assert LINES[place] not in journal_of(layout)

        with nothing_changes(layout.folder.path), pytest.raises(JournalDamaged) as caught:
            examine(layout, TOTAL)

        assert (layout.file(0), "the bytes are not those that were committed") == (
            *(caught.value.file, caught.value.problem),
        )

    def test_a_file_ahead_of_the_checkpoint_may_be_gone(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """A power cut may take a whole file that was not flushed, and leave a later one."""
        write_run(layout, 25, 7)
        layout.file(10).unlink()

        assert found(layout).extent.missions == 10
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize(
        ("count", "saved"), [(10, None), (10, 4), (10, 10), (12, None), (12, 4), (12, 12)]
    )
    @pytest.mark.parametrize("surplus", [b"{torn", LINES[3], LINES[10]])
    def test_a_full_file_that_goes_on_is_refused_by_name(
        self, layout: Layout, surplus: bytes, count: int, saved: int | None
    ) -> None:
        """No crash leaves lines behind the last one of a file, so a person has to look."""
        write_run(layout, count, saved)
        with layout.file(0).open("ab") as file:
            file.write(surplus)

        with nothing_changes(layout.folder.path), pytest.raises(JournalDamaged) as caught:
            examine(layout, TOTAL)

        assert (layout.file(0), 11) == (caught.value.file, caught.value.line)


class TestCheckpoint:
    """A checkpoint that is missing, or not to be trusted."""

    def test_a_missing_checkpoint_costs_no_data(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """The whole journal is read in its place, and a warning says so."""
        write_run(layout, 25, 25)
        layout.folder.checkpoint.unlink()

        recovery = found(layout)

        assert (0, 25) == (recovery.checkpoint.mark.missions, recovery.extent.missions)
        assert 1 == len(recovery.warnings)
        assert "no checkpoint to go on from" in recovery.warnings[0]
        assert "25 missions" in recovery.warnings[0]
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: b"",
            lambda content: content[:100],
            lambda content: b"\x00" * len(content),
            lambda content: content.replace(
                b'"missions_completed": 25', b'"missions_completed": 5'
            ),
        ],
        ids=["empty", "torn", "zeros", "another number"],
    )
    def test_a_corrupt_checkpoint_costs_no_data(
        self, layout: Layout, damage: Change, undisturbed: Callable[[int], Any]
    ) -> None:
        """It is not trusted in any part, and a warning says why."""
        write_run(layout, 25, 25)
        before = layout.folder.checkpoint.read_bytes()
        change(layout.folder.checkpoint, damage)
        assert before != layout.folder.checkpoint.read_bytes()

        recovery = found(layout)

        assert (0, 25) == (recovery.checkpoint.mark.missions, recovery.extent.missions)
        assert recovery.warnings[0].startswith("checkpoint.json ")
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize(
        ("lie", "told"),
        [
            ({"missions": 24}, "the journal: expected mission 23, found 24"),
            ({"missions": 26}, "the journal: expected mission 25, found 24"),
            ({"batch_offset": 1}, "the journal: the line is no record"),
            ({"batch_offset": 0}, "the journal: expected mission 24, found 20"),
        ],
    )
    def test_a_checkpoint_that_contradicts_the_journal_costs_no_data(
        self, layout: Layout, lie: dict[str, int], told: str, undisturbed: Callable[[int], Any]
    ) -> None:
        """Its checksum may be right all the same; to believe it would cut off records."""
        write_run(layout, 25, 25)
        checkpoint = read_checkpoint(layout.folder.checkpoint)
        assert checkpoint is not None
        mark = msgspec.structs.replace(checkpoint.mark, **lie)
        counted = msgspec.structs.replace(
            checkpoint.statistics, error_count=mark.missions - 25, success_count=0
        )
        counted.error_count += checkpoint.statistics.success_count
        rewrite(layout, msgspec.structs.replace(checkpoint, mark=mark, statistics=counted))

        recovery = found(layout)

        assert (0, 25) == (recovery.checkpoint.mark.missions, recovery.extent.missions)
        assert recovery.warnings[0].startswith(f"checkpoint.json contradicts {told}")
        assert undisturbed(TOTAL) == finished(layout)

    def test_a_checkpoint_that_contradicts_itself_costs_no_data(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """It counts other missions than it speaks of."""
        write_run(layout, 25, 25)
        checkpoint = read_checkpoint(layout.folder.checkpoint)
        assert checkpoint is not None
        rewrite(layout, msgspec.structs.replace(checkpoint, statistics=Statistics()))

        assert found(layout).warnings[0].startswith("checkpoint.json contradicts itself")
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize("damaged", [0, 9, 10, 23])
    def test_without_a_checkpoint_valid_records_are_never_cut_off(
        self, layout: Layout, damaged: int
    ) -> None:
        """Damage with records behind it is refused, by file and line: a copy may save them."""
        write_run(layout, 25, 25)
        layout.folder.checkpoint.write_bytes(b"torn")
        change(layout.file(damaged), change_line(damaged % 10 + 1, garble))

        with nothing_changes(layout.folder.path), pytest.raises(JournalDamaged) as caught:
            examine(layout, TOTAL)

        assert (layout.file(damaged), damaged % 10 + 1) == (caught.value.file, caught.value.line)


class TestBatches:
    """Batches behind the checkpoint that are not what they were."""

    @pytest.mark.parametrize("fate", ["goes", "shrinks", "grows"])
    @pytest.mark.parametrize("numbers", [[0], [3], [5], [0, 2, 5], range(6)])
    def test_batches_that_are_gone_or_damaged_are_made_again(
        self, layout: Layout, fate: str, numbers: list[int], undisturbed: Callable[[int], Any]
    ) -> None:
        """A batch whose file is missing, or has another size, is made from the journal."""
        write_run(layout, 25, 25)
        for number in numbers:
            damage_batch(layout.folder.batch_file(number), fate)

        recovery = found(layout)

        assert list(numbers) == recovery.missing_batches
        assert 1 == len(recovery.warnings)
        first = layout.folder.batch_file(numbers[0]).name
        assert recovery.warnings[0].startswith(f"{len(numbers)} batches are missing or damaged")
        assert first in recovery.warnings[0]
        assert undisturbed(TOTAL) == finished(layout)

    def test_batches_that_are_made_again_are_to_be_flushed_again(self, layout: Layout) -> None:
        """The next checkpoint vouches for them too."""
        write_run(layout, 25, 25)
        assert found(layout).first_unsure(layout) == 25

        for number in (2, 4):
            damage_batch(layout.folder.batch_file(number), "goes")

        assert found(layout).first_unsure(layout) == 8

    def test_batches_ahead_of_the_checkpoint_are_written_again(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """They may not have come to the disk, so their files count for nothing."""
        write_run(layout, 25, 12)
        for number in range(12 // BATCH_SIZE, 6):
            damage_batch(layout.folder.batch_file(number), "shrinks")

        recovery = found(layout)

        assert ([], []) == (recovery.missing_batches, recovery.warnings)
        assert undisturbed(TOTAL) == finished(layout)


class TestLedger:
    """A ledger that is gone, or not to be trusted."""

    def test_a_ledger_that_is_gone_is_made_again(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """Digests of journal files are taken again, and batches written again."""
        write_run(layout, 25, 25)
        entries = list(Ledger(layout.folder.ledger).entries())
        layout.folder.ledger.unlink()

        recovery = found(layout)

        assert list(range(6)) == recovery.missing_batches
        journal_files = [entry for entry in entries if not entry.is_batch]
        assert journal_files == recovery.missing_entries
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize("number", range(8))
    def test_a_garbled_entry_costs_its_own_file_alone(
        self, layout: Layout, number: int, undisturbed: Callable[[int], Any]
    ) -> None:
        """Just the file of the line that can't be read is done again."""
        write_run(layout, 25, 25)
        entry = list(Ledger(layout.folder.ledger).entries())[number]
        change(layout.folder.ledger, change_line(number + 1, garble))

        recovery = found(layout)

        if entry.is_batch:
            assert [entry.first // BATCH_SIZE] == recovery.missing_batches
            assert [] == recovery.missing_entries
        else:
            assert [entry] == recovery.missing_entries
            assert [] == recovery.missing_batches
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize(
        "tear",
        [
            lambda content: content + b"{",
            lambda content: content + content[:100],
            lambda content: content + b"\x00" * 100,
            lambda content: content[:-1],
            lambda content: content[:-9],
        ],
        ids=["a byte", "most of a line", "zeros", "all but the line's end", "an entry torn"],
    )
    def test_a_torn_last_line_does_not_swallow_the_next_entry(
        self, layout: Layout, tear: Change, undisturbed: Callable[[int], Any]
    ) -> None:
        """After a full disk or a power cut, new entries start on a line of their own."""
        write_run(layout, 24, 24)
        change(layout.folder.ledger, tear)

        assert undisturbed(TOTAL) == finished(layout)

    def test_entries_ahead_of_the_checkpoint_are_not_trusted(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """They are made again with their files, and never stand in the ledger twice."""
        write_run(layout, 25, 12)

        recovery = found(layout)
        repair(layout, recovery)

        entries = list(Ledger(layout.folder.ledger).entries())
        assert {0, 4, 8} == {entry.first for entry in entries if entry.is_batch}
        assert {0} == {entry.first for entry in entries if not entry.is_batch}
        assert undisturbed(TOTAL) == finished(layout)

    def test_entries_that_stand_there_twice_or_out_of_order_do_no_harm(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """Each file comes into the index once, in its place."""
        write_run(layout, 25, 25)
        change(
            layout.folder.ledger,
            lambda content: b"".join(sorted(content.splitlines(keepends=True), reverse=True) * 2),
        )

        assert undisturbed(TOTAL) == finished(layout)


class TestDamage:
    """Committed records that are gone or unreadable: no crash does that."""

    @pytest.mark.parametrize(
        ("first", "damage", "line", "problem"),
        [
            (20, change_line(3, garble), 3, "the line is no record"),
            (20, change_line(5, garble), 5, "the line is no record"),
            (20, lambda content: content[: len(LINES[20]) + 9], 2, "the line is torn"),
            (20, lambda content: content[: len(LINES[20])], 2, "the line is missing"),
            (20, lambda content: b"", 1, "the line is missing"),
            (20, change_line(2, lambda line: b""), 2, "expected mission 21, found 22"),
            (20, lambda c: c.replace(b'"hosts":1', b'"hosts":2', 1), None, "the bytes are not"),
            (10, lambda content: content[: len(LINES[10]) + 9], 2, "the line is torn"),
            (10, lambda content: content[: len(LINES[10])], 2, "the line is missing"),
            (10, change_line(8, lambda line: b""), 8, "expected mission 17, found 18"),
            (0, change_line(1, lambda line: line + line), 2, "expected mission 1, found 0"),
            (0, change_line(4, lambda line: line[:-1]), 4, "the line is no record"),
        ],
    )
    def test_damage_behind_the_checkpoint_is_refused_by_file_and_line(
        self, layout: Layout, first: int, damage: Change, line: int | None, problem: str
    ) -> None:
        """Nothing is cut off that was committed, and a person is told where to look."""
        write_run(layout, 27, 25)
        before = layout.file(first).read_bytes()
        change(layout.file(first), damage)
        assert before != layout.file(first).read_bytes()

        with nothing_changes(layout.folder.path), pytest.raises(JournalDamaged) as caught:
            examine(layout, TOTAL)

        assert (layout.file(first), line) == (caught.value.file, caught.value.line)
        assert caught.value.problem.startswith(problem)

    @pytest.mark.parametrize("first", [0, 10, 20])
    def test_a_journal_file_that_is_gone_is_refused_by_name(
        self, layout: Layout, first: int
    ) -> None:
        """A deleted file is not taken for a run that has not come so far."""
        write_run(layout, 27, 25)
        layout.file(first).unlink()

        with nothing_changes(layout.folder.path), pytest.raises(JournalDamaged) as caught:
            examine(layout, TOTAL)

        assert (layout.file(first), None) == (caught.value.file, caught.value.line)
        assert caught.value.problem.startswith("the file is missing")

    def test_the_message_says_what_can_be_done(self, layout: Layout) -> None:
        """Mend it, restore the file, or start anew: the user has the choice."""
        write_run(layout, 27, 25)
        change(layout.file(20), change_line(3, garble))

        with pytest.raises(JournalDamaged) as caught:
            examine(layout, TOTAL)

        message = str(caught.value)
        assert message.startswith(f"{layout.file(20)}, line 3: the line is no record")
        repair = f"Mend it with `python -m synexs_async verify {layout.folder.path} --repair`, "
        assert f"{repair}restore the file from a copy, or add --no-resume" in message


class TestComplete:
    """A run that has come to its end."""

    @pytest.mark.parametrize("count", [1, 4, 20, 23])
    def test_a_complete_run_is_known_as_such(self, layout: Layout, count: int) -> None:
        """The same command again, or one that asks for fewer missions, has nothing to do."""
        write_run(layout, count, finish=True)

        for asked in {1, count}:
            recovery = found(layout, asked)
            assert recovery.complete
            assert [] == recovery.warnings
            with nothing_changes(layout.folder.path):
                repair(layout, recovery)

    def test_a_run_that_was_stopped_at_its_last_mission_is_not_complete(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """All records alone are not a data set: the index is written first."""
        write_run(layout, TOTAL, TOTAL)

        assert not found(layout).complete
        assert undisturbed(TOTAL) == finished(layout)

    def test_a_complete_run_can_be_extended(
        self, layout: Layout, undisturbed: Callable[[int], Any]
    ) -> None:
        """While it grows there is no index, which would speak of fewer missions."""
        write_run(layout, 23, finish=True)

        recovery = found(layout)

        assert not recovery.complete
        assert [] == recovery.warnings
        repair(layout, recovery)
        assert not layout.folder.index.exists()
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize(
        "part", ["training_index.json", "batch_000008.pt", "batch_000000.pt", "batch_000007.pt"]
    )
    def test_a_complete_run_that_lost_a_file_is_completed_again(
        self, layout: Layout, part: str, undisturbed: Callable[[int], Any]
    ) -> None:
        """Index and batches are made again from the journal, the last, short one too."""
        write_run(layout, TOTAL, finish=True)
        (layout.folder.batches / part).unlink()

        assert not found(layout).complete
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize("number", [0, 8])
    @pytest.mark.parametrize("fate", ["shrinks", "grows"])
    def test_a_complete_run_with_a_batch_of_another_size_is_completed_again(
        self, layout: Layout, fate: str, number: int, undisturbed: Callable[[int], Any]
    ) -> None:
        """That holds for the last, short batch too."""
        write_run(layout, TOTAL, finish=True)
        damage_batch(layout.folder.batch_file(number), fate)

        assert not found(layout).complete
        assert undisturbed(TOTAL) == finished(layout)

    @pytest.mark.parametrize("told", [b"", b"torn", b'"status":"running"'])
    def test_a_run_of_which_monitors_do_not_know_that_it_is_complete_is_not(
        self, layout: Layout, told: bytes, undisturbed: Callable[[int], Any]
    ) -> None:
        """A kill between the last checkpoint and progress.json leaves no monitor waiting."""
        write_run(layout, TOTAL, finish=True)
        before = layout.folder.progress.read_bytes()
        change(
            layout.folder.progress,
            lambda content: content.replace(b'"status":"completed"', told) if told else told,
        )
        assert before != layout.folder.progress.read_bytes()

        assert not found(layout).complete
        assert undisturbed(TOTAL) == finished(layout)
        assert found(layout).complete

    def test_a_run_with_more_missions_than_asked_for_is_refused(self, layout: Layout) -> None:
        """A run can grow, but not shrink; the message says how to go on."""
        write_run(layout, 25, 12)

        with nothing_changes(layout.folder.path), pytest.raises(FolderError) as caught:
            examine(layout, 24)

        assert layout.folder.path == caught.value.folder
        assert caught.value.problem == (
            "holds 25 missions already; ask for at least as many with --missions, or add "
            "--no-resume to start anew"
        )


class TestLeftOvers:
    """What writers that were killed leave behind."""

    def test_temporary_files_are_removed_and_told(self, layout: Layout) -> None:
        """Nobody has to clean up by hand."""
        write_run(layout, 12, 12)
        before = everything(layout.folder.path)
        folder = layout.folder
        for path in (folder.progress, folder.checkpoint, folder.batch_file(0), folder.index):
            temporary_path(path).write_bytes(b"torn")

        recovery = found(layout)

        assert ["4 left-over temporary files removed"] == recovery.warnings
        repair(layout, recovery)
        assert before == everything(folder.path)

    @pytest.mark.parametrize("name", ["notes.tmp", ".notes.tmp", "missions/mine.txt"])
    def test_files_of_somebody_else_are_left_alone(self, layout: Layout, name: str) -> None:
        """What the run did not write, it does not remove."""
        write_run(layout, 12, 12)
        (layout.folder.path / name).write_bytes(b"mine")

        recovery = found(layout)

        assert [] == recovery.warnings
        with nothing_changes(layout.folder.path):
            repair(layout, recovery)

    def test_looking_for_them_takes_no_memory_for_each_file(self, layout: Layout) -> None:
        """A large run has millions of batches."""
        count = 2000
        for number in range(count):
            layout.folder.batch_file(number).touch()

        tracemalloc.start()
        try:
            repair(layout, examine(layout, TOTAL))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert most < count * 100

    def test_repairing_twice_is_like_repairing_once(self, layout: Layout) -> None:
        """A start that is killed while it clears away is made good by the next one."""
        write_run(layout, 25, 12)
        temporary_path(layout.folder.progress).write_bytes(b"torn")
        change(layout.file(14), change_line(5, garble))
        recovery = found(layout)
        repair(layout, recovery)

        with nothing_changes(layout.folder.path):
            repair(layout, recovery)
            again = examine(layout, TOTAL)
        assert [] == again.warnings
        assert (14, 12) == (again.extent.missions, again.checkpoint.mark.missions)


def journal_of(layout: Layout) -> bytes:
    """Return all lines of the journal."""
    return b"".join(file.read_bytes() for file in sorted(layout.folder.missions.iterdir()))


def cut_journal(layout: Layout, size: int) -> None:
    """Let the whole journal end after so many bytes."""
    for file in sorted(layout.folder.missions.iterdir()):
        kept = min(file.stat().st_size, size)
        size -= kept
        if kept:
            change(file, lambda content, kept=kept: content[:kept])  # type: ignore[misc]
        else:
            file.unlink()


def cut_ledger(layout: Layout, data: st.DataObject) -> None:
    """Let the ledger end anywhere, perhaps in the middle of a line."""
    if layout.folder.ledger.exists():
        size = layout.folder.ledger.stat().st_size
        kept = data.draw(st.just(size) | st.integers(0, size), "ledger")
        change(layout.folder.ledger, lambda content: content[:kept])


def damage_batch(file: Path, fate: str) -> None:
    """Do something to a batch."""
    match fate:
        case "goes":
            file.unlink()
        case "shrinks":
            change(file, lambda content: content[: len(content) // 2])
        case "grows":
            change(file, lambda content: content + b"x")
