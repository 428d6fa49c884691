"""Missions of one's own, as plain functions: what they are given, and what comes of it.

What holds for async ones too is in test_own_missions.py.
"""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import numpy as np
import pytest
import torch
from conftest import ROOT, Command
from datasets import data_set, index_of, log_of
from plain_missions import journal_only

from synexs_async import (
    ConfigError,
    IdentityMismatch,
    MissionError,
    MissionFailed,
    ParameterError,
    Record,
    RunConfig,
    load_mission,
    mission,
    mission_identifiers,
    open_run,
    read_journal,
    run,
    verify_run,
)
from synexs_async.cli import main

FILE = str(Path(__file__).with_name("plain_missions.py"))
WALK = f"{FILE}:walk"
TALLY = f"{FILE}:journal_only"


def config(output: Path, missions: int = 100, **options: Any) -> RunConfig:
    """Configure a run of walks."""
    return RunConfig(**{"missions": missions, "output": output, "mission": WALK, **options})


async def records_of(folder: Path) -> list[Any]:
    """Read a run's records."""
    return await anyio.to_thread.run_sync(lambda: list(read_journal(folder)))


def identity_of(folder: Path) -> dict[str, Any]:
    """Read what a run's data set is a function of."""
    identity: dict[str, Any] = msgspec.json.decode((folder / "run.json").read_bytes())["identity"]
    return identity


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a run of eight walks, of three rows each in their batch."""
    folder = tmp_path_factory.mktemp("eight") / "run"
    anyio.run(run, config(folder, 8, sequence_length=3))
    return folder


class TestRuns:
    """What a run leaves of plain missions."""

    async def test_a_journal_alone_where_there_are_no_features(self, tmp_path: Path) -> None:
        """Such a run has no batches, can be gone on with, and can be verified."""
        await run(config(tmp_path / "grown", 40, mission=TALLY))
        report = await run(config(tmp_path / "grown", 100, mission=TALLY))
        await run(config(tmp_path / "whole", 100, mission=TALLY, workers=2))
        verification = await verify_run(tmp_path / "grown", mission=TALLY, sample=100)

        assert [] == sorted((tmp_path / "grown" / "batches").glob("*.pt"))
        assert data_set(tmp_path / "whole") == data_set(tmp_path / "grown")
        assert (34, 33, 33) == (
            report.outcomes.success_count,
            report.outcomes.failure_count,
            report.outcomes.abort_count,
        )
        assert (True, report.dataset_sha256) == (verification.holds, verification.dataset_sha256)

    async def test_the_kind_itself_verifies_a_run_with_other_parameters(
        self, tmp_path: Path
    ) -> None:
        """It is given the run's, as one that is named is."""
        mission = journal_only
        await run(config(tmp_path, 20, mission=mission, parameters={"what": "nothing"}))
        assert (await verify_run(tmp_path, mission=mission, sample=100)).holds

    async def test_what_it_records_is_in_the_journal(self, eight: Path) -> None:
        """Messages, decisions, steps and metrics, with NumPy's values and sets as JSON's."""
        record = (await records_of(eight))[1]
        assert isinstance(record, Record)
        total = record.metrics["total"]
        assert 1.0 == record.duration
        assert [0.0, 0.5] == [step["at"] for step in record.steps]
        assert total == sum(step["value"] for step in record.steps) == record.result[0]
        (message,), (decision,) = record.communications, record.decisions
        assert (1.0, "walker", "judge") == (message.timestamp, message.sender, message.receiver)
        assert ({"total": total}, {"seen": ["a", "b"]}) == (message.content, decision.content)
        assert ("success", int(total > 0)) == (record.status, record.training_label)

    async def test_batches_hold_what_the_encoder_gives(self, eight: Path) -> None:
        """A row a step, then zeros; labels and metrics by the names that the kind declares."""
        batch = torch.load(eight / "batches" / "batch_000000.pt", weights_only=True)
        index = index_of(eight)
        records = await records_of(eight)
        assert (8, 3, 2) == tuple(batch["features"].shape)
        assert [1, 2, 3, 3, 1, 2, 3, 3] == batch["features"][:, :, 1].sum(1).tolist()
        assert records[1].steps[1]["value"] == batch["features"][1, 1, 0].item()
        assert 0.0 == batch["features"][1, 2].abs().sum().item()
        assert [record.training_label for record in records] == batch["labels"].tolist()
        assert {
            "mission_id": records[0].mission_id,
            "duration": 0.5,
            "status": "success",
            "total": records[0].metrics["total"],
        } == batch["metadata"][0]
        assert (["value", "mask"], ["low", "high"]) == (
            index["feature_names"],
            index["label_names"],
        )

    async def test_a_mission_without_steps_has_no_rows(self, tmp_path: Path) -> None:
        """What its encoder makes of none is an empty list: zeros alone stand for it in a batch."""
        await run(config(tmp_path, 4, mission=f"{FILE}:odd", sequence_length=2))
        batch = await anyio.to_thread.run_sync(torch.load, tmp_path / "batches" / "batch_000000.pt")
        assert [[[0], [0]], [[7], [0]], [[0], [0]], [[7], [0]]] == batch["features"].tolist()
        assert [0, 1, 0, 1] == [row["odd"] for row in batch["metadata"]]
        assert ["0", "1"] == [repr(row.metrics["odd"]) for row in (await records_of(tmp_path))[:2]]

    @pytest.mark.parametrize(
        ("value", "recorded"), [(True, 1), (np.bool_(True), 1), (np.int64(3), 3), (2**70, 2**70)]
    )
    def test_what_a_metric_may_be(self, value: Any, recorded: int) -> None:
        """Also what is true or false, and a large integer."""

        @mission(metrics=["x"])
        def measured(ctx: Any) -> str:
            ctx.metric("x", value)
            return "success"

        block = measured.simulate(0, 0, 1)
        assert f"{recorded}" == repr(measured.decode(block.lines[0]).metrics["x"])
        assert [float(recorded)] == block.metrics["x"].tolist()

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (math.inf, "metrics.x: expected a finite number, not inf"),
            (None, "metrics.x: expected a finite number, not None"),
            (1j, "metrics.x: expected a finite number, not 1j"),
            (1 << 2000, "metrics.x: expected a number that a float can hold, not one of 2001 bits"),
        ],
    )
    def test_what_a_metric_may_not_be(self, value: Any, problem: str) -> None:
        """The message names it."""

        @mission(metrics=["x"])
        def measured(ctx: Any) -> str:
            ctx.metric("x", value)
            return "success"

        with pytest.raises(ValueError, match=problem):
            measured.simulate(0, 0, 1)

    async def test_records_can_be_followed(self, tmp_path: Path) -> None:
        """A program reads records as they come."""
        async with open_run(config(tmp_path, 40, mission=TALLY)) as live:
            numbers = [record.mission_number async for record in live.records()]

        assert list(range(40)) == numbers

    def test_a_script_runs_a_mission_of_its_own(self, tmp_path: Path) -> None:
        """The workers find what is defined in the script that was started, and run it just once."""
        script = tmp_path / "script.py"
        script.write_text(
            "import anyio\n"
            "from synexs_async import RunConfig, mission, run\n"
            "@mission()\n"
            "def heads(ctx):\n"
            "    return 'success' if ctx.rng.random() < 0.5 else 'failure'\n"
            "if __name__ == '__main__':\n"
            "    config = RunConfig(missions=20, output='run', mission=heads)\n"
            "    print(anyio.run(run, config).missions)\n"
        )
        finished = subprocess.run(
            [sys.executable, script],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parent.parent)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert (0, "20\n") == (finished.returncode, finished.stdout), finished.stderr

    def test_a_host_without_standard_error_runs_it(self, tmp_path: Path) -> None:
        """What a mission writes there goes nowhere, and not among the worker's replies."""
        script = tmp_path / "script.py"
        script.write_text(
            "import os, anyio\n"
            "from synexs_async import RunConfig, mission, run\n"
            "@mission()\n"
            "def loud(ctx):\n"
            "    os.write(2, b'loud')\n"
            "    return 'success'\n"
            "if __name__ == '__main__':\n"
            "    config = RunConfig(missions=20, output='run', mission=loud)\n"
            "    print(anyio.run(run, config).missions)\n"
        )
        finished = subprocess.run(
            ["sh", "-c", f"exec {sys.executable} {script} 2>&-"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

        assert (0, "20\n") == (finished.returncode, finished.stdout)


DECLARED = """
from plain_missions import Choice, journal_only
from synexs_async import mission

def throw(ctx):
    ctx.step(WHAT)
    return "success"

easy = mission(name="easy", version=2)(throw)
hard = mission(name="hard", version=3)(easy.function)
elsewhere = mission(name="elsewhere", parameters=Choice)(journal_only.function)
"""


@mission()
def heads(ctx: Any) -> str:
    """Succeed."""
    return "success"


class TestWhereWorkersFindIt:
    """A worker simulates the kind that was asked for, and no other."""

    def test_files_of_one_name_side_by_side(self, tmp_path: Path) -> None:
        """Each run has the code of its own file."""
        kinds = []
        for name in ("left", "right"):
            file = tmp_path / name / "declared.py"
            file.parent.mkdir()
            file.write_text(DECLARED.replace("WHAT", repr(name)))
            kinds.append((name, load_mission(f"{file}:easy")))
        for name, kind in kinds:
            anyio.run(run, RunConfig(missions=1, output=tmp_path / f"{name} run", mission=kind))
            assert [[name]] == [record.steps for record in read_journal(tmp_path / f"{name} run")]

    @pytest.mark.parametrize(("name", "version"), [("easy", 2), ("hard", 3), ("elsewhere", 1)])
    def test_it_is_found_as_it_was_named(self, tmp_path: Path, name: str, version: int) -> None:
        """Also where the function's own name leads to another kind, or to the function alone."""
        file, folder = tmp_path / "declared.py", tmp_path / "run"
        file.write_text(DECLARED.replace("WHAT", "1"))
        source = f"{file}:{name}"
        anyio.run(run, RunConfig(missions=2, output=folder, mission=source))
        record = next(iter(read_journal(folder)))
        identify = mission_identifiers(name, version, load_mission(source).parameters(), 0)
        assert identify(0) == record.mission_id

    def test_one_that_is_not_where_its_function_says(self, tmp_path: Path) -> None:
        """It is refused, as a worker would simulate another one."""
        other = mission(name="other")(heads.function)
        with pytest.raises(MissionError, match=r"can't be found by worker processes: at .*:heads "):
            anyio.run(run, RunConfig(mission=other, output=tmp_path / "run"))
        assert not (tmp_path / "run").exists()

    def test_an_error_record_does_not_tell_how_its_kind_was_named(self, tmp_path: Path) -> None:
        """A file, a module and the main script are the same place."""
        (tmp_path / "bad.py").write_text(
            "import anyio\n"
            "from synexs_async import RunConfig, mission, run\n"
            "class Bad(Exception):\n"
            "    pass\n"
            "@mission()\n"
            "async def bad(ctx):\n"
            "    raise Bad\n"
            "if __name__ == '__main__':\n"
            "    for number, kind in enumerate((bad, 'bad:bad', 'bad.py:bad')):\n"
            "        anyio.run(run, RunConfig(\n"
            "            missions=2, output=f'run-{number}', mission=kind, on_error='record'\n"
            "        ))\n"
        )
        subprocess.run(
            [sys.executable, "bad.py"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parent.parent)},
            timeout=60,
            check=True,
        )
        errors = [
            [record.error for record in read_journal(tmp_path / f"run-{number}")]
            for number in range(3)
        ]
        assert 3 * [2 * ["bad.Bad"]] == errors


SETTINGS = f"{FILE}:tells_its_settings"


class TestParameters:
    """They reach missions as they were given, in every process and session."""

    def test_they_are_what_run_json_keeps(self, tmp_path: Path, command: Command) -> None:
        """Sets, keys that are numbers, dataclasses and fields of another name among them."""
        options = ("--mission", SETTINGS, "--output", tmp_path)
        given = ("table.7=1", "inner.y=2", "lambda=5")
        finished = command.run(
            *options, *(f"--param={setting}" for setting in given), "--missions", 2
        )
        assert 0 == finished.returncode, finished.stderr
        parameters = identity_of(tmp_path)["parameters"]
        assert {
            "names": ["a", "b", "c", "d", "e", "f", "g", "h"],
            "table": {"7": 1.0},
            "inner": {"x": 1, "y": 2},
            "lambda": 5.0,
            "limit": None,
        } == parameters
        anyio.run(
            run, RunConfig(missions=4, output=tmp_path, mission=SETTINGS, parameters=parameters)
        )
        records = list(read_journal(tmp_path))
        assert 4 == len(records)
        assert {"[{7: 1.0}, Inner(x=1, y=2), 5.0]"} == {record.steps[1] for record in records}
        kind = load_mission(SETTINGS, parameters)
        assert [record.mission_id for record in records] == [
            mission_identifiers(kind.name, kind.version, parameters, 0)(index) for index in range(4)
        ]

    def test_a_default_is_what_run_json_keeps(self) -> None:
        """A whole number is a number where that is declared: in a worker it would be, too."""
        assert "2.0" == repr(load_mission(SETTINGS).parameters()["lambda"])

    @pytest.mark.parametrize(
        ("declared", "default", "problem"),
        [
            (float, math.inf, "x: expected what JSON can hold, not inf"),
            (int, 1.5, "x: expected a whole number, not 1.5"),
            (int, 1 << 70, "expected what JSON can hold: can't serialize ints"),
            (Any, Path("here"), "expected what JSON can hold: .*PosixPath is unsupported"),
            (Any, np.float32(1), "expected what JSON can hold: .*numpy.float32 is unsupported"),
            (frozenset[Any], frozenset({1, "a"}), "expected what JSON can hold: .*'<'"),
        ],
    )
    def test_a_default_that_run_json_can_t_keep(
        self, declared: Any, default: Any, problem: str
    ) -> None:
        """It is refused before a run begins."""
        parameters = msgspec.defstruct("Parameters", [("x", declared, default)])
        kind = mission(parameters=parameters)(lambda ctx: "success")
        with pytest.raises(ParameterError, match=problem):
            kind.parameters()

    @pytest.mark.parametrize(
        ("setting", "problem"),
        [
            ("lambda=inf", "--param: lambda: expected what JSON can hold, not inf"),
            ("limit=inf", "--param: limit: expected what JSON can hold, not inf"),
            ("rate=5", "--param: rate: is unknown; expected one of names, table, inner, lambda"),
            ("table.7=x", "--param: table[...]: expected a number"),
            ("table.x=7", "--param: table: expected a whole number as each key"),
        ],
    )
    def test_one_that_run_json_can_t_keep(
        self, capsys: pytest.CaptureFixture[str], setting: str, problem: str
    ) -> None:
        """It is refused in a line."""
        assert 2 == main(["--mission", SETTINGS, "--param", setting])
        (line,) = capsys.readouterr().err.splitlines()
        assert problem in line


class TestMissionsThatMisbehave:
    """A mission's fault is told with its index; what was committed before it is kept."""

    async def test_what_it_prints_goes_to_the_log(self, tmp_path: Path) -> None:
        """The data does not hold it."""
        await run(config(tmp_path, 20, mission=TALLY, parameters={"at": 13, "what": "print"}))

        text = log_of(tmp_path)
        assert "mission 13 writes to standard output" in text
        assert "mission 13 wrote: hello\nfrom below" in text
        assert 20 == len(await records_of(tmp_path))

    async def test_it_can_end_what_it_has_forked(self, tmp_path: Path) -> None:
        """Signals to a worker come to nothing, but not those to processes that missions start."""
        report = await run(config(tmp_path, 1, mission=f"{FILE}:forks", timeout=30.0))

        assert 1 == report.outcomes.success_count

    async def test_its_standard_input_is_empty(self, tmp_path: Path) -> None:
        """A program that it starts finds nothing there, and so takes nothing of the run's own."""
        report = await run(config(tmp_path, 20, mission=f"{FILE}:reads", timeout=10.0))

        assert 20 == report.outcomes.success_count

    async def test_other_parameters_are_another_run(self, tmp_path: Path) -> None:
        """A folder goes on with the parameters that it began with."""
        await run(config(tmp_path, 5, mission=TALLY))

        with pytest.raises(IdentityMismatch, match=r"parameters.at is -1 there, 3 was asked for"):
            await run(config(tmp_path, 5, mission=TALLY, parameters={"at": 3}))

    async def test_words_that_are_no_text(self, tmp_path: Path) -> None:
        """What it raised is told all the same."""
        with pytest.raises(MissionFailed, match=r"mission 0 raised ValueError: \\udcff"):
            await run(config(tmp_path, 5, mission=f"{FILE}:names_a_file"))

    async def test_a_result_that_is_no_outcome(self, tmp_path: Path) -> None:
        """What a mission returns is checked."""
        with pytest.raises(MissionFailed, match="expected an Outcome, or one of 'success'"):
            await run(config(tmp_path, 5, mission=f"{FILE}:returns_nothing"))


class TestBadInput:
    """What can't be run is refused in one line, and nothing is changed."""

    @pytest.mark.parametrize(
        ("source", "problem"),
        [
            ("nowhere", "is not known; expected one of team"),
            ("nowhere:walk", "can't be imported .*No module named 'nowhere'"),
            ("nowhere.py:walk", "can't be imported .*nowhere.py is no file"),
            (f"{FILE}:nothing", "there is no 'nothing' in"),
            (f"{FILE}:bare", "is a bare function; declare it with @synexs_async.mission"),
            (f"{FILE}:NUMBER", "is no mission: a int has no name, version"),
            ("threading:Timer", "can't be made .*TypeError: .* missing 2 required"),
        ],
    )
    def test_a_mission_that_is_none(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, problem: str
    ) -> None:
        """The message names the mission and what is wrong with it."""
        with pytest.raises(MissionError, match=problem):
            load_mission(source)

        assert 2 == main(["--mission", source, "--output", str(tmp_path / "run")])
        assert 1 == len(capsys.readouterr().err.splitlines())
        assert not (tmp_path / "run").exists()

    def test_a_class_that_takes_no_parameters_before_it_is_made(self, tmp_path: Path) -> None:
        """Its method is none of the class."""
        file = tmp_path / "kinds.py"
        file.write_text("class Kind:\n    def with_parameters(self, parameters, source): ...\n")
        with pytest.raises(MissionError, match=r"can't be made \(TypeError: .*with_parameters"):
            load_mission(f"{file}:Kind", {"x": 1})

    @pytest.mark.parametrize(
        ("parameters", "problem"),
        [
            ({"elsewhere": 1}, "elsewhere: is unknown; expected one of at, what"),
            ({"at": "x"}, "at: expected a whole number, not 'x'"),
        ],
    )
    async def test_a_parameter_that_is_not_valid(
        self, tmp_path: Path, parameters: dict[str, Any], problem: str
    ) -> None:
        """The message names the parameter, its value, and what was expected."""
        with pytest.raises(ParameterError, match=problem):
            await run(config(tmp_path / "run", parameters=parameters))
        assert not (tmp_path / "run").exists()

    def test_parameters_come_from_a_file_and_from_options(
        self, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An option overrides what the file says."""
        (tmp_path / "p.toml").write_text('at = 2\nwhat = "raise"\n')
        arguments = ("--mission", TALLY, "--missions", 5, "--params", tmp_path / "p.toml")

        finished = command.run(*arguments, "--param", "at=9", "--output", tmp_path / "run")

        assert 0 == finished.returncode, finished.stderr
        assert {"at": 9, "what": "raise"} == identity_of(tmp_path / "run")["parameters"]
        for wrong in ("at", "=3", "at.x=3"):
            options = [*map(str, arguments), "--param", wrong, "--output", str(tmp_path / "other")]
            assert 2 == main(options)
            assert 1 == len(capsys.readouterr().err.splitlines())

    def test_a_function_within_a_function(self) -> None:
        """Worker processes could not find it."""

        @mission()
        def hidden(ctx: Any) -> str:
            return "success"

        with pytest.raises(MissionError, match="is defined inside a function"):
            anyio.run(run, RunConfig(mission=hidden))

    @pytest.mark.parametrize(
        "declared",
        [
            {"features": ["a"]},
            {"encode": lambda record: [1.0]},
            {"features": ["a", "a"], "encode": lambda record: [1.0]},
            {"features": ["a"], "encode": lambda record: [1.0], "nonfinite": ["b"]},
            {"metrics": ["duration"]},
            {"version": 0},
            {"name": "team"},
            {"name": "gym:CartPole-v1"},
        ],
    )
    def test_a_declaration_that_contradicts_itself(self, declared: dict[str, Any]) -> None:
        """It is refused where it is made."""
        with pytest.raises(MissionError):
            mission(**declared)(lambda ctx: "success")

    @pytest.mark.parametrize("timeout", [0, -1, "x", True, float("nan")])
    def test_a_timeout_that_is_none(self, timeout: Any) -> None:
        """It is a number of seconds."""
        with pytest.raises(ConfigError, match="timeout"):
            RunConfig(timeout=timeout)

    async def test_a_timeout_for_a_block_mission(self, tmp_path: Path) -> None:
        """Its blocks run on the event loop, where nothing could cut them short."""
        with pytest.raises(ConfigError, match="timeout: expected none for 'team'"):
            await run(RunConfig(output=tmp_path / "run", timeout=1.0))
        assert not (tmp_path / "run").exists()
