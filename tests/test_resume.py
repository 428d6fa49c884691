"""A folder that was damaged between two sessions: mended with a warning, or refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from air import AirMission
from builders import BATCH_SIZE, SEED, SEQUENCE_LENGTH, identity_of_tests, layout_in, write_run
from datasets import data_set, everything, index_of, log_of, read_json
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synexs_async import FolderError, JournalDamaged, RunConfig, RunReport, run
from synexs_async.storage.folder import RunFile, settle

TOTAL = 300


def start(folder: Path, missions: int) -> RunReport:
    """Run missions to the end."""
    config = RunConfig(
        missions=missions, output=folder, mission=AirMission(), batch_size=16, checkpoint_every=50
    )
    return anyio.run(run, config)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a complete run of 300 missions."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    start(folder, TOTAL)
    return folder


@pytest.fixture(scope="module")
def two_thirds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a run of 200 missions, with 8 of them in a short batch."""
    folder = tmp_path_factory.mktemp("two-thirds") / "run"
    start(folder, 200)
    return folder


def append(name: str, data: bytes) -> Callable[[Path], None]:
    """Give a damage: bytes behind a file."""

    def damage(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write(data)

    return damage


def remove(name: str) -> Callable[[Path], None]:
    """Give a damage: a file that is gone."""
    return lambda folder: (folder / name).unlink()


def write(name: str, data: bytes) -> Callable[[Path], None]:
    """Give a damage: a file with other content."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return damage


JOURNAL = "missions/mission_000000000.jsonl"

MENDED = {
    "a torn last line": (append(JOURNAL, b'{"mission_id": "x", "mis'), "the line is torn"),
    "a foreign last line": (append(JOURNAL, b"hello\n"), "the line is no record"),
    "no checkpoint": (remove("checkpoint.json"), "no checkpoint to go on from"),
    "an empty checkpoint": (write("checkpoint.json", b""), "checkpoint.json can't be read"),
    "a checkpoint of nonsense": (write("checkpoint.json", b"{}"), "checkpoint.json can't be read"),
    "a missing batch": (remove("batches/batch_000003.pt"), "1 batches are missing or damaged"),
    "a damaged batch": (write("batches/batch_000003.pt", b"PK"), "batch_000003.pt"),
    "no ledger": (remove("ledger.jsonl"), "12 batches are missing or damaged"),
    "a ledger of nonsense": (write("ledger.jsonl", b"\xff\n{}\n"), "12 batches are missing"),
    "a temporary file": (
        write("batches/.batch_000013.pt.0123456789ab.tmp", b"PK"),
        "1 left-over temporary",
    ),
    "no progress file": (remove("progress.json"), ""),
    "no index": (remove("batches/training_index.json"), ""),
    "no short batch": (remove("batches/batch_000012.pt"), ""),
}


@pytest.mark.parametrize("damage", MENDED)
def test_it_is_mended_with_a_warning(
    damage: str, two_thirds: Path, whole: Path, tmp_path: Path
) -> None:
    """The run goes on to the bytes of an undisturbed one, and the log says what was found."""
    inflict, warning = MENDED[damage]
    folder = tmp_path / "run"
    shutil.copytree(two_thirds, folder)
    inflict(folder)
    report = start(folder, TOTAL)
    assert ("completed", 100) == (report.status, report.new_missions)
    assert data_set(whole) == data_set(folder)
    assert report.dataset_sha256 == index_of(whole)["dataset_sha256"]
    assert (
        read_json(whole / "checkpoint.json")["sums"]
        == read_json(folder / "checkpoint.json")["sums"]
    )
    warnings = [line for line in log_of(folder).splitlines() if "| WARNING  |" in line]
    assert bool(warning) == bool(warnings)
    assert warning in "".join(warnings)
    assert not list(folder.rglob("*.tmp"))


def test_a_complete_run_that_lost_a_file_is_made_whole_again(whole: Path, tmp_path: Path) -> None:
    """The same command makes again what can be made from the journal."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for name in ("batch_000000.pt", "batch_000018.pt", "training_index.json"):
        (folder / "batches" / name).unlink()
    report = start(folder, TOTAL)
    assert ("completed", 0) == (report.status, report.new_missions)
    assert data_set(whole) == data_set(folder)
    assert index_of(whole)["batches"] == index_of(folder)["batches"]


@pytest.mark.parametrize("told", [None, b"", b'{"status":"running"}'])
def test_monitors_are_told_that_a_run_is_complete(
    whole: Path, tmp_path: Path, told: bytes | None
) -> None:
    """A run that was killed after its last checkpoint says "completed" when it is started again."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    if told is None:
        (folder / "progress.json").unlink()
    else:
        (folder / "progress.json").write_bytes(told)
    assert start(folder, TOTAL).status == "completed"
    assert read_json(folder / "progress.json")["status"] == "completed"
    assert data_set(whole) == data_set(folder)


def test_a_run_that_lost_its_identity_is_not_mixed_with_another(
    whole: Path, tmp_path: Path
) -> None:
    """Without run.json nobody knows whose records these are, so nothing is added to them."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    shutil.copytree(whole, folder / "archive" / "20260131_235959")
    (folder / "run.json").unlink()
    before = everything(folder)
    with pytest.raises(FolderError, match="holds no run of ours"):
        start(folder, TOTAL + 1)
    assert before == everything(folder)


def corrupt(folder: Path) -> None:
    """Overwrite some bytes of line 6."""
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    lines[5] = b"#" * 20 + lines[5][20:]
    (folder / JOURNAL).write_bytes(b"".join(lines))


def lose_a_line(folder: Path) -> None:
    """Leave out line 6."""
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join(lines[:5] + lines[6:]))


@pytest.mark.parametrize("with_checkpoint", [True, False])
@pytest.mark.parametrize("damage", [corrupt, lose_a_line])
def test_damage_in_the_middle_is_refused(
    damage: Callable[[Path], None], with_checkpoint: bool, two_thirds: Path, tmp_path: Path
) -> None:
    """A journal that no crash leaves behind is never cut: file and line are named."""
    folder = tmp_path / "run"
    shutil.copytree(two_thirds, folder)
    damage(folder)
    if not with_checkpoint:
        (folder / "checkpoint.json").unlink()
    before = everything(folder)
    with pytest.raises(JournalDamaged, match=r"mission_000000000\.jsonl, line 6: "):
        start(folder, TOTAL)
    after = everything(folder)
    del before["run.lock"], after["run.lock"]  # names its last holder
    assert before == after


def test_a_missing_journal_file_is_refused(two_thirds: Path, tmp_path: Path) -> None:
    """Committed records that are gone are not simulated again behind the user's back."""
    folder = tmp_path / "run"
    shutil.copytree(two_thirds, folder)
    (folder / JOURNAL).unlink()
    with pytest.raises(JournalDamaged, match=r"mission_000000000\.jsonl: the file is missing"):
        start(folder, TOTAL)


@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(kept=st.integers(0, 200), torn=st.integers(1, 30))
def test_a_journal_cut_anywhere_ahead_of_the_checkpoint_goes_on(
    two_thirds: Path, whole: Path, tmp_path_factory: pytest.TempPathFactory, kept: int, torn: int
) -> None:
    """Whatever a crash leaves of the journal, and whatever batches, the end is the same."""
    folder = tmp_path_factory.mktemp("cut") / "run"
    shutil.copytree(two_thirds, folder)
    (folder / "checkpoint.json").unlink()
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join(lines[:kept]) + b"".join(lines[kept:])[:torn])
    report = start(folder, TOTAL)
    assert TOTAL - kept == report.new_missions
    assert data_set(whole) == data_set(folder)


def test_only_the_end_is_missing(tmp_path: Path) -> None:
    """Killed behind a checkpoint of all its missions, a run has nothing to write but its index."""
    layout = layout_in(tmp_path / "run", missions_per_file=10_000)
    settle(layout.folder, RunFile(identity_of_tests(), "tests"))
    write_run(layout, 48, checkpoint_at=48)  # twelve whole batches
    config = RunConfig(
        missions=48,
        output=tmp_path / "run",
        seed=SEED,
        batch_size=BATCH_SIZE,
        sequence_length=SEQUENCE_LENGTH,
    )
    before = data_set(tmp_path / "run")

    report = anyio.run(run, config)

    assert ("completed", 0) == (report.status, report.new_missions)
    assert report.dataset_sha256 == index_of(tmp_path / "run")["dataset_sha256"]
    assert before == data_set(tmp_path / "run")
