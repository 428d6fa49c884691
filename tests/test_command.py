"""The command line, as a real process with real signals."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Command
from datasets import data_set, everything, index_of, log_of, read_json

import synexs_async
from synexs_async import default_scenario
from synexs_async.cli import main

MANY = 6000
RUN = ("--missions", MANY, "--seed", 21)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a run that nothing has happened to."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    finished = Command().run(*RUN, "--output", folder)
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of ten missions."""
    folder = tmp_path_factory.mktemp("quick") / "run"
    assert 0 == Command().run("--quick", "--output", folder).returncode
    return folder


def wait_for_line(process: subprocess.Popen[str], pattern: str) -> str:
    """Read a process's output up to the first line that matches."""
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"the process ended without a line like {pattern!r}")


def worker_of(process: subprocess.Popen[str]) -> int:
    """Find the process id of a run's worker."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    pids = [int(pid) for pid in children.read_text().split()]
    (worker,) = (pid for pid in pids if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return worker


class TestRunning:
    """The main job."""

    def test_quick_leaves_a_whole_data_set(self, command: Command, tmp_path: Path) -> None:
        """`--quick` runs ten missions, says what came of them, and leaves all files of a run."""
        folder = tmp_path / "a" / "new folder"
        finished = command.run("--quick", "--output", folder)
        assert (finished.returncode, finished.stderr) == (0, "")
        assert "complete: 10 missions" in finished.stdout
        assert index_of(folder)["dataset_sha256"] in finished.stdout
        expected = {
            "batches",
            "batches/batch_000000.pt",
            "batches/training_index.json",
            "checkpoint.json",
            "ledger.jsonl",
            "logs",
            "missions",
            "missions/mission_000000000.jsonl",
            "models",
            "progress.json",
            "report.html",
            "report.json",
            "run.json",
            "run.lock",
            "series.jsonl",
        }
        there = {name for name in everything(folder) if not name.startswith("logs/")}
        assert expected - {"ledger.jsonl"} == there - {"ledger.jsonl"}

    def test_a_complete_run_says_so_and_changes_nothing(
        self, command: Command, undisturbed: Path
    ) -> None:
        """Started again, a complete run ends at once, whatever options that are not its own."""
        before = everything(undisturbed)
        finished = command.run(*RUN, "--output", undisturbed, "--workers", 3)
        assert finished.returncode == 0
        assert f"already complete: {MANY:,} missions" in finished.stdout
        after = everything(undisturbed)
        del before["run.lock"], after["run.lock"]  # names its holder
        assert before == after

    def test_a_larger_number_extends_the_run(
        self, command: Command, tmp_path: Path, undisturbed: Path
    ) -> None:
        """A run that grew has the bytes of one that was as large from the start."""
        for missions in (5, 1000, MANY):
            options = ("--missions", missions, "--seed", 21, "--output", tmp_path / "run")
            assert 0 == command.run(*options).returncode
            assert missions == index_of(tmp_path / "run")["missions"]
        assert data_set(undisturbed) == data_set(tmp_path / "run")
        assert (
            index_of(undisturbed)["dataset_sha256"] == index_of(tmp_path / "run")["dataset_sha256"]
        )

    @pytest.mark.parametrize(
        ("options", "env"),
        [
            (("--workers", 3, "--no-uvloop"), {"PYTHONHASHSEED": "1"}),
            (("--checkpoint-every", 77), {"PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu"}),
        ],
    )
    def test_the_bytes_depend_on_the_run_alone(
        self,
        command: Command,
        tmp_path: Path,
        undisturbed: Path,
        options: tuple[object, ...],
        env: dict[str, str],
    ) -> None:
        """Workers, checkpoints, event loop, hash seed and time zone can't be seen in the data."""
        finished = command.run(*RUN, *options, "--output", tmp_path / "run", env=env)
        assert finished.returncode == 0
        assert data_set(undisturbed) == data_set(tmp_path / "run")

    def test_the_printed_scenario_is_the_built_in_one(
        self, command: Command, tmp_path: Path, quick: Path
    ) -> None:
        """`scenario` prints a file that gives the same missions when it is handed back."""
        file = tmp_path / "mine.toml"
        file.write_text(command.run("scenario").stdout, "utf-8")
        assert default_scenario() == synexs_async.load_scenario(file)

        folder = tmp_path / "run"
        assert command.run("--quick", "--output", folder, "--scenario", file).returncode == 0
        assert data_set(quick) == data_set(folder)

    def test_one_file_a_mission(self, command: Command, tmp_path: Path) -> None:
        """`--mission-files single` gives each mission a file, with the same lines."""
        single, journal = tmp_path / "single", tmp_path / "journal"
        options = ("--missions", 70, "--output")
        assert command.run(*options, single, "--mission-files", "single").returncode == 0
        assert command.run(*options, journal).returncode == 0
        files = sorted((single / "missions").iterdir())
        assert [f"mission_{index:09}.jsonl" for index in range(70)] == [f.name for f in files]
        (whole,) = (journal / "missions").iterdir()
        assert whole.read_bytes() == b"".join(file.read_bytes() for file in files)

    def test_no_resume_moves_the_old_run_aside(
        self, command: Command, tmp_path: Path, quick: Path
    ) -> None:
        """`--no-resume` deletes nothing: the old run lies whole where the console says."""
        shutil.copytree(quick, tmp_path, dirs_exist_ok=True)
        old = data_set(tmp_path)
        finished = command.run("--quick", "--output", tmp_path, "--no-resume", "--seed", 5)
        assert finished.returncode == 0
        (archived,) = (tmp_path / "archive").iterdir()
        assert str(archived) in finished.stdout
        assert old == data_set(archived)
        assert old != data_set(tmp_path)
        assert command.run("--quick", "--output", archived).returncode == 0

    def test_the_team_id_is_a_label(self, command: Command, tmp_path: Path, quick: Path) -> None:
        """A team id stands in run.json, and nowhere in the data."""
        assert command.run("--quick", "--output", tmp_path, "--team-id", "red").returncode == 0
        assert read_json(tmp_path / "run.json")["team_id"] == "red"
        assert read_json(quick / "run.json")["team_id"].startswith("team-")
        assert data_set(quick) == data_set(tmp_path)


class TestStopping:
    """Whatever ends a run, the same command goes on to the same bytes."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_stops_in_order(
        self, command: Command, tmp_path: Path, undisturbed: Path, number: signal.Signals
    ) -> None:
        """The exit code tells the signal, the console how to go on, and nothing is lost."""
        with command.start(*RUN, "--output", tmp_path) as process:
            wait_for_line(process, "Progress: ")
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        assert (128 + number, "") == (process.returncode, err)
        assert f"{number.name}: writing what is done" in out
        go_on = f"python -m synexs_async --missions {MANY} --seed 21 --output {tmp_path}"
        assert f"nothing is lost; go on with: {go_on}" in out

        progress = read_json(tmp_path / "progress.json")
        assert progress["status"] == "interrupted"
        assert progress["mission_current"] == progress["checkpoint_missions"]
        journal = tmp_path / "missions" / "mission_000000000.jsonl"
        lines = journal.read_bytes().count(b"\n")
        assert lines == progress["mission_current"]

        finished = command.run(*RUN, "--output", tmp_path)
        assert finished.returncode == 0
        assert f"resuming at mission {lines} of {MANY}" in finished.stdout
        assert data_set(undisturbed) == data_set(tmp_path)

    def test_a_second_signal_gives_up_waiting(
        self, command: Command, tmp_path: Path, undisturbed: Path
    ) -> None:
        """Whoever can't wait presses Ctrl-C again: what is committed stays committed."""
        with command.start(*RUN, "--output", tmp_path) as process:
            wait_for_line(process, "Progress: ")
            os.kill(worker_of(process), signal.SIGSTOP)  # so that the first signal can't be enough
            process.send_signal(signal.SIGINT)
            wait_for_line(process, "SIGINT")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGINT
        assert "gave up" in out
        assert command.run(*RUN, "--output", tmp_path).returncode == 0
        assert data_set(undisturbed) == data_set(tmp_path)

    def test_a_third_signal_waits_for_nothing(self, command: Command, tmp_path: Path) -> None:
        """Not even for a thread that never ends, which nothing can cancel."""
        mission = f"{ROOT}/tests/async_missions.py:stuck"
        with command.start("--mission", mission, "--output", tmp_path) as process:
            wait_for_line(process, "begun")
            process.send_signal(signal.SIGINT)
            wait_for_line(process, "SIGINT")
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGHUP)
            process.communicate(timeout=60)
        assert 128 + signal.SIGINT == process.returncode

    def test_the_grace_period_ends(self, command: Command, tmp_path: Path) -> None:
        """Draining takes as long as `--grace` allows, and no longer."""
        with command.start(*RUN, "--output", tmp_path, "--grace", 0.2) as process:
            wait_for_line(process, "Progress: ")
            os.kill(worker_of(process), signal.SIGSTOP)
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM
        assert "gave up" in out

    @pytest.mark.parametrize("milestone", [1, 5, 9])
    def test_a_killed_run_loses_nothing(
        self, command: Command, tmp_path: Path, undisturbed: Path, milestone: int
    ) -> None:
        """After SIGKILL, at a different place each time, the run goes on to the same bytes."""
        for round_number in range(2):
            with command.start(*RUN, "--output", tmp_path) as process:
                wait_for_line(process, "Progress: " if round_number else f"{milestone}0%")
                process.kill()
        finished = command.run(*RUN, "--output", tmp_path)
        assert finished.returncode == 0
        assert "complete" in finished.stdout
        assert data_set(undisturbed) == data_set(tmp_path)
        assert not list(tmp_path.rglob("*.tmp"))

    def test_a_killed_worker_is_replaced(
        self, command: Command, tmp_path: Path, undisturbed: Path
    ) -> None:
        """The work of a worker that dies is done again by another, with a warning."""
        with command.start(*RUN, "--output", tmp_path) as process:
            wait_for_line(process, "Progress: ")
            killed = worker_of(process)
            os.kill(killed, signal.SIGKILL)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert f"worker process {killed} was killed by signal 9; its work is given" in out
        assert data_set(undisturbed) == data_set(tmp_path)

    def test_signals_are_not_for_workers(
        self, command: Command, tmp_path: Path, undisturbed: Path
    ) -> None:
        """Who stops a job signals all of its processes; the run needs its workers to the end."""
        options = ("--output", tmp_path, "--console-level", "DEBUG")
        with command.start(*RUN, *options) as process:
            wait_for_line(process, "batches written: ")
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(worker_of(process), number)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert "worker process" not in out
        assert data_set(undisturbed) == data_set(tmp_path)

    def test_workers_end_with_the_run(self, command: Command, tmp_path: Path) -> None:
        """No worker outlives a run, not even one that was killed."""
        with command.start(*RUN, "--output", tmp_path) as process:
            wait_for_line(process, "Progress: ")
            worker = os.pidfd_open(worker_of(process))
            process.kill()
        assert wait_for_end(worker)

    def test_nohup_is_respected(self, command: Command, tmp_path: Path) -> None:
        """A hang-up that was ignored from the start does not stop the run."""
        nohup = shutil.which("nohup")
        if nohup is None:
            pytest.skip("nohup is not installed")
        arguments = [nohup, sys.executable, "-m", "synexs_async", *map(str, RUN)]
        arguments += ["--output", str(tmp_path)]
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        ) as process:
            wait_for_line(process, "Progress: ")
            process.send_signal(signal.SIGHUP)
            process.communicate(timeout=60)
        assert process.returncode == 0

    def test_a_console_that_is_gone_stops_nothing(
        self, command: Command, tmp_path: Path, undisturbed: Path
    ) -> None:
        """When nobody reads the output any more, the run goes on to its end."""
        with command.start(*RUN, "--output", tmp_path) as process:
            assert process.stdout is not None
            wait_for_line(process, "starting")
            process.stdout.close()
            process.wait(timeout=60)
        assert process.returncode == 0
        assert data_set(undisturbed) == data_set(tmp_path)

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_it_needs_no_standard_stream(self, tmp_path: Path, quick: Path, closed: str) -> None:
        """A supervisor may start it without any of them, and each of its workers has its own."""
        arguments = shlex.join([sys.executable, "-m", "synexs_async", "--quick"])
        shell = f"exec {arguments} --output {shlex.quote(str(tmp_path))} {closed}"
        finished = subprocess.run(
            ["sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (0, "") == (finished.returncode, finished.stderr)
        assert data_set(quick) == data_set(tmp_path)

    def test_a_full_disk_fails_the_run_and_keeps_the_data(
        self, command: Command, tmp_path: Path, undisturbed: Path
    ) -> None:
        """Exit code 1, the file and the way to go on in one line; with space, it goes on."""
        small = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))"
        run_small = (
            f"{small}; import runpy, sys; sys.argv[0] = 'synexs_async'; "
            "runpy.run_module('synexs_async', run_name='__main__')"
        )
        finished = subprocess.run(
            [sys.executable, "-c", run_small, *map(str, RUN), "--output", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert finished.returncode == 1
        (line,) = finished.stderr.splitlines()
        assert f"File too large: {tmp_path}/missions/mission_000000000.jsonl" in line
        assert "What was committed is kept; go on with: python -m synexs_async" in line
        assert read_json(tmp_path / "progress.json")["status"] == "failed"
        assert "Traceback" in log_of(tmp_path)

        assert command.run(*RUN, "--output", tmp_path).returncode == 0
        assert data_set(undisturbed) == data_set(tmp_path)


def wait_for_end(process: int) -> bool:
    """Wait until the process behind a descriptor has ended."""
    import select

    return bool(select.select([process], [], [], 30)[0])


def exit_code(*arguments: object) -> int:
    """Call the command within this process, up to its end."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return int(ended.code or 0)


def an_existing_file(tmp_path: Path) -> tuple[object, ...]:
    """Give a file as output."""
    (tmp_path / "file").write_text("mine")
    return ("--output", tmp_path / "file")


def below_a_file(tmp_path: Path) -> tuple[object, ...]:
    """Give an output whose parent can't be made."""
    (tmp_path / "file").write_text("mine")
    return ("--output", tmp_path / "file" / "run")


def a_foreign_folder(tmp_path: Path) -> tuple[object, ...]:
    """Give a folder with somebody's files as output."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    return ("--output", tmp_path / "photos")


def scenario(change: Callable[[str], str]) -> Callable[[Path], tuple[object, ...]]:
    """Give a scenario file with a change."""

    def write(tmp_path: Path) -> tuple[object, ...]:
        file = tmp_path / "mine.toml"
        text = (ROOT / "synexs_async/missions/default_scenario.toml").read_text("utf-8")
        file.write_text(change(text), "utf-8")
        return ("--scenario", file, "--output", tmp_path / "run")

    return write


BAD_INPUT = [
    (("--missions", "0"), "--missions: expected a whole number, between 1 and"),
    (("--missions", "-5"), "--missions: expected a whole number, between 1 and"),
    (("--missions", "many"), "--missions: expected a whole number, not 'many'"),
    (("--missions", "10.5"), "--missions: expected a whole number, not '10.5'"),
    (("--missions",), "--missions: expected one argument"),
    (("--workers", "0"), "--workers: expected a whole number, 1 or more, not 0"),
    (("--batch-size", "0"), "--batch-size: expected a whole number, between 1"),
    (("--sequence-length", "0"), "--sequence-length: expected a whole number, between 1"),
    (("--checkpoint-every", "0"), "--checkpoint-every: expected a whole number, 1 or more"),
    (("--seed", "-1"), "--seed: expected a whole number, between 0 and"),
    (("--grace", "-1"), "--grace: expected a number of seconds, 0 or more, not -1.0"),
    (("--grace", "soon"), "--grace: expected a number, not 'soon'"),
    (("--grace", "nan"), "--grace: expected a number of seconds, 0 or more, not nan"),
    (("--log-level", "LOUD"), "--log-level: invalid choice: 'LOUD'"),
    (("--mission-files", "two"), "--mission-files: invalid choice: 'two'"),
    (("--team-id", ""), "--team-id: expected a text of printable characters"),
    (("--quick", "--missions", "5"), "--quick"),
    (("--missionz", "5"), "unrecognized arguments: --missionz 5"),
    (("--mission", "5"), "mission 5: is not known; expected one of team"),
    (("five",), "unrecognized arguments: five"),
    (("scenario", "easy"), "unrecognized arguments: easy"),
    (("--scenario", "/no/such.toml"), "/no/such.toml: can't be read: No such file or directory"),
    (scenario(lambda text: text + "]"), "mine.toml: is not a TOML file"),
    (scenario(lambda text: text.replace("share = 0.5", "", 1)), "medium.share: is missing"),
    (scenario(lambda text: text + "mood = 1\n"), "honeypot.mood: is unknown"),
    (
        scenario(lambda text: text.replace("[0.8, 0.95]", "[0.8, 1.95]", 1)),
        "easy.success_probability[1]: expected at most 1, not 1.95",
    ),
    (
        scenario(lambda text: text.replace("share = 0.5", "share = 0.6", 1)),
        "share: expected shares that sum to 1, not 0.2 + 0.6 + 0.2 + 0.1 = 1.1",
    ),
    (
        scenario(lambda text: text.replace("[0.1, 0.3]", "[0.3, 0.1]", 1)),
        "easy.risk_level: expected the lowest value first, not [0.3, 0.1]",
    ),
    (
        scenario(lambda text: text.replace("share = 0.5", 'share = "half"', 1)),
        "medium.share: expected a number, not 'half'",
    ),
]
BAD_FOLDERS = [
    (an_existing_file, "file: is a file; choose a folder"),
    (below_a_file, "can't be used: Not a directory; choose another --output"),
    (a_foreign_folder, "photos: is not empty and holds no run of ours"),
]


class TestBadInput:
    """One clear line, exit code 2, and nothing on disk changed."""

    @pytest.mark.parametrize("arguments", ["--quick --output", "tail", "verify"])
    def test_a_current_folder_that_is_gone(self, tmp_path: Path, arguments: str) -> None:
        """No path that is told from there means anything."""
        gone = tmp_path / "gone"
        gone.mkdir()
        shell = f"rmdir {gone} && exec {sys.executable} -m synexs_async {arguments} run"
        finished = subprocess.run(
            ["sh", "-c", shell],
            cwd=gone,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        problem = "run: is in the current folder, which is gone; change to another"
        expected = (2, f"synexs_async: error: {problem}\n")
        assert expected == (finished.returncode, finished.stderr)

    @pytest.mark.parametrize(("arguments", "problem"), BAD_INPUT)
    def test_it_is_refused(
        self,
        capfd: pytest.CaptureFixture[str],
        tmp_path: Path,
        arguments: tuple[str, ...] | Callable[[Path], tuple[object, ...]],
        problem: str,
    ) -> None:
        """The line names what is wrong and what would be right."""
        if callable(arguments):
            given = arguments(tmp_path)
        elif arguments[0] == "scenario":
            given = arguments
        else:
            given = (*arguments, "--output", tmp_path / "run")
        before = everything(tmp_path)
        assert 2 == exit_code(*given)
        out, err = capfd.readouterr()
        (line,) = err.splitlines()
        assert "" == out
        assert line.startswith("synexs_async: error: ")
        assert problem in line
        assert before == everything(tmp_path)

    @pytest.mark.parametrize(("options", "problem"), BAD_FOLDERS)
    def test_a_folder_that_can_t_be_a_run_s_is_refused(
        self,
        command: Command,
        tmp_path: Path,
        options: Callable[[Path], tuple[object, ...]],
        problem: str,
    ) -> None:
        """Other people's files stay as they are."""
        given = options(tmp_path)
        before = everything(tmp_path)
        finished = command.run(*given)
        assert (2, "") == (finished.returncode, finished.stdout)
        (line,) = finished.stderr.splitlines()
        assert line.startswith("synexs_async: error: ")
        assert problem in line
        assert before == everything(tmp_path)

    def test_a_folder_of_another_run_is_refused(self, command: Command, undisturbed: Path) -> None:
        """Each field that differs is named, with the two ways out."""
        before = everything(undisturbed)
        finished = command.run("--missions", MANY, "--batch-size", 8, "--output", undisturbed)
        assert finished.returncode == 2
        (line,) = finished.stderr.splitlines()
        for part in (
            "seed is 21 there, 0 was asked for",
            "batch_size is 32 there, 8 was asked for",
            "another --output",
            "--no-resume",
        ):
            assert part in line
        assert before == everything(undisturbed)

    def test_a_folder_in_use_is_refused(self, command: Command, tmp_path: Path) -> None:
        """A second run in the folder is told who holds it, and the first is not disturbed."""
        with command.start(*RUN, "--output", tmp_path) as process:
            wait_for_line(process, "Progress: ")
            finished = command.run(*RUN, "--output", tmp_path)
            process.communicate(timeout=60)
        assert (finished.returncode, process.returncode) == (2, 0)
        (line,) = finished.stderr.splitlines()
        assert f"in use by process {process.pid} on " in line

    def test_fewer_missions_than_there_are_is_refused(
        self, command: Command, tmp_path: Path
    ) -> None:
        """An interrupted run can't shrink; a complete one is complete for any smaller number."""
        with command.start(*RUN, "--output", tmp_path) as process:
            wait_for_line(process, "Progress: ")
            process.kill()
        finished = command.run("--missions", 5, "--seed", 21, "--output", tmp_path)
        assert finished.returncode == 2
        assert "missions already; ask for at least as many with --missions" in finished.stderr
        assert command.run(*RUN, "--output", tmp_path).returncode == 0
        assert command.run("--missions", 5, "--seed", 21, "--output", tmp_path).returncode == 0


class TestHelp:
    """What the command says of itself."""

    def test_help_names_every_option_of_a_run(self, command: Command) -> None:
        """Each field of RunConfig is an option, and `--help` has examples."""
        text = command.run("--help").stdout
        from synexs_async.config import OPTIONS

        for option in OPTIONS:
            name = option.name.replace("_", "-")
            assert f"  --no-{name}" in text if name == "resume" else f"  --{name} " in text
        assert "examples:" in text
        assert "exit codes:" in text

    def test_help_does_not_import_what_a_run_needs(self) -> None:
        """`--help` is there at once: neither torch nor NumPy nor an event loop is imported."""
        program = (
            "import sys; from synexs_async.cli import main\n"
            "try: main(['--help'])\n"
            "except SystemExit: pass\n"
            "print(sorted({'torch', 'numpy', 'asyncio', 'rich'} & set(sys.modules)))"
        )
        finished = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert finished.stdout.splitlines()[-1] == "[]"

    def test_the_version_is_the_package_s(self, command: Command) -> None:
        """`--version` says which version is installed."""
        assert re.match(r"synexs_async \S+", command.run("--version").stdout)
