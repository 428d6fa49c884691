"""Missions of one's own, as plain functions: what they are given, and what comes of it.

What holds for async ones too is in test_own_missions.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
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
        identity = msgspec.json.decode((tmp_path / "run" / "run.json").read_bytes())["identity"]
        assert {"at": 9, "what": "raise"} == identity["parameters"]
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
