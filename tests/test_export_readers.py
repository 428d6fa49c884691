"""What is exported, opened by the tools that it is for, with the lines of docs/export.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from builders import identity_of_tests, layout_in, missions
from conftest import ROOT

from synexs_async import RunConfig, load_mission
from synexs_async.config import identity_of
from synexs_async.storage.folder import Identity, RunFile, settle

DOCUMENT: Final = (ROOT / "docs" / "export.md").read_text("utf-8")
PROGRAMS: Final = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
COMMANDS: Final = [
    line.partition("  #")[0]
    for line in DOCUMENT.splitlines()
    if line.startswith("python -m synexs_async export ") and "--to missions" not in line
]
MISSIONS: Final = 100
EPISODES: Final = 5


@dataclass(frozen=True)
class Exports:
    """A user's home folder, with two runs that were exported as the document says."""

    home: Path
    records: list[dict[str, Any]]
    episodes: list[dict[str, Any]]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """What is looked at of each mission, as the journal has it."""
        return list(map(row_of, self.records))

    def steps(self, name: str) -> list[Any]:
        """What the journal has of each step of all episodes; of observations, those before."""
        return [
            value
            for episode in self.episodes
            for value in episode["result"]["trajectory"][name][: episode["result"]["length"]]
        ]


def row_of(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return a record's number and status, a field of a struct, and one of a list of structs."""
    latency_ms = record["communications"][0]["latency_ms"]
    return (
        record["mission_number"],
        record["status"],
        record["environment"]["difficulty"],
        latency_ms,
    )


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Leave two runs' journals, and export them by the document's commands."""
    home = tmp_path_factory.mktemp("home")
    cartpole = load_mission("gym:CartPole-v1", {"record_steps": True})
    identity = identity_of(RunConfig(mission=cartpole), cartpole)
    exports = Exports(
        home,
        leave_run(home / "training_logs", identity_of_tests(), missions(0, MISSIONS).lines),
        leave_run(home / "runs/cartpole", identity, cartpole.simulate(0, 0, EPISODES).lines),
    )
    for line in COMMANDS:
        shell(line, home)
    return exports


def leave_run(path: Path, identity: Identity, lines: Any) -> list[dict[str, Any]]:
    """Leave a run with this journal; return its records."""
    layout = layout_in(path, missions_per_file=10_000)
    settle(layout.folder, RunFile(identity, "tests"))
    layout.file(0).write_bytes(b"".join(lines))
    return [json.loads(line) for line in lines]


def shell(line: str, home: Path) -> str:
    """Run a line as a user types it, in their home folder and without a network."""
    environment = {"HOME": str(home), "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    finished = subprocess.run(
        ["bash", "-c", line.replace("python ", f"{sys.executable} ", 1)],
        cwd=home,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == finished.returncode, finished.stderr
    return finished.stdout


def program(line: str) -> str:
    """Return the document's program that has this line."""
    (found,) = (text for text in PROGRAMS if line in text.splitlines())
    return str(found)


def after(line: str, names: str, exports: Exports) -> Any:
    """Return what an expression is after the document's program, in a process of its own."""
    file = exports.home / "program.py"
    file.write_text(f"{program(line)}\nimport json\nprint(json.dumps({names}))\n")
    return json.loads(shell("python program.py", exports.home).splitlines()[-1])


@pytest.fixture
def names(
    request: pytest.FixtureRequest, exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Return the names of the document's program that has this line, run here."""
    monkeypatch.chdir(exports.home)
    monkeypatch.setenv("HOME", str(exports.home))
    names: dict[str, Any] = {}
    exec(program(request.param), names)
    return names


@pytest.mark.parametrize("names", ["import pyarrow.dataset as ds"], indirect=True)
def test_pyarrow(names: dict[str, Any], exports: Exports) -> None:
    """Columns that are asked for, as Python's values."""
    assert exports.rows == list(map(row_of, names["table"].to_pylist()))


@pytest.mark.parametrize("names", ["import pandas as pd"], indirect=True)
def test_pandas(names: dict[str, Any], exports: Exports) -> None:
    """The whole folder as a frame."""
    frame = names["missions"][["mission_number", "status", "difficulty", "latency_ms"]]
    assert exports.rows == list(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize("names", ["import polars as pl"], indirect=True)
def test_polars(names: dict[str, Any], exports: Exports) -> None:
    """Fields of structs, and of structs in lists, as columns."""
    assert exports.rows == names["table"].rows()


@pytest.mark.parametrize("names", ["import duckdb"], indirect=True)
def test_duckdb(names: dict[str, Any], exports: Exports) -> None:
    """Nested columns in SQL."""
    assert exports.rows == names["missions"].fetchall()


def test_hugging_face_datasets(exports: Exports) -> None:
    """Rows as JSON has them, without the network."""
    first, records = after(
        "from datasets import load_dataset", "(first, missions.to_list())", exports
    )
    assert exports.records[0]["environment"]["difficulty"] == first
    assert exports.rows == list(map(row_of, records))


@pytest.mark.parametrize(
    "names", ['dataset = minari.MinariDataset("runs/cartpole-minari")'], indirect=True
)
def test_minari(names: dict[str, Any], exports: Exports) -> None:
    """The folder as a data set, episode by episode."""
    episodes = list(names["dataset"].iterate_episodes())
    assert [episode["result"]["length"] for episode in exports.episodes] == list(map(len, episodes))
    actions = np.concatenate([episode.actions for episode in episodes])
    assert exports.steps("actions") == actions.tolist()


def test_torchrl(exports: Exports) -> None:
    """A replay buffer over all steps, in order, with nested entries for what follows each."""
    size, *columns = after(
        "from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer",
        "[len(sample), *(steps[:].get(key).squeeze(-1).tolist() for key in "
        "('observation', 'action', ('next', 'reward'), ('next', 'done')))]",
        exports,
    )
    done = np.logical_or(exports.steps("terminations"), exports.steps("truncations"))
    expected = [exports.steps(name) for name in ("observations", "actions", "rewards")]
    assert 32 == size
    assert [*expected, done.tolist()] == columns
