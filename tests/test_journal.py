"""The journal: appended to in blocks of any size, cut anywhere, read again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path
from typing import get_args

import pytest
from builders import MISSION, SEED, layout_in, missions, missions_with_errors, new_layout, split
from datasets import everything
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async import Block, FolderError, JournalDamaged, RunConfig, read_journal
from synexs_async.config import MissionFiles, identity_of
from synexs_async.missions.failed import error_block, is_error, read_block
from synexs_async.missions.mission import ERROR_OUTCOME
from synexs_async.missions.simulation import Raised
from synexs_async.storage.folder import (
    MISSIONS_PER_FILE,
    RunFile,
    RunFolder,
    acquire,
    adopt,
    settle,
)
from synexs_async.storage.journal import (
    Extent,
    JournalReader,
    JournalWriter,
    Layout,
    Mark,
    cut,
    digest_file,
    digest_of_beginning,
    measure,
    offset_of,
    read_lines,
)
from synexs_async.storage.ledger import Entry

COUNT = 35
BLOCK = missions(0, COUNT)
borders = st.sets(st.integers(1, COUNT - 1), max_size=12)
places = st.integers(0, COUNT)


def write(layout: Layout, blocks: Iterable[Block], mark: Mark | None = None) -> list[Entry]:
    """Append blocks; return the entries of all files, the last one's too."""
    writer = JournalWriter(layout, mark or Mark())
    entries = [entry for block in blocks for entry in writer.append(block)]
    if last := writer.last_file():
        entries.append(last)
    writer.close()
    return entries


def marks_of(layout: Layout, blocks: Iterable[Block]) -> dict[int, Mark]:
    """Append blocks; return the mark behind each, by its missions."""
    writer = JournalWriter(layout, Mark())
    marks = {0: writer.mark}
    for block in blocks:
        writer.append(block)
        marks[block.end] = writer.mark
    writer.close()
    return marks


def mark_at(layout: Layout, missions: int) -> Mark:
    """Work a mark out from its definition."""
    start = layout.file_start(missions)
    before = b"".join(BLOCK.lines[start:missions])
    waiting = layout.batch_start(missions)
    return Mark(
        missions,
        len(before),
        hashlib.sha256(before).hexdigest(),
        sum(map(len, BLOCK.lines[layout.file_start(waiting) : waiting])),
    )


def place_of(layout: Layout, missions: int) -> tuple[int, int, str, int, bool]:
    """Return the clean extent behind so many missions."""
    return missions, mark_at(layout, missions).offset, "", missions % 10 + 1, False


def told(extent: Extent) -> tuple[int, int, str, int, bool]:
    """Return what an extent says."""
    return extent.missions, extent.offset, extent.problem, extent.line, extent.valid_follows


class TestWriting:
    """Appending blocks."""

    def test_files_hold_a_fixed_number_of_lines_and_are_named_by_their_first_mission(
        self, tmp_path: Path
    ) -> None:
        """A mission's file, and its line in it, follow from its index."""
        layout = layout_in(tmp_path)

        write(layout, [BLOCK])

        expected = {
            f"mission_{first:09d}.jsonl": b"".join(BLOCK.lines[first : first + 10])
            for first in (0, 10, 20, 30)
        }
        assert expected == everything(layout.folder.missions)

    @settings(max_examples=40, deadline=None)
    @given(borders, st.sampled_from([1, 3, 10, 40]))
    def test_files_and_entries_do_not_depend_on_blocks(
        self, borders: set[int], per_file: int
    ) -> None:
        """The journal's bytes, and what the ledger says of them, are the same for any blocks."""
        with new_layout(per_file) as one, new_layout(per_file) as other:
            expected = write(one, [BLOCK]), everything(one.folder.path)

            assert expected == (write(other, split(BLOCK, borders)), everything(other.folder.path))

    @settings(max_examples=40, deadline=None)
    @given(borders, st.integers(1, 12), st.integers(1, 12))
    def test_marks_say_where_the_journal_stands(
        self, borders: set[int], per_file: int, batch_size: int
    ) -> None:
        """A mark depends on the missions before it alone: file, digest, what waits for a batch."""
        with new_layout(per_file, batch_size) as layout:
            marks = marks_of(layout, split(BLOCK, borders))

            assert {missions: mark_at(layout, missions) for missions in marks} == marks

    @settings(max_examples=40, deadline=None)
    @given(borders, borders)
    def test_passing_over_records_is_like_appending_them(
        self, borders: set[int], others: set[int]
    ) -> None:
        """Records that are there already are entered and marked as new ones are."""
        with new_layout() as layout:
            written = write(layout, split(BLOCK, borders))
            before = everything(layout.folder.path)
            writer = JournalWriter(layout, Mark())

            passed = [e for block in split(BLOCK, others) for e in writer.pass_over(block)]

            last = writer.last_file()
            assert written == [*passed, *([last] if last else [])]
            assert mark_at(layout, COUNT) == writer.mark
            assert before == everything(layout.folder.path)

    @settings(max_examples=40, deadline=None)
    @given(st.sets(places, max_size=3), borders)
    def test_a_writer_goes_on_behind_any_mark(self, stops: set[int], borders: set[int]) -> None:
        """A run that is stopped and taken on writes the same bytes, marks and entries."""
        with new_layout() as one, new_layout() as other:
            expected = write(one, [BLOCK]), everything(one.folder.path)
            entries: list[Entry] = []
            mark, last = Mark(), None
            for session in split(BLOCK, stops):
                writer = JournalWriter(other, mark)
                for block in split(session, {b for b in borders if b < len(session)}):
                    entries += writer.append(block)
                mark, last = writer.mark, writer.last_file()
                writer.close()

            assert last is not None
            assert expected == ([*entries, last], everything(other.folder.path))
            assert mark_at(other, COUNT) == mark

    def test_what_recovery_has_read_is_not_read_again(self, tmp_path: Path) -> None:
        """The file that a run goes on with may be large."""
        layout = layout_in(tmp_path)
        mark = marks_of(layout, [BLOCK])[COUNT]
        digest = digest_of_beginning(layout.file(COUNT), mark.offset)
        layout.file(COUNT).unlink()

        assert mark == JournalWriter(layout, mark, digest).mark

    def test_no_record_is_left_out_or_written_twice(self, tmp_path: Path) -> None:
        """A block that does not follow on the last one is refused, and nothing is written."""
        layout = layout_in(tmp_path)
        writer = JournalWriter(layout, Mark())
        writer.append(BLOCK[:5])
        before = everything(tmp_path)

        for wrong in (BLOCK[4:8], BLOCK[6:8], BLOCK[:5]):
            with pytest.raises(ValueError, match=f"expected mission 5 next, not {wrong.first}"):
                writer.append(wrong)
        writer.close()

        assert before == everything(tmp_path)

    def test_a_file_that_is_full_is_entered_with_its_digest(self, tmp_path: Path) -> None:
        """The ledger's entry of a journal file is its name, missions, size and SHA-256."""
        layout = layout_in(tmp_path)

        entries = write(layout, [BLOCK[:15]])

        contents = [b"".join(BLOCK.lines[:10]), b"".join(BLOCK.lines[10:15])]
        expected = [
            Entry(
                file=f"missions/mission_{first:09d}.jsonl",
                first=first,
                missions=count,
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            )
            for first, count, content in zip((0, 10), (10, 5), contents, strict=True)
        ]
        assert expected == entries
        assert entries[0] == digest_file(layout, 0)


class TestCutting:
    """A journal that ends anywhere: what a kill, a full disk or a power cut leaves."""

    @settings(max_examples=80, deadline=None)
    @given(st.data())
    def test_cut_at_any_byte_just_whole_lines_are_kept_and_the_rest_is_written_again(
        self, data: st.DataObject
    ) -> None:
        """Wherever a journal ends, no whole record is lost, and it goes on with the same bytes."""
        with new_layout() as layout:
            marks = marks_of(layout, split(BLOCK, range(1, COUNT)))
            expected = everything(layout.folder.path)
            ends = list(accumulate(map(len, BLOCK.lines)))
            near = st.sampled_from(ends).flatmap(
                lambda end: st.integers(max(end - 2, 0), min(end + 2, ends[-1]))
            )
            size = data.draw(st.integers(0, ends[-1]) | near)
            cut_journal(layout, size)
            whole = sum(end <= size for end in ends)
            torn = size not in (0, *ends)

            for start in {0, whole, data.draw(st.integers(0, whole))}:
                extent = measure(layout, start, marks[start].offset)
                assert (whole, marks[whole].offset) == (extent.missions, extent.offset)
                assert ("the line is torn" if torn else "") == extent.problem
                assert whole % 10 + 1 == extent.line
                assert not extent.valid_follows

            cut(layout, extent)
            assert place_of(layout, whole) == told(measure(layout, 0, 0))
            write(layout, [BLOCK[whole:]] if whole < COUNT else [], marks[whole])
            assert expected == everything(layout.folder.path)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, COUNT), st.binary(min_size=1, max_size=40))
    def test_garbage_behind_the_last_record_is_cut_off(self, count: int, garbage: bytes) -> None:
        """Whatever bytes follow the last record, they are cut off and nothing else is."""
        with new_layout() as layout:
            write(layout, [BLOCK[:count]] if count else [])
            if count % 10 == 0:
                layout.file(count).touch()
            before = everything(layout.folder.path)
            with layout.file(count).open("ab") as file:
                file.write(garbage)

            extent = measure(layout, 0, 0)
            assert count == extent.missions
            assert extent.problem
            cut(layout, extent)

            if count % 10 == 0:
                layout.file(count).touch()  # an empty file may go or stay
            assert before == everything(layout.folder.path)

    @pytest.mark.parametrize("surplus", [b"{torn", b"\n", BLOCK.lines[3], BLOCK.lines[10]])
    @pytest.mark.parametrize("count", [10, 12])
    def test_a_file_that_goes_on_behind_its_last_record_is_refused(
        self, tmp_path: Path, count: int, surplus: bytes
    ) -> None:
        """No crash leaves that, and what follows can't be told from what belongs there."""
        layout = layout_in(tmp_path)
        write(layout, [BLOCK[:count]])
        with layout.file(0).open("ab") as file:
            file.write(surplus)

        with pytest.raises(JournalDamaged) as caught:
            measure(layout, 0, 0)

        assert (layout.file(0), 11) == (caught.value.file, caught.value.line)

    def test_lines_of_other_missions_are_not_taken(self, tmp_path: Path) -> None:
        """A line is a record only where it is the next one."""
        layout = layout_in(tmp_path)
        layout.file(0).write_bytes(b"".join([*BLOCK.lines[:3], BLOCK.lines[4], BLOCK.lines[3]]))

        extent = measure(layout, 0, 0)

        offset = sum(map(len, BLOCK.lines[:3]))
        problem = "expected mission 3, found 4"
        assert (3, offset, problem, 4, False) == told(extent)

    @pytest.mark.parametrize("damaged", [0, 4, 9, 10, 14, 34])
    def test_damage_in_the_middle_is_told_from_a_torn_end(
        self, tmp_path: Path, damaged: int
    ) -> None:
        """Valid records behind the damage, in its file or a later one, show that it is no crash."""
        layout = layout_in(tmp_path)
        write(layout, [BLOCK])
        overwrite_line(layout, damaged, lambda line: b"#" + line[1:])

        extent = measure(layout, 0, 0)

        assert (damaged, damaged % 10 + 1) == (extent.missions, extent.line)
        assert extent.problem.startswith("the line is no record: ")
        assert (damaged < COUNT - 1) == extent.valid_follows

    def test_a_file_that_is_gone_is_told_from_an_end(self, tmp_path: Path) -> None:
        """Later files show that records are missing."""
        layout = layout_in(tmp_path)
        write(layout, [BLOCK])
        layout.file(10).unlink()

        problem = "the line is missing, though later files are there"
        assert (10, 0, problem, 1, True) == told(measure(layout, 0, 0))

    def test_a_file_that_is_none_of_ours_is_left_alone(self, tmp_path: Path) -> None:
        """What somebody else put beside the journal neither counts nor disturbs."""
        layout = layout_in(tmp_path)
        write(layout, [BLOCK])
        (layout.folder.missions / "mission_50.jsonl").write_bytes(b"mine\n")
        (layout.folder.missions / "mission_notes.jsonl").write_bytes(b"mine\n")
        before = everything(tmp_path)

        extent = measure(layout, 0, 0)
        cut(layout, extent)

        assert place_of(layout, COUNT) == told(extent)
        assert before == everything(tmp_path)


class TestReading:
    """Committed records."""

    @settings(max_examples=40, deadline=None)
    @given(places, places)
    def test_any_stretch_of_lines_can_be_read(self, one: int, other: int) -> None:
        """Lines are read from any mission to any other, across files."""
        first, end = sorted((one, other))
        with new_layout() as layout:
            write(layout, [BLOCK])
            offset = offset_of(layout, first)

            assert BLOCK.lines[first:end] == list(read_lines(layout, first, end, offset))
            assert mark_at(layout, first).offset == offset

    @settings(max_examples=40, deadline=None)
    @given(places, st.lists(st.integers(1, 20), min_size=1))
    def test_a_reader_goes_on_where_it_stopped(self, start: int, steps: list[int]) -> None:
        """Read bit by bit, from anywhere, every line comes once and in order."""
        with new_layout() as layout:
            write(layout, [BLOCK])
            reader = JournalReader(layout, start)
            read: list[bytes] = []
            while reader.position < COUNT:
                step = steps[len(read) % len(steps)]
                read += reader.read(min(reader.position + step, COUNT))
                assert start + len(read) == reader.position

            assert BLOCK.lines[start:] == read

    @pytest.mark.parametrize(
        ("damage", "problem"),
        [
            (lambda line: b"#" + line[1:], "the line is no record: "),
            (lambda line: BLOCK.lines[5], "expected mission 14, found 5"),
            (lambda line: b"", "expected mission 14, found 15"),
        ],
        ids=["garbled", "repeated", "missing"],
    )
    def test_damaged_records_are_named(
        self, tmp_path: Path, damage: Callable[[bytes], bytes], problem: str
    ) -> None:
        """Who reads committed records is told the file and the line that can't be read."""
        layout = layout_in(tmp_path)
        write(layout, [BLOCK])
        overwrite_line(layout, 14, damage)

        with pytest.raises(JournalDamaged) as caught:
            list(read_lines(layout, 10, COUNT, 0))

        assert (layout.file(10), 5) == (caught.value.file, caught.value.line)
        assert caught.value.problem.startswith(problem)

    @pytest.mark.parametrize(
        ("size", "problem"), [(4, "the line is missing"), (4.5, "the line is torn")]
    )
    def test_records_that_were_committed_and_are_gone_are_named(
        self, tmp_path: Path, size: float, problem: str
    ) -> None:
        """Who reads committed records is told where they end before their time."""
        layout = layout_in(tmp_path)
        write(layout, [BLOCK])
        lines = sum(map(len, BLOCK.lines[:4]))
        shorten(layout.file(0), lines if size == 4 else lines + 50)

        with pytest.raises(JournalDamaged) as caught:
            list(read_lines(layout, 0, COUNT, 0))

        assert (layout.file(0), 5, problem) == (
            *(caught.value.file, caught.value.line),
            caught.value.problem,
        )


class TestErrors:
    """Missions that raised, among others."""

    @settings(max_examples=25, deadline=None)
    @given(st.sets(st.integers(0, 19)), st.lists(st.integers(1, 19), max_size=5))
    def test_missions_that_raised_are_read_back_from_their_lines(
        self, failed: set[int], borders: list[int]
    ) -> None:
        """A block with errors is made again from the journal bit for bit, whatever the blocks."""
        block = missions_with_errors(0, 20, failed)

        parts = [read_block(MISSION, part.first, part.lines) for part in split(block, borders)]
        again = Block.concatenate(parts)

        assert failed == {index for index, line in enumerate(block.lines) if is_error(line)}
        assert failed == set((again.outcomes == ERROR_OUTCOME).nonzero()[0].tolist())
        assert (list(block.lines), list(block.ids)) == (list(again.lines), list(again.ids))
        assert block.labels.tobytes() == again.labels.tobytes()
        assert block.features.tobytes() == again.features.tobytes()
        for name, values in block.metrics.items():
            assert values.tobytes() == again.metrics[name].tobytes()

    def test_an_error_is_recorded_by_its_type_alone(self) -> None:
        """What an exception says may differ from run to run, so it is not in the data set."""
        one = error_block(MISSION, SEED, 3, Raised.by(3, KeyError("0x7f00")).error)
        other = error_block(MISSION, SEED, 3, Raised.by(3, KeyError("0x7f11")).error)

        assert one.lines == other.lines
        expected = (
            f'{{"mission_id":"{missions(3, 4).ids[0]}","mission_number":3,"error":"KeyError",'
            '"status":"error","training_label":null}\n'
        )
        assert [expected.encode()] == one.lines


class TestReadJournal:
    """`read_journal`: the records of a run's folder, for anyone."""

    @pytest.fixture
    def layout(self, tmp_path: Path) -> Layout:
        """Make a run's folder with one mission a file, so that files are many."""
        return claim(tmp_path, "single")

    @pytest.fixture
    def one_file(self, tmp_path: Path) -> Layout:
        """Make a run's folder with all missions in one file."""
        return claim(tmp_path, "journal")

    def test_records_come_in_order(self, layout: Layout) -> None:
        """Every record is read, over all files."""
        write(layout, [BLOCK])

        numbers = [record.mission_number for record in read_journal(layout.folder.path)]

        assert list(range(COUNT)) == numbers

    def test_missions_that_raised_are_among_the_records(self, one_file: Layout) -> None:
        """Their record has the status "error"."""
        write(one_file, [missions_with_errors(0, 5, {1, 4})])

        statuses = [record.status == "error" for record in read_journal(one_file.folder.path)]

        assert statuses == [False, True, False, False, True]

    def test_nothing_is_read_of_a_run_without_missions(self, one_file: Layout) -> None:
        """A run that has just begun has no records."""
        assert list(read_journal(one_file.folder.path)) == []

    @pytest.mark.parametrize("kept", [1, 300, -1])
    def test_a_line_that_is_being_written_is_left_out(self, one_file: Layout, kept: int) -> None:
        """A journal may be read while its run goes on."""
        write(one_file, [BLOCK])
        with one_file.file(0).open("ab") as file:
            file.write(missions(COUNT, COUNT + 1).lines[0][:kept])

        records = list(read_journal(one_file.folder.path))

        assert list(range(COUNT)) == [record.mission_number for record in records]

    @settings(max_examples=30, deadline=None)
    @given(borders=borders, data=st.data())
    def test_a_journal_that_grows_is_read_without_false_alarms(
        self, borders: set[int], data: st.DataObject
    ) -> None:
        """Records that are committed while somebody reads come in order, over all files."""
        with new_layout() as layout:
            path = layout.folder.path
            run = claim(path, data.draw(st.sampled_from(get_args(MissionFiles))))
            writer, read = JournalWriter(run, Mark()), 0
            first, *later = split(BLOCK, borders)
            writer.append(first)
            for record in read_journal(path):
                assert read == record.mission_number
                read += 1
                for _ in range(data.draw(st.integers(0, len(later)))):
                    writer.append(later.pop(0))
            writer.close()

            assert writer.mark.missions == read

    @pytest.mark.parametrize(
        "damage",
        [
            lambda line: b"#" + line[1:],
            lambda line: line[:-1],
            lambda line: line.replace(b'"duration"', b'"Duration"'),
            lambda line: line.replace(b'"scout"', b'"sc\xffut"'),
            lambda line: b'{"mission_id":"","mission_number":7,"status":"error"}\n',
            lambda line: b"",
        ],
        ids=["no JSON", "no end", "another key", "no UTF-8", "another record", "gone"],
    )
    def test_damage_in_the_middle_is_named(
        self, one_file: Layout, damage: Callable[[bytes], bytes]
    ) -> None:
        """All records before the damage are read, then its file and line are told."""
        write(one_file, [BLOCK])
        overwrite_line(one_file, 7, damage)
        records = read_journal(one_file.folder.path)

        assert list(range(7)) == [next(records).mission_number for _ in range(7)]
        with pytest.raises(JournalDamaged) as caught:
            next(records)
        assert (one_file.file(0), 8) == (caught.value.file, caught.value.line)

    def test_a_file_that_is_gone_is_named(self, layout: Layout) -> None:
        """A missing file in the middle is not taken for the end."""
        write(layout, [BLOCK])
        layout.file(20).unlink()

        with pytest.raises(JournalDamaged) as caught:
            list(read_journal(layout.folder.path))

        assert (layout.file(20), 1) == (caught.value.file, caught.value.line)

    def test_a_folder_without_a_run_is_refused(self, tmp_path: Path) -> None:
        """It says that there is no run, rather than reading nothing."""
        with pytest.raises(FolderError, match="holds no run"):
            list(read_journal(tmp_path))


def claim(path: Path, mission_files: MissionFiles) -> Layout:
    """Make a folder that of a run of the tests' missions."""
    folder = RunFolder(path)
    config = RunConfig(output=path, seed=SEED, mission_files=mission_files)
    with acquire(folder):
        run_file = RunFile(identity_of(config, MISSION), "tests")
        adopt(folder, run_file, resume=True)
        settle(folder, run_file)
    return Layout(folder, MISSIONS_PER_FILE[mission_files], config.batch_size)


def cut_journal(layout: Layout, size: int) -> None:
    """Let the whole journal end after so many bytes."""
    for file in sorted(layout.folder.missions.iterdir()):
        kept = min(file.stat().st_size, size)
        size -= kept
        if kept:
            shorten(file, kept)
        else:
            file.unlink()


def shorten(file: Path, size: int) -> None:
    """Cut a file off."""
    file.write_bytes(file.read_bytes()[:size])


def overwrite_line(layout: Layout, index: int, change: Callable[[bytes], bytes]) -> None:
    """Change the line of one mission."""
    file = layout.file(index)
    lines = file.read_bytes().splitlines(keepends=True)
    place = index - layout.file_start(index)
    lines[place] = change(lines[place])
    file.write_bytes(b"".join(lines))
