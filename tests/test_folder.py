"""A run's folder: who may write to it, and whose run it holds."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from builders import identity_of_tests, nothing_changes
from datasets import everything, read_json

from synexs_async import FolderError, FolderInUse, IdentityMismatch
from synexs_async.storage.folder import (
    RunFile,
    RunFolder,
    acquire,
    adopt,
    check_kinds,
    read_run_file,
    settle,
)

RUN = RunFile(identity_of_tests(), "tests")
OTHER = RunFile(msgspec.structs.replace(RUN.identity, seed=8), "others")

PARTS = (
    *("checkpoint.json", "ledger.jsonl", "progress.json", "logs", "missions", "batches", "models"),
    "run.json",
)


def claim(path: Path, run: RunFile = RUN, *, resume: bool = True) -> tuple[RunFile, Path | None]:
    """Lock a folder, make it that of a run, and let it go."""
    folder = RunFolder(path)
    with acquire(folder):
        run_file, archived = adopt(folder, run, resume=resume)
        settle(folder, run_file)
        return run_file, archived


def fill(path: Path) -> dict[str, bytes | None]:
    """Leave something of a run in every part of a folder; return what belongs to the run."""
    claim(path)
    for name in PARTS[:3]:
        (path / name).write_text(f"{name} of the old run")
    for name in PARTS[3:7]:
        (path / name / "deeper").mkdir()
        (path / name / "deeper" / "file").write_text(f"a file in {name} of the old run")
    return {name: content for name, content in everything(path).items() if name != "run.lock"}


class TestLock:
    """One run in a folder at a time."""

    def test_a_folder_in_use_is_refused_and_its_holder_named(self, tmp_path: Path) -> None:
        """A second run is told which process on which machine holds the folder."""
        folder = RunFolder(tmp_path)
        with acquire(folder):
            adopt(folder, RUN, resume=True)
            before = everything(tmp_path)

            for _ in range(2):
                with pytest.raises(FolderInUse) as caught:
                    acquire(RunFolder(tmp_path))
                holder = f"process {os.getpid()} on {socket.gethostname()}"
                assert (tmp_path, holder) == (caught.value.folder, caught.value.holder)
                assert f"{tmp_path}: in use by {holder}; " in str(caught.value)
            assert before == everything(tmp_path)

    def test_a_folder_is_free_again_when_its_run_has_ended(self, tmp_path: Path) -> None:
        """The lock's file stays, the lock does not."""
        claim(tmp_path)

        assert (RUN, None) == claim(tmp_path)

    def test_a_process_that_is_killed_leaves_no_lock_behind(self, tmp_path: Path) -> None:
        """Nobody has to remove a lock by hand."""
        program = (
            "import sys; from builders import *; from pathlib import Path\n"
            "from synexs_async.storage.folder import *\n"
            "folder = RunFolder(Path(sys.argv[1]))\n"
            "lock = acquire(folder)\n"
            "adopt(folder, RunFile(identity_of_tests(), 'tests'), resume=True)\n"
            "print('held', flush=True); sys.stdin.read()\n"
        )
        here = Path(__file__).parent
        search = os.pathsep.join([str(here), str(here.parent)])
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": search},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(FolderInUse, match=f"in use by process {holder.pid} on "):
                acquire(RunFolder(tmp_path))
            holder.send_signal(signal.SIGKILL)
            holder.wait()

        assert (RUN, None) == claim(tmp_path)


class TestPlace:
    """Folders that may be used, and others."""

    @pytest.mark.parametrize("name", ["new", "new/deep/down"])
    def test_a_folder_that_is_not_there_is_made(self, tmp_path: Path, name: str) -> None:
        """With all that a run needs in it."""
        claim(tmp_path / name)

        expected = {"batches", "logs", "missions", "models", "run.json", "run.lock"}
        assert expected == {entry.name for entry in (tmp_path / name).iterdir()}

    def test_a_file_is_refused(self, tmp_path: Path) -> None:
        """A file given as --output is named, and stays as it is."""
        file = tmp_path / "output"
        file.write_text("mine")

        with pytest.raises(FolderError) as caught:
            acquire(RunFolder(file))

        assert f"{file}: is a file; choose a folder as --output" == str(caught.value)
        assert {"output": b"mine"} == everything(tmp_path)

    def test_a_folder_below_a_file_is_refused(self, tmp_path: Path) -> None:
        """It can't be made, and the operating system's reason is told."""
        (tmp_path / "file").write_text("mine")

        with pytest.raises(FolderError, match=r"Not a directory; choose another --output"):
            acquire(RunFolder(tmp_path / "file" / "output"))

    @pytest.mark.parametrize(
        "name",
        ["notes.txt", "checkpoint.json", "ledger.jsonl", "batches/mine.pt", ".hidden", "run.jsonl"],
    )
    def test_a_folder_of_somebody_else_is_refused(self, tmp_path: Path, name: str) -> None:
        """A folder with anything in it that is no run of ours is not touched."""
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
        before = everything(tmp_path)

        with pytest.raises(FolderError) as caught:
            acquire(RunFolder(tmp_path))

        assert not isinstance(caught.value, FolderInUse)
        assert "is not empty and holds no run of ours" in caught.value.problem
        assert before == everything(tmp_path)

    @pytest.mark.parametrize("archived", [True, False])
    def test_a_run_that_lost_its_identity_is_not_taken_over(
        self, tmp_path: Path, archived: bool
    ) -> None:
        """Records without run.json are refused: nobody knows whose they are."""
        if archived:
            claim(tmp_path)
            claim(tmp_path, resume=False)
        fill(tmp_path)
        (tmp_path / "run.json").unlink()

        with nothing_changes(tmp_path), pytest.raises(FolderError) as caught:
            acquire(RunFolder(tmp_path))

        assert "holds no run of ours" in caught.value.problem

    @pytest.mark.parametrize(
        "left",
        [
            [],
            ["run.lock"],
            ["run.lock", "logs/", "missions/"],
            ["run.lock", "logs/", "missions/", "batches/", "models/"],
            ["run.lock", "logs/", "missions/", "batches/", "models/", ".run.json.0123456789ab.tmp"],
        ],
    )
    def test_what_a_start_that_was_killed_has_left_is_taken(
        self, tmp_path: Path, left: list[str]
    ) -> None:
        """However early a first start ended, the next one goes on."""
        for name in left:
            if name.endswith("/"):
                (tmp_path / name).mkdir()
            else:
                (tmp_path / name).write_text("")

        assert (RUN, None) == claim(tmp_path)
        assert RUN == read_run_file(RunFolder(tmp_path))

    def test_files_of_somebody_else_beside_a_run_stay(self, tmp_path: Path) -> None:
        """A run's folder may hold notes about it."""
        claim(tmp_path)
        (tmp_path / "notes.txt").write_text("mine")
        before = everything(tmp_path)

        claim(tmp_path)

        assert before == everything(tmp_path)


class TestKinds:
    """What bears the name of a part of the run is what it has to be."""

    @pytest.mark.parametrize(
        "name", [*PARTS, "batches/batch_000000.pt", "missions/mission_0.jsonl"]
    )
    @pytest.mark.parametrize("what", ["other kind", "link to itself"])
    def test_anything_else_is_refused_by_name(self, tmp_path: Path, name: str, what: str) -> None:
        """A folder where a file belongs, a file where a folder does, a link that leads nowhere."""
        fill(tmp_path)
        path = tmp_path / name
        is_folder = path.is_dir()
        if is_folder:
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if what == "link to itself":
            path.symlink_to(path.name)
        elif is_folder:
            path.write_text("a file")
        else:
            path.mkdir()

        with pytest.raises(FolderError) as caught:
            check_kinds(RunFolder(tmp_path))

        kind = "folder" if is_folder else "file"
        assert f"{path}: is no {kind}, as a run needs it to be; move it away" == str(caught.value)


class TestIdentity:
    """A folder holds one run."""

    def test_the_identity_is_written_before_anything_else(self, tmp_path: Path) -> None:
        """run.json tells what the data set is a function of, in plain JSON."""
        claim(tmp_path)

        expected = {
            "identity": msgspec.to_builtins(RUN.identity, builtin_types=()),
            "team_id": "tests",
        }
        assert msgspec.json.decode(msgspec.json.encode(expected)) == read_json(
            tmp_path / "run.json"
        )
        assert RUN == read_run_file(RunFolder(tmp_path))

    def test_a_run_keeps_the_label_that_it_began_with(self, tmp_path: Path) -> None:
        """The team id is no part of the identity: another one is no other run."""
        claim(tmp_path)
        before = everything(tmp_path)

        assert (RUN, None) == claim(tmp_path, RunFile(RUN.identity, "renamed"))
        assert before == everything(tmp_path)

    def test_another_run_is_refused_and_each_difference_named(self, tmp_path: Path) -> None:
        """All that differs is told at once, with what is there and what was asked for."""
        parameters = msgspec.json.decode(msgspec.json.encode(RUN.identity.parameters))
        parameters["easy"]["share"] = 0.3
        parameters["medium"]["share"] = 0.4
        parameters["hard"]["defenses"] = ["moat"]
        wanted = msgspec.structs.replace(
            RUN.identity,
            seed=8,
            batch_size=16,
            sequence_length=12,
            mission_files="single",
            mission="air",
            mission_version=2,
            parameters=parameters,
        )
        fill(tmp_path)
        before = everything(tmp_path)

        with pytest.raises(IdentityMismatch) as caught:
            claim(tmp_path, RunFile(wanted, "tests"))

        there = msgspec.to_builtins(RUN.identity.parameters)
        differences = {
            "mission": ("team", "air"),
            "mission_version": (1, 2),
            "parameters.easy.share": (0.2, 0.3),
            "parameters.medium.share": (0.5, 0.4),
            "parameters.hard.defenses": (list(there["hard"]["defenses"]), ["moat"]),
            "seed": (7, 8),
            "batch_size": (4, 16),
            "sequence_length": (6, 12),
            "mission_files": ("journal", "single"),
        }
        assert differences == caught.value.differences
        message = str(caught.value)
        for field, (old, new) in differences.items():
            assert f"{field} is {old!r} there, {new!r} was asked for" in message
        assert "Choose another --output, or add --no-resume" in message
        assert before == everything(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"identity":{},"team_id":""}'])
    def test_an_identity_that_cant_be_read_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """A run whose identity is unknown is not mixed with another."""
        fill(tmp_path)
        (tmp_path / "run.json").write_bytes(content)
        before = everything(tmp_path)

        with pytest.raises(FolderError, match=r"run\.json can't be read"):
            claim(tmp_path)

        assert before == everything(tmp_path)

    def test_a_folder_without_a_run_has_no_identity(self, tmp_path: Path) -> None:
        """Readers are told so."""
        with pytest.raises(FolderError, match=r"holds no run: there is no run\.json in it"):
            read_run_file(RunFolder(tmp_path))


class TestArchive:
    """--no-resume: the old run is moved aside, never deleted."""

    @pytest.mark.parametrize("wanted", [RUN, OTHER])
    def test_the_old_run_is_moved_aside_whole(self, tmp_path: Path, wanted: RunFile) -> None:
        """Everything of it lies in archive/<time>, and the new run starts in an empty folder."""
        old = fill(tmp_path)
        began = f"{datetime.now():%Y%m%d_%H%M%S}"

        run, archived = claim(tmp_path, wanted, resume=False)

        assert archived is not None
        assert tmp_path / "archive" == archived.parent
        assert began <= archived.name <= f"{datetime.now():%Y%m%d_%H%M%S}"
        assert old == everything(archived)
        assert wanted == run == read_run_file(RunFolder(tmp_path))
        assert fresh(tmp_path)

    def test_files_of_somebody_else_stay_where_they_are(self, tmp_path: Path) -> None:
        """Just what the run wrote is moved."""
        old = fill(tmp_path)
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "mine.txt").write_text("mine")

        _, archived = claim(tmp_path, resume=False)

        assert archived is not None
        assert old == everything(archived)
        assert (tmp_path / "notes" / "mine.txt").read_text() == "mine"
        assert (RUN, None) == claim(tmp_path)

    def test_runs_are_archived_one_beside_the_other(self, tmp_path: Path) -> None:
        """However quickly one follows the other, none is lost."""
        archives: dict[Path, dict[str, bytes | None]] = {}
        for number in range(3):
            claim(tmp_path)
            (tmp_path / "progress.json").write_text(f"run {number}")
            _, archived = claim(tmp_path, resume=False)
            assert archived is not None
            archives[archived] = everything(archived)

        assert len(archives) == 3
        assert archives == {archive: everything(archive) for archive in archives}
        assert [b"run 0", b"run 1", b"run 2"] == [
            archives[archive]["progress.json"] for archive in sorted(archives)
        ]

    def test_where_there_is_no_run_there_is_nothing_to_archive(self, tmp_path: Path) -> None:
        """--no-resume in a new folder just starts."""
        assert (RUN, None) == claim(tmp_path / "new", resume=False)
        assert not (tmp_path / "new" / "archive").exists()

    @pytest.mark.parametrize("resume", [True, False])
    @pytest.mark.parametrize("foreign", [True, False])
    @pytest.mark.parametrize("moved", range(len(PARTS) + 1))
    def test_an_archiving_that_was_interrupted_is_finished_by_the_next_start(
        self, tmp_path: Path, moved: int, foreign: bool, resume: bool
    ) -> None:
        """Wherever it was killed, the old run is whole afterwards, and in one place."""
        old = fill(tmp_path)
        if foreign:
            (tmp_path / "notes.txt").write_text("mine")
        half = tmp_path / "archive" / "20260131_235959.partial"
        half.mkdir(parents=True)
        for part in PARTS[:moved]:
            (tmp_path / part).rename(half / part)

        run, archived = claim(tmp_path, OTHER, resume=resume)

        assert tmp_path / "archive" / "20260131_235959" == archived
        assert [archived] == list((tmp_path / "archive").iterdir())
        assert old == everything(archived)
        assert OTHER == run == read_run_file(RunFolder(tmp_path))
        assert foreign == (tmp_path / "notes.txt").exists()

    @pytest.mark.parametrize("foreign", [True, False])
    def test_a_start_that_was_killed_just_after_archiving_can_be_repeated(
        self, tmp_path: Path, foreign: bool
    ) -> None:
        """Between the old run and the new one the folder is still known to be ours."""
        old = fill(tmp_path)
        if foreign:
            (tmp_path / "notes.txt").write_text("mine")
        archive = tmp_path / "archive" / "20260131_235959"
        archive.mkdir(parents=True)
        for part in PARTS:
            (tmp_path / part).rename(archive / part)

        assert (RUN, None) == claim(tmp_path)
        assert old == everything(archive)

    @pytest.mark.parametrize("moved", [0, 2])
    def test_a_part_that_is_a_mount_is_refused_by_name(self, tmp_path: Path, moved: int) -> None:
        """It can't be moved aside; the run stays whole, also where an archiving had begun."""
        if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
            pytest.skip("no mounts of one's own here")
        fill(tmp_path)
        before = everything(tmp_path)
        if moved:
            half = tmp_path / "archive" / "20260131_235959.partial"
            half.mkdir(parents=True)
            for part in PARTS[:moved]:
                (tmp_path / part).rename(half / part)
        program = (
            "import sys; from test_folder import *\n"
            "try: claim(Path(sys.argv[1]), resume=False)\n"
            "except FolderError as error: print(error)\n"
        )
        here = Path(__file__).parent
        search = os.pathsep.join([str(here), str(here.parent)])
        shell = 'mount --bind "$0/batches" "$0/batches" && exec "$1" -c "$2" "$0"'
        command = ["unshare", "--mount", "sh", "-c", shell, str(tmp_path), sys.executable, program]

        told = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": search},
            capture_output=True,
            text=True,
            check=True,
        )

        assert "" == told.stderr
        assert f"{tmp_path / 'batches'}: can't be moved to {tmp_path / 'archive'} (" in told.stdout
        assert before == everything(tmp_path)


def fresh(path: Path) -> bool:
    """Whether a folder holds a run that has not begun."""
    parts = {name for name in everything(path) if not name.startswith("archive")}
    return parts == {"batches", "logs", "missions", "models", "run.json", "run.lock"}
