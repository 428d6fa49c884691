"""checkpoint.json, and the statistics in it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from builders import TIME, missions, missions_with_errors, new_layout, split
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async.missions.statistics import Statistics
from synexs_async.storage.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from synexs_async.storage.files import GroupFlush, temporary_files
from synexs_async.storage.folder import RunFolder
from synexs_async.storage.journal import Mark

counts = st.integers(0, 10**9)
sums = st.floats(0, 1e12)
digests = st.binary(max_size=20).map(lambda data: hashlib.sha256(data).hexdigest())
checkpoints = st.builds(
    Checkpoint,
    st.builds(Mark, counts, st.integers(0, 2**40), digests, st.integers(0, 2**40)),
    st.builds(
        Statistics,
        *(counts, counts, counts, counts),
        st.fixed_dictionaries({"duration": sums, "efficiency": sums}),
    ),
    st.floats(0, 1e9),
    digests | st.just(""),
    counts,
)


def write(path: Path, checkpoint: Checkpoint) -> bytes:
    """Write a checkpoint and return its bytes."""
    write_checkpoint(
        path,
        checkpoint,
        timestamp=TIME,
        journal_file="mission_000000000.jsonl",
        batch_size=32,
    )
    return path.read_bytes()


class TestCheckpoint:
    """The point that a resume starts from."""

    @settings(max_examples=40, deadline=None)
    @given(checkpoints)
    def test_what_is_written_is_read_again(self, checkpoint: Checkpoint) -> None:
        """Every number comes back to the last bit."""
        with new_layout() as layout:
            write(layout.folder.checkpoint, checkpoint)

            assert checkpoint == read_checkpoint(layout.folder.checkpoint)

    def test_there_may_be_none(self, tmp_path: Path) -> None:
        """A run that has not come to its first checkpoint has none."""
        assert read_checkpoint(tmp_path / "checkpoint.json") is None

    @settings(max_examples=120, deadline=None)
    @given(checkpoints, st.data())
    def test_a_changed_byte_is_noticed(self, checkpoint: Checkpoint, data: st.DataObject) -> None:
        """A damaged checkpoint is refused with a ValueError, unless it says the same."""
        with new_layout() as layout:
            path = layout.folder.checkpoint
            content = bytearray(write(path, checkpoint))
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] = data.draw(
                st.integers(0, 255) | st.sampled_from(b'0123456789abcdef.eE-+"{}[]:, \n\\')
            )
            path.write_bytes(content)

            assert checkpoint == read_or_refuse(path, checkpoint)

    @settings(max_examples=50, deadline=None)
    @given(checkpoints, st.data())
    def test_a_cut_is_noticed(self, checkpoint: Checkpoint, data: st.DataObject) -> None:
        """A checkpoint that ends early, even after 0 bytes, is refused with a ValueError."""
        with new_layout() as layout:
            path = layout.folder.checkpoint
            content = write(path, checkpoint)
            path.write_bytes(content[: data.draw(st.integers(0, len(content) - 3))])

            with pytest.raises(ValueError, match=r"^checkpoint\.json "):
                read_checkpoint(path)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\x00" * 900,
            b"null",
            b"[]",
            b"{}",
            b"1e999",
            b"[" * 5000,
            b"\xff",
            b'{"timestamp":"\xff"}',
        ],
    )
    def test_anything_else_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """Zeros and other files are refused with a ValueError, and nothing else."""
        path = tmp_path / "checkpoint.json"
        path.write_bytes(content)

        with pytest.raises(ValueError, match=r"^checkpoint\.json "):
            read_checkpoint(path)

    def test_values_of_another_checkpoint_do_not_pass(self, tmp_path: Path) -> None:
        """Valid JSON with one number changed does not match the checksum."""
        path = tmp_path / "checkpoint.json"
        content = json.loads(write(path, Checkpoint(Mark(), Statistics())))
        content["missions_completed"] += 1
        path.write_text(json.dumps(content))

        with pytest.raises(ValueError, match="does not match its own checksum"):
            read_checkpoint(path)

    def test_the_file_has_the_documented_fields(self, tmp_path: Path) -> None:
        """Who wants to know where a run stands reads it in plain JSON."""
        statistics = Statistics(
            56, 38, 5, 1, {"duration": 990.0, "efficiency": 49.5, "coordination": 9.9}
        )
        checkpoint = Checkpoint(Mark(100, 123456, "ab" * 32, 99), statistics, 12.5, "cd" * 32)

        content = json.loads(write(tmp_path / "checkpoint.json", checkpoint))

        expected = {
            "timestamp": TIME,
            "missions_completed": 100,
            "stats": {
                "success_count": 56,
                "failure_count": 38,
                "abort_count": 5,
                "error_count": 1,
                "elapsed_time": 12.5,
                "completed": True,
            },
            "team_stats": {"duration": 10.0, "efficiency": 0.5, "coordination": 0.1},
            "logger_stats": {"batches": 3, "missions_waiting": 4},
            "journal": {
                "file": "mission_000000000.jsonl",
                "offset": 123456,
                "sha256": "ab" * 32,
                "batch_offset": 99,
            },
        }
        assert expected == {name: content[name] for name in expected}
        assert content["checksum"]

    def test_a_run_is_complete_when_its_data_set_has_a_digest(self, tmp_path: Path) -> None:
        """Before the end `completed` is false."""
        content = json.loads(write(tmp_path / "c.json", Checkpoint(Mark(), Statistics())))

        assert content["stats"]["completed"] is False

    def test_it_stays_small_however_large_the_run_is(self, tmp_path: Path) -> None:
        """A checkpoint of a billion missions is as cheap as one of ten: about 1 KB."""
        most = 10**9
        large = Checkpoint(
            Mark(most, 10**8, "f" * 64, 10**8),
            Statistics(
                *(most, most, most, most),
                {"duration": 4e10 / 3, "efficiency": 1e9 / 3, "coordination": 1e9 / 7},
            ),
            1e6 / 3,
            "f" * 64,
        )
        small = Checkpoint(Mark(), Statistics())

        sizes = [len(write(tmp_path / "checkpoint.json", point)) for point in (small, large)]

        assert 700 < sizes[0] < sizes[1] < 1500

    def test_a_new_checkpoint_replaces_the_old_one(self, tmp_path: Path) -> None:
        """There is one checkpoint, and no temporary file is left beside it."""
        path = tmp_path / "checkpoint.json"
        for elapsed in (1.0, 2.0):
            write(path, Checkpoint(Mark(), Statistics(), elapsed))

        assert Checkpoint(Mark(), Statistics(), 2.0) == read_checkpoint(path)
        assert [path] == list(tmp_path.iterdir())
        assert [] == list(temporary_files(tmp_path))


class TestFlush:
    """What a checkpoint speaks of is on disk before it."""

    def test_each_file_system_of_a_run_is_flushed(self, tmp_path: Path) -> None:
        """A part of a run may be a mount of its own, or a link to another disk."""
        elsewhere = Path("/dev/shm")
        if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("no two file systems here")
        folder = RunFolder(tmp_path)
        folder.missions.mkdir()
        folder.batches.symlink_to(elsewhere)
        before = open_folders()

        flush = GroupFlush(folder.path, folder.missions, folder.batches)
        try:
            assert Counter([folder.path, elsewhere]) == open_folders() - before
            flush.flush([], [])
        finally:
            flush.close()
        assert before == open_folders()


class TestStatistics:
    """Running totals."""

    @settings(max_examples=40, deadline=None)
    @given(st.sets(st.integers(1, 29)), st.sets(st.integers(0, 29), max_size=4))
    def test_totals_do_not_depend_on_blocks(self, borders: set[int], failed: set[int]) -> None:
        """A run that was interrupted anywhere reports the same means, to the last bit."""
        block = missions_with_errors(0, 30, failed)
        whole, parts = Statistics(), Statistics()

        whole.add(block)
        for part in split(block, borders):
            parts.add(part)

        assert whole == parts

    def test_missions_are_counted_by_outcome(self) -> None:
        """Each mission is counted once, one that raised as an error."""
        statistics, block = Statistics(), missions_with_errors(0, 50, {3, 30})

        statistics.add(block)

        labels = block.labels.tolist()
        assert {
            "success_count": labels.count(0),
            "failure_count": labels.count(1),
            "abort_count": labels.count(2),
            "error_count": 2,
        } == statistics.counts()
        assert statistics.missions == 50

    def test_means_are_over_the_missions_without_an_error(self) -> None:
        """A mission that raised has no duration to count."""
        all_missions, some = Statistics(), Statistics()
        all_missions.add(missions(0, 4))
        some.add(missions_with_errors(0, 5, {4}))

        assert all_missions.means() == some.means()
        durations = missions(0, 4).metrics["duration"].tolist()
        assert sum(durations) / 4 == all_missions.means()["duration"]

    def test_before_the_first_mission_there_are_no_means(self) -> None:
        """Which metrics there will be is the mission kind's to say."""
        assert {} == Statistics().means()


def read_or_refuse(path: Path, refused: Checkpoint) -> Checkpoint | None:
    """Read a checkpoint; return `refused` where a ValueError says that it can't be trusted."""
    try:
        return read_checkpoint(path)
    except ValueError:
        return refused


def open_folders() -> Counter[Path]:
    """Return the folders that this process has a descriptor of, on Linux."""
    descriptors = Path("/proc/self/fd").iterdir()
    return Counter(path.resolve() for path in descriptors if path.is_dir())
