"""A run's batches as PyTorch data sets."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
import torch
from air import Quick
from builders import (
    BATCH_SIZE,
    Work,
    identity_of_tests,
    layout_in,
    missions_with_errors,
    new_layout,
    tell_that_it_is_complete,
)
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from synexs_async import (
    BatchDamaged,
    ConfigError,
    ErrorRecord,
    FolderError,
    JournalDamaged,
    MissionDataset,
    MissionRow,
    ResumableShuffle,
    RunConfig,
    StreamingMissions,
    open_run,
    read_journal,
    read_progress,
    run,
    verify_run,
)
from synexs_async.config import MissionFiles
from synexs_async.datasets import Split
from synexs_async.missions.statistics import Statistics
from synexs_async.missions.team_features import FEATURE_NAMES
from synexs_async.storage.checkpoint import Checkpoint
from synexs_async.storage.folder import MISSIONS_PER_FILE, RunFile, settle
from synexs_async.storage.journal import Mark
from synexs_async.storage.progress import write_progress

MISSIONS = 90  # the last of the 23 batches is short
RAISED = (0, 5, 6, 40, 41, 42, 43, 88)  # among them a batch's first, and a whole batch
KEPT = [mission for mission in range(MISSIONS) if mission not in RAISED]
PARTS: tuple[Split, ...] = ("train", "val", "test")
DOCUMENT = (ROOT / "docs" / "datasets.md").read_text("utf-8")


def begin(path: Path, mission_files: MissionFiles = "journal") -> Work:
    """Begin a run that is built by hand."""
    layout = layout_in(path, MISSIONS_PER_FILE[mission_files])
    identity = msgspec.structs.replace(identity_of_tests(), mission_files=mission_files)
    settle(layout.folder, RunFile(identity, "team"))
    return Work(layout, Checkpoint(Mark(), Statistics()))


def build(path: Path, missions: int = MISSIONS, raised: Iterable[int] = RAISED) -> Path:
    """Leave a complete run in a folder."""
    work = begin(path)
    work.commit(missions_with_errors(0, missions, raised))
    work.finish()
    return path


@contextmanager
def indexed(missions: int, batch_size: int = BATCH_SIZE) -> Iterator[Path]:
    """Give a run that has just what a data set reads before its first row."""
    with new_layout(batch_size=batch_size) as layout:
        identity = msgspec.structs.replace(identity_of_tests(), batch_size=batch_size)
        settle(layout.folder, RunFile(identity, "team"))
        rows = [min(batch_size, missions - first) for first in range(0, missions, batch_size)]
        index = {
            "missions": missions,
            "batch_size": batch_size,
            "feature_names": FEATURE_NAMES,
            "label_names": [],
            "batches": [{"rows": count} for count in rows],
        }
        layout.folder.index.write_bytes(msgspec.json.encode(index))
        yield layout.folder.path


def tell(work: Work, missions: int, **changes: Any) -> None:
    """Write a progress file that says that this process is at work."""
    tell_that_it_is_complete(work.layout, missions)
    here = {"status": "running", "pid": os.getpid(), "host": socket.gethostname()}
    progress = msgspec.structs.replace(
        read_progress(work.layout.folder.path), **{**here, **changes}
    )
    write_progress(work.layout.folder.progress, progress)


def batches_of(folder: Path) -> list[dict[str, Any]]:
    """Load the batches in the plain way."""
    files = sorted((folder / "batches").glob("batch_*.pt"))
    return [torch.load(file, weights_only=True) for file in files]


def missions_of(rows: Iterable[MissionRow]) -> list[int]:
    """Return the indexes of rows' missions."""
    return [row.mission for row in rows]


def drawn(loader: Iterable[MissionRow]) -> list[int]:
    """Return the missions that a loader gives, one after the other."""
    return [mission for batch in loader for mission in batch.mission.tolist()]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a complete run; it must be left as it is."""
    return build(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def own_folder(run_folder: Path, tmp_path: Path) -> Path:
    """Give a complete run of the test's own."""
    return shutil.copytree(run_folder, tmp_path / "run")


class TestMissionDataset:
    """Rows of a complete run."""

    def test_it_gives_each_row_of_each_batch_in_order(self, run_folder: Path) -> None:
        """Rows are those of the files, and know their missions, also behind ones that raised."""
        dataset = MissionDataset(run_folder)

        rows = list(dataset)  # type: ignore[call-overload]
        batches = batches_of(run_folder)
        metadata = [entry for batch in batches for entry in batch["metadata"]]
        assert len(KEPT) == len(dataset) == len(rows)
        assert KEPT == missions_of(rows) == list(dataset.missions)
        assert torch.cat([batch["features"] for batch in batches]).equal(
            torch.stack([row.features for row in rows])
        )
        assert torch.cat([batch["labels"] for batch in batches]).equal(
            torch.stack([row.label for row in rows])
        )
        assert metadata == [
            {
                "mission_id": row.mission_id,
                "duration": row.duration,
                "status": row.status,
                **row.metrics,
            }
            for row in rows
        ]
        assert (torch.float32, torch.int64) == (rows[0].features.dtype, rows[0].label.dtype)
        assert (6, 24) == rows[0].features.shape
        assert (24, 3) == (len(dataset.feature_names), len(dataset.label_names))

    def test_missions_are_the_journal_s(self, run_folder: Path) -> None:
        """A row bears the index and the id that the journal gives its mission."""
        expected = [
            (record.mission_number, record.mission_id, record.status)
            for record in read_journal(run_folder)
            if not isinstance(record, ErrorRecord)
        ]

        dataset = MissionDataset(run_folder)
        rows = [dataset[index] for index in range(len(dataset))]
        assert expected == [(row.mission, row.mission_id, row.status) for row in rows]

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.booleans(), min_size=1, max_size=24), st.sampled_from(["journal", "single"]))
    def test_missions_that_raised_move_no_other(
        self, outcomes: list[bool], mission_files: MissionFiles
    ) -> None:
        """Whichever missions raised, each row is told apart, in a data set and in a stream."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            work = begin(path, mission_files)
            raised = [mission for mission, held in enumerate(outcomes) if not held]
            work.commit(missions_with_errors(0, len(outcomes), raised))
            work.finish()
            expected = [
                (record.mission_number, record.mission_id)
                for record in read_journal(path)
                if not isinstance(record, ErrorRecord)
            ]
            dataset = MissionDataset(path)
            rows = [dataset[index] for index in range(len(dataset))]

            assert expected == [(row.mission, row.mission_id) for row in rows]
            assert expected == [(row.mission, row.mission_id) for row in StreamingMissions(path)]

    def test_a_run_without_errors_needs_no_journal(self, tmp_path: Path) -> None:
        """Batches and index are enough, where no mission raised."""
        folder = build(tmp_path / "run", raised=())
        shutil.rmtree(folder / "missions")

        dataset = MissionDataset(folder)
        assert list(range(MISSIONS)) == missions_of(dataset[i] for i in range(len(dataset)))
        assert 33 == dataset.of_mission(33).mission

    def test_a_mission_s_row_is_found(self, run_folder: Path) -> None:
        """Each mission that did not raise has its row, others none."""
        dataset = MissionDataset(run_folder)

        assert KEPT == [dataset.of_mission(mission).mission for mission in KEPT]
        for absent in (*RAISED, -1, MISSIONS, 2**40):
            with pytest.raises(IndexError, match=f"mission {absent} is not in this data set"):
                dataset.of_mission(absent)

    def test_a_row_is_a_copy(self, run_folder: Path) -> None:
        """Changing a row changes no other, and what is sent elsewhere is the row alone."""
        dataset = MissionDataset(run_folder)
        dataset[3].features.zero_()

        assert dataset[3].features.any()
        assert 6 * 24 * 4 == dataset[3].features.untyped_storage().nbytes()

    def test_indexes_are_those_of_a_sequence(self, run_folder: Path) -> None:
        """Negative ones count from the end, and what lies outside is said."""
        dataset = MissionDataset(run_folder)

        assert KEPT[-1] == dataset[-1].mission
        for index in (len(KEPT), -len(KEPT) - 1):
            with pytest.raises(IndexError, match=f"row {index} of a data set of {len(KEPT)} rows"):
                dataset[index]

    def test_it_is_what_the_run_was(self, own_folder: Path) -> None:
        """A run that is extended meanwhile changes nothing for who has it open."""
        dataset = MissionDataset(own_folder)
        shutil.rmtree(own_folder)
        build(own_folder, MISSIONS + 20)

        assert KEPT == missions_of(dataset[index] for index in range(len(dataset)))

    @pytest.mark.skipif(sys.platform != "linux", reason="tells its memory maps otherwise")
    def test_no_more_batches_stay_open_than_are_said(
        self, run_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The memory maps of a long run do not add up; what is closed is opened again."""
        monkeypatch.setattr("synexs_async.datasets._OPEN_BATCHES", 9)
        dataset = MissionDataset(run_folder)
        for _ in range(2):
            assert KEPT == missions_of(dataset[index] for index in range(len(dataset)))

        maps = Path("/proc/self/maps").read_text("utf-8").splitlines()
        assert 9 == sum(1 for line in maps if str(run_folder) in line)

    def test_it_can_be_pickled(self, run_folder: Path) -> None:
        """A copy gives the same rows."""
        dataset = MissionDataset(run_folder, "train")
        dataset[0]
        copy = pickle.loads(pickle.dumps(dataset))

        assert dataset[7].features.equal(copy[7].features)
        assert list(dataset.missions) == list(copy.missions)

    @pytest.mark.parametrize(("context", "workers"), [("fork", 2), ("spawn", 1)])
    def test_workers_give_each_row_once(self, run_folder: Path, context: str, workers: int) -> None:
        """Shuffled over workers that share nothing, or all, each mission comes once."""
        dataset = MissionDataset(run_folder)
        loader = DataLoader(
            dataset, 8, shuffle=True, num_workers=workers, multiprocessing_context=context
        )
        missions = drawn(loader)

        assert KEPT != missions
        assert KEPT == sorted(missions)


class TestSplits:
    """Parts of a run by mission."""

    @settings(max_examples=30, deadline=None)
    @given(
        st.integers(1, 60), st.integers(1, 60), st.lists(st.integers(0, 5), min_size=3, max_size=3)
    )
    def test_they_part_a_run_and_stay_when_it_grows(
        self, missions: int, more: int, weights: list[int]
    ) -> None:
        """Each mission is in one part, and in the same one of a longer run."""
        weights = weights if any(weights) else [1, 1, 1]
        fractions = [weight / sum(weights) for weight in weights]
        with indexed(missions) as short, indexed(missions + more) as long:
            before, after = (
                [set(MissionDataset(run, part, fractions=fractions).missions) for part in PARTS]
                for run in (short, long)
            )

        assert set(range(missions)) == set.union(*before)
        assert missions == sum(map(len, before))
        assert before == [{mission for mission in part if mission < missions} for part in after]

    def test_their_shares_are_those_asked_for(self, tmp_path: Path) -> None:
        """Of many missions each part gets its fraction, about."""
        with indexed(20_000) as run:
            shares = [len(MissionDataset(run, part)) / 20_000 for part in PARTS]

        assert pytest.approx([0.8, 0.1, 0.1], abs=0.01) == shares

    def test_missions_of_a_part_are_for_ever(self) -> None:
        """Which mission is in which part is promised, from release to release."""
        with indexed(40) as run:
            assert [16, 20, 30, 36] == list(MissionDataset(run, "val").missions)

    def test_they_leave_out_what_raised(self, run_folder: Path) -> None:
        """Rows of a part are those missions' that did not raise."""
        parts = [MissionDataset(run_folder, part) for part in PARTS]
        rows = [part[index] for part in parts for index in range(len(part))]

        assert KEPT == sorted(missions_of(rows))
        with pytest.raises(IndexError):
            parts[1].of_mission(parts[0][0].mission)


class TestStreamingMissions:
    """Rows while a run goes on."""

    def test_a_complete_run_comes_whole_and_in_order(self, run_folder: Path) -> None:
        """The stream of a complete run is its data set, whether it is followed or not."""
        dataset = MissionDataset(run_folder)
        for follow in (True, False):
            rows = list(StreamingMissions(run_folder, follow))
            assert KEPT == missions_of(rows)
            assert all(row.features.equal(dataset[i].features) for i, row in enumerate(rows))

    def test_rows_come_when_their_batch_is_finished(self, tmp_path: Path) -> None:
        """Each whole batch is given while the run goes on, the short one at its end."""
        work = begin(tmp_path)
        tell(work, 0)
        stream = iter(StreamingMissions(tmp_path))
        for first in (0, 10, 20):
            work.commit(missions_with_errors(first, first + 10, RAISED))
            end = work.layout.batch_start(first + 10)
            start = work.layout.batch_start(first)
            expected = [mission for mission in range(start, end) if mission not in RAISED]
            assert expected == missions_of(islice(stream, len(expected)))
        work.finish()

        assert [28, 29] == missions_of(stream)

    def test_who_follows_waits_for_more(self, tmp_path: Path) -> None:
        """A stream that has come to the end of what is there goes on when there is more."""
        work = begin(tmp_path)
        tell(work, 0)
        with ThreadPoolExecutor(1) as pool:
            stream = iter(StreamingMissions(tmp_path))
            work.commit(missions_with_errors(0, 8, ()))
            assert list(range(8)) == missions_of(islice(stream, 8))
            rest = pool.submit(list, stream)
            work.commit(missions_with_errors(8, 18, ()))
            work.finish()

            assert list(range(8, 18)) == missions_of(rest.result())

    async def test_it_follows_a_run(self, tmp_path: Path) -> None:
        """Beside a run that is going on, a stream gives all of its rows."""
        async with open_run(RunConfig(missions=1000, output=tmp_path)):
            rows = await anyio.to_thread.run_sync(lambda: list(StreamingMissions(tmp_path)))

        assert list(range(1000)) == missions_of(rows)

    @pytest.mark.parametrize("status", ["interrupted", "failed", "running"])
    def test_it_ends_with_the_run(self, tmp_path: Path, status: str) -> None:
        """A run that says that it ended, or whose process is gone, keeps nobody waiting."""
        gone = subprocess.Popen(["true"])
        gone.wait()
        work = begin(tmp_path)
        work.commit(missions_with_errors(0, 30, RAISED))
        tell(work, 30, status=status, pid=gone.pid)

        expected = [mission for mission in range(28) if mission not in RAISED]
        assert expected == missions_of(StreamingMissions(tmp_path))

    def test_who_does_not_follow_gets_what_is_there(self, tmp_path: Path) -> None:
        """Without `follow` the stream ends, though the run goes on; and may well be empty."""
        work = begin(tmp_path)
        tell(work, 0)
        assert [] == list(StreamingMissions(tmp_path, follow=False))
        work.commit(missions_with_errors(0, 9, ()))

        assert list(range(8)) == missions_of(StreamingMissions(tmp_path, follow=False))

    def test_a_ledger_that_is_mended_meanwhile_is_read_again(self, tmp_path: Path) -> None:
        """Nothing is passed over while a start replaces the ledger, and nothing comes twice."""
        work = begin(tmp_path)
        tell(work, 0)
        work.commit(missions_with_errors(0, 12, ()))
        entries = list(work.ledger.entries())
        work.ledger.replace([entries[0], entries[2]])
        with ThreadPoolExecutor(1) as pool:
            stream = iter(StreamingMissions(tmp_path))
            assert [0, 1, 2, 3] == missions_of(islice(stream, 4))
            rest = pool.submit(list, stream)
            work.ledger.insert([entries[1]])
            work.commit(missions_with_errors(12, 20, ()))
            tell(work, 20, status="interrupted")

            assert list(range(4, 20)) == missions_of(rest.result())

    @pytest.mark.parametrize("workers", [1, 2])
    def test_workers_share_the_batches(self, tmp_path: Path, workers: int) -> None:
        """Each batch is one worker's; with the run's batch size, they come in the run's order."""
        complete = build(tmp_path / "complete", raised=())
        work = begin(tmp_path / "interrupted")
        work.commit(missions_with_errors(0, 30, ()))
        tell(work, 30, status="interrupted")
        for folder, missions in ((complete, MISSIONS), (work.layout.folder.path, 28)):
            loader = DataLoader(StreamingMissions(folder), BATCH_SIZE, num_workers=workers)
            assert list(range(missions)) == drawn(loader)


def missions_in(rows: Any) -> Any:
    """Collate rows to their missions."""
    return rows.mission if isinstance(rows, MissionRow) else [row.mission for row in rows]


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata calls it
class TestResumableShuffle:
    """Orders that can be resumed."""

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 50), st.integers(0, 2**64), st.data())
    def test_a_pass_goes_on_where_it_stood(
        self, length: int, seed: int, data: st.DataObject
    ) -> None:
        """Each epoch has each row once, and a state anywhere in it gives the rest of it."""
        shuffle = ResumableShuffle(range(length), seed=seed)
        epochs = [list(shuffle) for _ in range(3)]
        assert [list(range(length))] * 3 == [sorted(epoch) for epoch in epochs]

        position = data.draw(st.integers(0, length))
        shuffle.set_epoch(1)
        begun = list(islice(iter(shuffle), position))
        other = ResumableShuffle(range(length))
        other.load_state_dict(
            shuffle.state_dict() if position else {**shuffle.state_dict(), "epoch": 1}
        )

        assert epochs[1] == begun + list(other)
        assert epochs[2] == list(other)

    def test_epochs_and_seeds_have_orders_of_their_own(self) -> None:
        """Another seed or epoch is another order, the same ones the same."""
        rows = range(100)
        shuffle = ResumableShuffle(rows, seed=1)
        orders = [tuple(shuffle), tuple(shuffle), tuple(ResumableShuffle(rows, seed=2))]
        shuffle.set_epoch(0)

        assert 3 == len(set(orders))
        assert orders[0] == tuple(shuffle)
        assert 1 == shuffle.epoch

    def test_setting_the_epoch_that_is_resumed_keeps_its_place(self) -> None:
        """The usual loop over epochs does not lose the place that was loaded."""
        shuffle = ResumableShuffle(range(10))
        one = iter(shuffle)
        begun = [next(one) for _ in range(4)]
        state = shuffle.state_dict()
        shuffle.load_state_dict(state)
        shuffle.set_epoch(0)

        assert list(range(10)) == sorted([*begun, *shuffle])

    @pytest.mark.parametrize("workers", [0, 2])
    @pytest.mark.parametrize("batch_size", [8, None])
    def test_a_loader_goes_on_in_the_middle(
        self, run_folder: Path, workers: int, batch_size: int | None
    ) -> None:
        """A loader that is made anew gives exactly the rest, whatever was fetched ahead."""
        dataset = MissionDataset(run_folder)

        def loader() -> Any:
            return StatefulDataLoader(
                dataset,
                batch_size,
                sampler=ResumableShuffle(dataset, seed=3),
                num_workers=workers,
                persistent_workers=batch_size is None and workers > 0,
                collate_fn=missions_in,
            )

        undisturbed = loader()
        epochs = [list(undisturbed), list(undisturbed)]
        assert sorted(epochs[0]) != epochs[0] != epochs[1]
        for steps in (1, 5, len(epochs[0])):
            first = loader()
            begun = list(islice(first, steps))
            second = loader()
            second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
            assert epochs[0] == begun + list(second)
            assert epochs[1] == list(second)

    def test_a_loader_goes_on_between_epochs(self, run_folder: Path) -> None:
        """The state at an epoch's end is the next one's beginning."""
        dataset = MissionDataset(run_folder)
        loaders = [
            StatefulDataLoader(dataset, 8, sampler=ResumableShuffle(dataset)) for _ in range(2)
        ]
        drawn(loaders[0])
        loaders[1].load_state_dict(loaders[0].state_dict())

        assert drawn(loaders[0]) == drawn(loaders[1])

    def test_another_shuffle_s_state_is_refused(self) -> None:
        """A state of other rows, or none at all, is said, and changes nothing."""
        shuffle = ResumableShuffle(range(10), seed=5)
        before = shuffle.state_dict()
        for change in ({"rows": 11}, {"position": 11}, {"position": -1}, {"seed": "a"}):
            with pytest.raises(ConfigError, match="the state of a ResumableShuffle of 10 rows"):
                shuffle.load_state_dict({**before, **change})  # type: ignore[dict-item]
        with pytest.raises(ConfigError, match="state_dict: expected"):
            shuffle.load_state_dict({})

        assert before == shuffle.state_dict()

    def test_seeds_and_epochs_are_whole_numbers(self) -> None:
        """What is none is refused by name."""
        with pytest.raises(ConfigError, match="seed: expected a whole number, 0 or more, not -1"):
            ResumableShuffle(range(10), seed=-1)
        with pytest.raises(ConfigError, match="epoch: expected a whole number"):
            ResumableShuffle(range(10)).set_epoch(1.5)  # type: ignore[arg-type]


def fewer_rows(file: Path) -> None:
    """Leave one row of a batch."""
    content = torch.load(file, weights_only=True)
    for name in ("features", "labels", "metadata"):
        content[name] = content[name][:1]
    torch.save({**content, "batch_size": 1}, file)


def other_metadata(file: Path) -> None:
    """Leave a batch whose metadata has another key."""
    content = torch.load(file, weights_only=True)
    content["metadata"][1]["stat"] = content["metadata"][1].pop("status")
    torch.save(content, file)


class TestRefusals:
    """What is said when there is nothing to read, and what to do about it."""

    @pytest.mark.parametrize("kind", [MissionDataset, StreamingMissions])
    def test_a_folder_without_a_run(self, tmp_path: Path, kind: Callable[[Path], object]) -> None:
        """A folder that holds no run is named."""
        with pytest.raises(FolderError, match=rf"{tmp_path}: holds no run"):
            kind(tmp_path)

    def test_a_run_that_is_not_complete(self, own_folder: Path) -> None:
        """A run without an index can be gone on with, or read as a stream."""
        (own_folder / "batches" / "training_index.json").unlink()
        with pytest.raises(FolderError, match=r"not complete: there is no batches/.*Streaming"):
            MissionDataset(own_folder)

    def test_a_run_without_batches(self, tmp_path: Path) -> None:
        """A journal alone holds no tensors; neither kind of data set is just empty."""
        work = begin(tmp_path)
        work.writer.append(missions_with_errors(0, 9, ()))
        with pytest.raises(FolderError, match="there is no batch and no batches/training_index"):
            MissionDataset(tmp_path)
        with pytest.raises(FolderError, match=r"a journal and no finished batch; start .* again"):
            list(StreamingMissions(tmp_path, follow=False))

    @pytest.mark.parametrize("content", [b"{", b'{"batches": []}'])
    def test_an_index_that_is_none(self, own_folder: Path, content: bytes) -> None:
        """An index that can't be read is named, with what writes it again."""
        (own_folder / "batches" / "training_index.json").write_bytes(content)
        for read in (MissionDataset, lambda path: list(StreamingMissions(path))):
            with pytest.raises(FolderError, match=r"training_index.json can't be read.*--repair"):
                read(own_folder)

    @pytest.mark.parametrize("kind", [MissionDataset, StreamingMissions])
    def test_a_kind_without_features(self, tmp_path: Path, kind: Callable[[Path], Any]) -> None:
        """Nothing writes batches of it; who wants them is told why there are none."""
        anyio.run(run, RunConfig(missions=40, output=tmp_path, mission=Quick()))
        with pytest.raises(FolderError, match="no batches, as its mission kind declares no feat"):
            list(kind(tmp_path))

    def test_an_index_that_lists_too_little(self, own_folder: Path) -> None:
        """An index without some of the batches is not taken at its word."""
        file = own_folder / "batches" / "training_index.json"
        file.write_bytes(
            re.sub(rb'"missions": \d+', b'"missions": 900', file.read_bytes(), count=1)
        )
        with pytest.raises(FolderError, match=r"training_index\.json lists 23 batches, not 225"):
            MissionDataset(own_folder)

    def test_an_unknown_split(self, run_folder: Path) -> None:
        """The splits that there are are said."""
        with pytest.raises(ConfigError, match="split: expected one of train, val, test"):
            MissionDataset(run_folder, "validation")  # type: ignore[arg-type]

    @pytest.mark.parametrize("fractions", [(0.8, 0.1), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), ()])
    def test_fractions_that_are_none(self, run_folder: Path, fractions: tuple[float, ...]) -> None:
        """Shares that are not three, below zero, or not all of it are refused."""
        with pytest.raises(ConfigError, match="fractions: expected three shares"):
            MissionDataset(run_folder, "val", fractions=fractions)

    @pytest.mark.parametrize(
        ("damage", "problem"),
        [
            (Path.unlink, "the file is missing"),
            (lambda file: os.truncate(file, 700), "can't be read as a batch"),
            (lambda file: file.write_bytes(b""), "can't be read as a batch"),
            (lambda file: shutil.copy(file.with_name("batch_000004.pt"), file), "from mission 12"),
            (lambda file: torch.save({"features": 1}, file), "can't be read as a batch"),
            (fewer_rows, "1 rows, not 4"),
            (other_metadata, "from mission 12"),
        ],
    )
    def test_a_batch_that_is_damaged(
        self, own_folder: Path, damage: Callable[[Path], object], problem: str
    ) -> None:
        """The file is named, and what is wrong with it, and the command that mends it."""
        file = own_folder / "batches" / "batch_000003.pt"
        dataset = MissionDataset(own_folder)
        assert 11 == dataset.of_mission(11).mission
        damage(file)

        assert 11 == dataset.of_mission(11).mission
        told = rf"batch_000003.pt: .*{problem}.*verify .* --repair"
        with pytest.raises(BatchDamaged, match=told):
            dataset.of_mission(15)
        with pytest.raises(BatchDamaged, match=told):
            list(StreamingMissions(own_folder))

    def test_what_is_told_mends_it(self, own_folder: Path) -> None:
        """The command writes the batch again, and the data set that failed goes on with it."""
        file = own_folder / "batches" / "batch_000003.pt"
        dataset = MissionDataset(own_folder)
        file.unlink()
        with pytest.raises(BatchDamaged):
            dataset.of_mission(15)
        anyio.run(partial(verify_run, own_folder, repair=True))

        assert 15 == dataset.of_mission(15).mission

    def test_a_batch_that_is_damaged_is_named_by_workers_too(self, own_folder: Path) -> None:
        """What a worker meets is told in the program itself."""
        file = own_folder / "batches" / "batch_000003.pt"
        file.unlink()
        with pytest.raises(Exception, match=r"batch_000003\.pt: the file is missing"):
            drawn(DataLoader(MissionDataset(own_folder), 8, num_workers=1))

    def test_a_ledger_that_lost_a_batch(self, tmp_path: Path) -> None:
        """A stream of a run that has ended does not leave out what is not in the ledger."""
        work = begin(tmp_path)
        work.commit(missions_with_errors(0, 12, ()))
        tell(work, 12, status="interrupted")
        work.ledger.keep(lambda entry: entry.first != 4)
        with pytest.raises(BatchDamaged, match=r"batch_000001.pt: it is not in ledger\.jsonl"):
            list(StreamingMissions(tmp_path))
        tell(work, 12)  # a run at work may be writing it
        assert [0, 1, 2, 3] == missions_of(StreamingMissions(tmp_path, follow=False))

    def test_a_journal_that_is_needed(self, own_folder: Path) -> None:
        """Without the journal it can't be told which missions raised."""
        shutil.rmtree(own_folder / "missions")
        with pytest.raises(JournalDamaged, match="which missions of a batch raised"):
            MissionDataset(own_folder)

    def test_a_journal_that_says_otherwise(self, own_folder: Path) -> None:
        """An index that counts other rows than the journal has is not believed."""
        file = own_folder / "batches" / "training_index.json"
        file.write_bytes(file.read_bytes().replace(b'"rows":3', b'"rows":2', 1))
        with pytest.raises(BatchDamaged, match="has 3 missions that did not raise, not 2"):
            MissionDataset(own_folder)


def test_the_package_does_not_import_torch() -> None:
    """Torch takes seconds: only who asks for a data set waits for it."""
    program = (
        "import sys, synexs_async; from synexs_async import RunConfig;"
        "assert 'MissionDataset' in dir(synexs_async); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_the_document_s_programs_run(tmp_path: Path) -> None:
    """The examples of docs/datasets.md run as they stand, one after the other."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    finished = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert 0 == finished.returncode, finished.stderr
