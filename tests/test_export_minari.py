"""A run's recorded episodes as a Minari data set: Minari reads back what was played."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import gymnasium
import minari
import msgspec
import numpy as np
import pytest
from builders import identity_of_tests, layout_in, nothing_changes
from conftest import Command
from datasets import everything
from gymnasium import spaces

from synexs_async.cli import main
from synexs_async.errors import FolderError, UsageError
from synexs_async.export.minari import export_minari
from synexs_async.export.source import open_source
from synexs_async.export.target import Exported
from synexs_async.storage.folder import RunFile, settle

EPISODES = 4
FAILED = 1  # its mission raised

BOX = spaces.Box(-1.0, 1.0, (2, 2), np.float32)
COMPOSITE = spaces.Dict(
    {"box": BOX, "place": spaces.Discrete(3), "pair": spaces.Tuple([BOX, spaces.MultiBinary(2)])}
)


class Composite(gymnasium.Env[Any, Any]):
    """Observes something of a composite space, for three steps."""

    observation_space = COMPOSITE
    action_space = BOX

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begin."""
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self._left = 3
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Go on."""
        self._left -= 1
        return self.observation_space.sample(), 0.5, False, self._left == 0, {}


gymnasium.register("Composite-v0", f"{__name__}:Composite")
gymnasium.register("Local-v0", lambda **_: Composite())  # whose spec is no text


def play(name: str, seed: int) -> dict[str, list[Any]]:
    """Play an episode with random actions; return what Gymnasium gave."""
    environment = gymnasium.make(name, disable_env_checker=True)
    environment.action_space.seed(seed)
    told: dict[str, list[Any]] = {
        "observations": [environment.reset(seed=seed)[0]],
        "actions": [],
        "rewards": [],
        "terminations": [],
        "truncations": [],
    }
    while not any(told["terminations"] + told["truncations"]):
        told["actions"].append(environment.action_space.sample())
        *step, _ = environment.step(told["actions"][-1])
        for values, value in zip(
            (told[key] for key in ("observations", "rewards", "terminations", "truncations")),
            step,
            strict=True,
        ):
            values.append(value)
    environment.close()
    return told


def record_of(name: str, number: int, told: dict[str, list[Any]]) -> dict[str, Any]:
    """Make the record of an episode, its observations and continuous actions flattened."""
    environment = gymnasium.make(name, disable_env_checker=True)

    def flat(space: spaces.Space[Any], values: list[Any]) -> list[Any]:
        if space is environment.action_space and isinstance(space, spaces.Discrete):
            return [int(value) for value in values]
        return [np.asarray(spaces.utils.flatten(space, value)).tolist() for value in values]

    trajectory = {
        "observations": flat(environment.observation_space, told["observations"]),
        "actions": flat(environment.action_space, told["actions"]),
        "rewards": [float(reward) for reward in told["rewards"]],
        "terminations": told["terminations"],
        "truncations": told["truncations"],
    }
    return {
        "mission_id": f"{number:024x}",
        "mission_number": number,
        "result": {"seed": 100 + number, "trajectory": trajectory},
        "status": "success",
        "training_label": 0,
    }


def run_of(path: Path, name: str, parameters: dict[str, Any]) -> list[dict[str, list[Any]]]:
    """Leave a run of episodes, one of which raised; return what was played in the others."""
    identity = msgspec.structs.replace(
        identity_of_tests(), mission=f"gym:{name}", parameters=parameters
    )
    layout = layout_in(path, missions_per_file=10_000)
    settle(layout.folder, RunFile(identity, "tests"))
    played, records = [], []
    for number in range(EPISODES):
        if number == FAILED:
            records.append({"mission_id": "", "mission_number": number, "error": "ValueError"})
            records[-1] |= {"status": "error", "training_label": None}
            continue
        played.append(play(name, 100 + number))
        records.append(record_of(name, number, played[-1]))
    layout.file(0).write_bytes(b"".join(msgspec.json.encode(it) + b"\n" for it in records))
    return played


def stacked(space: spaces.Space[Any], values: list[Any]) -> Any:
    """Join values of a space as Minari gives them: the parts of composite ones apart."""
    if isinstance(space, spaces.Dict):
        parts = space.spaces.items()
        return {key: stacked(part, [value[key] for value in values]) for key, part in parts}
    if isinstance(space, spaces.Tuple):
        columns = zip(*values, strict=True)
        return tuple(map(stacked, space.spaces, map(list, columns)))
    return np.array(values, space.dtype)


def export(run: Path, folder: Path, mission: str | None = None) -> Exported:
    """Export it."""
    return export_minari(open_source(run), folder, lambda missions: None, mission)


@pytest.mark.parametrize("name", ["CartPole-v1", "Composite-v0", "Local-v0"])
def test_minari_reads_what_was_played(tmp_path: Path, name: str) -> None:
    """Every episode that did not raise, with its spaces, its seed and its environment."""
    played = run_of(tmp_path / "run", name, {"record_steps": True, "make": {}})
    with nothing_changes(tmp_path / "run"):
        assert Exported(EPISODES, 1, 1) == export(tmp_path / "run", tmp_path / "out")

    dataset = minari.MinariDataset(tmp_path / "out")
    environment = gymnasium.make(name, disable_env_checker=True)
    assert environment.observation_space == dataset.observation_space
    assert environment.action_space == dataset.action_space
    spec = dataset.env_spec
    assert (None if name == "Local-v0" else name) == (spec and spec.id)
    assert len(played) == dataset.total_episodes
    assert sum(len(told["rewards"]) for told in played) == dataset.total_steps
    for told, episode in zip(played, dataset.iterate_episodes(), strict=True):
        for key, space in (
            ("observations", environment.observation_space),
            ("actions", environment.action_space),
        ):
            np.testing.assert_equal(getattr(episode, key), stacked(space, told[key]))
        for key in ("rewards", "terminations", "truncations"):
            assert told[key] == getattr(episode, key).tolist()
    metadata = dataset.storage.get_episode_metadata(range(len(played)))
    assert [100, 102, 103] == [episode["seed"] for episode in metadata]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    """A complete export is left alone; one without its manifest is made again."""
    run_of(tmp_path / "run", "CartPole-v1", {"record_steps": True})
    export(tmp_path / "run", tmp_path / "out")
    with nothing_changes(tmp_path / "out"):
        assert Exported(EPISODES, 1, 0) == export(tmp_path / "run", tmp_path / "out")
    before = everything(tmp_path / "out")
    (tmp_path / "out" / "_manifest.json").unlink()
    (tmp_path / "out" / "main_data.hdf5").write_bytes(b"torn")
    assert Exported(EPISODES, 1, 1) == export(tmp_path / "run", tmp_path / "out")
    assert before == everything(tmp_path / "out")


def test_ctrl_c_leaves_nothing_half_done(tmp_path: Path) -> None:
    """Interrupted in the middle of its episodes, an export leaves no file, and begins anew."""
    run_of(tmp_path / "run", "CartPole-v1", {"record_steps": True})
    export(tmp_path / "run", tmp_path / "whole")
    steps = iter(range(EPISODES // 2))

    def told(missions: int) -> None:
        if next(steps, None) is None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        export_minari(open_source(tmp_path / "run"), tmp_path / "out", told)

    assert {} == everything(tmp_path / "out")
    export(tmp_path / "run", tmp_path / "out")
    assert everything(tmp_path / "whole") == everything(tmp_path / "out")


def test_minari_finds_it_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Where the command put it in the folder of Minari's data sets."""
    run_of(tmp_path / "run", "CartPole-v1", {"record_steps": True})
    target = tmp_path / "sets" / "synexs" / "cartpole-seed7-v0" / "data"
    finished = command.run("export", tmp_path / "run", "--format", "minari", "--to", target)
    assert (0, "") == (finished.returncode, finished.stderr)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "sets"))
    assert EPISODES - 1 == minari.load_dataset("synexs/cartpole-seed7-v0").total_episodes
    metadata = json.loads((target / "metadata.json").read_text("utf-8"))
    assert "synexs/cartpole-seed7-v0" == metadata["dataset_id"]


def test_numbers_that_are_not_finite_come_back(tmp_path: Path) -> None:
    """The journal tells them in words."""
    run_of(tmp_path / "run", "CartPole-v1", {"record_steps": True})
    file = tmp_path / "run" / "missions" / "mission_000000000.jsonl"
    first, *others = file.read_bytes().splitlines(keepends=True)
    record = json.loads(first)
    record["result"]["trajectory"]["observations"][0][:3] = ["NaN", "Infinity", "-Infinity"]
    record["result"]["trajectory"]["rewards"][0] = "-Infinity"
    file.write_bytes(b"".join([msgspec.json.encode(record), b"\n", *others]))
    export(tmp_path / "run", tmp_path / "out")
    episode = minari.MinariDataset(tmp_path / "out")[0]
    np.testing.assert_equal(episode.observations[0, :3], [np.nan, np.inf, -np.inf])
    assert -np.inf == episode.rewards[0]


@pytest.mark.parametrize(
    ("name", "parameters", "problem"),
    [
        ("CartPole-v1", {"record_steps": False}, "run it with --record-steps"),
        ("CartPole-v1", {"record_steps": True, "make": {"no": 1}}, "can't be exported"),
    ],
)
def test_what_minari_can_t_hold_is_refused(
    tmp_path: Path, name: str, parameters: dict[str, Any], problem: str
) -> None:
    """With what to do about it; no folder is made."""
    run_of(tmp_path / "run", name, parameters)
    with pytest.raises(UsageError, match=problem):
        export(tmp_path / "run", tmp_path / "out", f"gym:{name}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "make"), [("CartPole-v1", {"max_episode_steps": 9}), ("pay:Load-v0", {})]
)
def test_a_folder_s_word_alone_runs_no_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    make: dict[str, Any],
) -> None:
    """An environment that may be anybody's is built where the command names it."""
    (tmp_path / "pay.py").write_text(
        "import gymnasium\n"
        "entry = 'gymnasium.envs.classic_control.cartpole:CartPoleEnv'\n"
        "gymnasium.register('Load-v0', entry, max_episode_steps=9)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run_of(tmp_path / "run", name, {"record_steps": True, "make": make})
    sys.modules.pop("pay", None)
    gymnasium.registry.pop("Load-v0", None)
    command = ["export", str(tmp_path / "run"), "--format", "minari"]

    assert 2 == main(command)
    assert f"--mission gym:{name}" in capsys.readouterr().err
    assert "pay" not in sys.modules
    assert not (tmp_path / "run-minari").exists()

    assert 0 == main([*command, "--mission", f"gym:{name}"])
    assert minari.MinariDataset(tmp_path / "run-minari").total_episodes == EPISODES - 1


def test_a_run_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Only episodes of Gymnasium environments have what Minari holds."""
    layout = layout_in(tmp_path / "run", missions_per_file=10_000)
    settle(layout.folder, RunFile(identity_of_tests(), "tests"))
    layout.file(0).write_bytes(b'{"mission_id":"","mission_number":0,"status":"x"}\n')
    with pytest.raises(UsageError, match="expected a run of gym: missions, not of 'team'"):
        export(tmp_path / "run", tmp_path / "out")


def test_a_folder_with_another_run_s_episodes_is_refused(tmp_path: Path) -> None:
    """It is left as it is."""
    run_of(tmp_path / "run", "CartPole-v1", {"record_steps": True})
    run_of(tmp_path / "other", "CartPole-v1", {"record_steps": True, "max_steps": 500})
    export(tmp_path / "run", tmp_path / "out")
    with nothing_changes(tmp_path / "out"), pytest.raises(FolderError, match="another run"):
        export(tmp_path / "other", tmp_path / "out")
