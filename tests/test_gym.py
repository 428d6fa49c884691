"""Episodes of Gymnasium environments as missions."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import msgspec
import numpy as np
import pytest
from builders import layout_in
from conftest import Command
from datasets import data_set, everything
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async import FolderError, MissionError, ParameterError, RunConfig, run, verify_run
from synexs_async.cli import main
from synexs_async.config import identity_of
from synexs_async.missions.gym import GymMission, episode_seeds
from synexs_async.missions.gym_spaces import plain, random_actions
from synexs_async.missions.loading import load_mission
from synexs_async.missions.mission import Block
from synexs_async.storage.folder import RunFile, settle
from synexs_async.verification.replay import replay_of_run

SEED = 5
CART_POLE, NASIM, ODD = "gym:CartPole-v1", "gym:nasim:TinyPO-v0", "gym:gym_worlds:Odd-v0"


def load(source: str, **parameters: Any) -> GymMission:
    """Find an environment's mission."""
    mission = load_mission(source, parameters)
    assert isinstance(mission, GymMission)
    return mission


KINDS = {
    "cart pole": load(CART_POLE),
    "cart pole, recorded": load(CART_POLE, record_steps=True),
    "cart pole, cut": load(CART_POLE, max_steps=9),
    "cart pole, a policy": load(CART_POLE, policy="gym_worlds:lean"),
    "nasim": load(NASIM, max_steps=40),
    "nasim, recorded": load(NASIM, max_steps=40, record_steps=True),
    "odd": load(ODD),
    "odd, recorded": load(ODD, record_steps=True),
    "numbered places": load("gym:FrozenLake-v1", record_steps=True, make={"is_slippery": False}),
}


def assert_equal(expected: Block, actual: Block) -> None:
    """Compare two blocks in all that they hold."""
    assert expected.first == actual.first
    assert [*expected.lines] == [*actual.lines]
    assert [*expected.ids] == [*actual.ids]
    np.testing.assert_array_equal(expected.outcomes, actual.outcomes)
    np.testing.assert_array_equal(expected.labels, actual.labels)
    assert expected.features.tobytes() == actual.features.tobytes()
    for name, values in expected.metrics.items():
        np.testing.assert_array_equal(values, actual.metrics[name])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(first=st.integers(0, 2**40), count=st.integers(1, 4), seed=st.integers(0, 2**63 - 1))
def test_read_makes_what_simulate_made(kind: str, first: int, count: int, seed: int) -> None:
    """A block can be made again from its lines, and alone, whatever was played before."""
    mission = KINDS[kind]
    block = mission.simulate(seed, first, count)
    assert_equal(block, mission.read(first, block.lines))
    last = mission.simulate(seed, first + count - 1, 1)
    assert block.lines[-1] == last.lines[0]


def test_a_line_tells_the_episode() -> None:
    """Replaying the line's seeds and actions in an environment of one's own gives its numbers."""
    import gymnasium

    (line,) = load(CART_POLE, record_steps=True).simulate(SEED, 7, 1).lines
    record = json.loads(line)
    result = record["result"]
    assert [
        *("mission_id", "mission_number", "timestamp", "duration", "communications", "decisions"),
        *("steps", "metrics", "result", "status", "training_label"),
    ] == list(record)
    environment = {"id": "CartPole-v1", "kwargs": {}, "max_episode_steps": 500}
    assert environment == result["environment"]
    assert episode_seeds(SEED, 7) == (result["seed"], result["action_seed"])
    steps = result["trajectory"]
    own = gymnasium.make("CartPole-v1")
    own.action_space.seed(result["action_seed"])
    observations = [own.reset(seed=result["seed"])[0].tolist()]
    for number, action in enumerate(steps["actions"]):
        assert own.action_space.sample() == action
        observation, reward, terminated, truncated, _ = own.step(action)
        observations.append(observation.tolist())
        assert (reward, terminated, truncated) == (
            steps["rewards"][number],
            steps["terminations"][number],
            steps["truncations"][number],
        )
    assert observations == steps["observations"]
    assert terminated
    assert (len(steps["actions"]), "success", 0) == (
        result["length"],
        record["status"],
        record["training_label"],
    )
    assert {"return": result["return"], "length": result["length"]} == record["metrics"]
    assert float(result["length"]) == result["return"] == record["duration"]


def test_a_batch_holds_a_row_for_each_step() -> None:
    """Observation before the step, action, reward, whether it was the last, mask; then zeros."""
    mission = load(CART_POLE, record_steps=True)
    names = [*(f"observation[{i}]" for i in range(4)), "action", "reward", "done", "mask"]
    assert names == list(mission.feature_names)
    block = mission.simulate(SEED, 0, 2)
    for line, rows in zip(block.lines, block.features, strict=True):
        steps = json.loads(line)["result"]["trajectory"]
        length = len(steps["actions"])
        expected = np.zeros(rows.shape, np.float32)
        expected[:length, :4] = steps["observations"][:-1]
        expected[:length, 4] = steps["actions"]
        expected[:length, 5] = steps["rewards"]
        expected[length - 1, 6] = 1.0
        expected[:length, 7] = 1.0
        np.testing.assert_array_equal(expected, rows)
        assert not rows[-1].any()


def test_what_is_awkward_is_told_in_json() -> None:
    """No numbers, buffers that are used again and odd objects are recorded as they were."""
    (line,) = load(ODD, record_steps=True).simulate(SEED, 0, 1).lines
    record = json.loads(line)
    result, steps = record["result"], record["result"]["trajectory"]
    assert {
        "7": float(np.float32(0.1)),
        "is_success": False,
        "object": "object",
        "range": "range(0, 3)",
    } == result["info"]
    assert [float(np.float32(0.1))] * 4 == steps["observations"][0]
    assert ["Infinity", "-Infinity"] == steps["observations"][1][1:3]
    assert "NaN" == steps["observations"][3][0]
    assert steps["actions"][0][3] == pytest.approx(steps["observations"][1][0])
    assert ("failure", 1, True) == (record["status"], record["training_label"], result["truncated"])


def test_what_json_cant_hold_becomes_text() -> None:
    """NumPy's values, sets, large numbers and endless lists have one text in every process."""
    endless: list[Any] = []
    endless.append(endless)
    assert [1, [2, 3], ["a", "b"], "list", "-Infinity", str(2**70)] == plain(
        [np.int8(1), np.array([2, 3]), {"b", "a"}, "list", -np.inf, 2**70]
    )
    assert "list" in json.dumps(plain(endless))


def test_max_steps_cut_an_episode() -> None:
    """An episode that has not ended by itself is aborted."""
    record = json.loads(load(CART_POLE, max_steps=3).simulate(SEED, 0, 1).lines[0])
    assert ("aborted", 3) == (record["status"], record["metrics"]["length"])
    assert not record["result"]["terminated"]
    assert not record["result"]["truncated"]


def test_the_environments_own_limit_cuts_an_episode() -> None:
    """Its last step is truncated, as Gymnasium's own wrapper would have it."""
    mission = load(CART_POLE, make={"max_episode_steps": 4}, record_steps=True)
    result = json.loads(mission.simulate(SEED, 0, 1).lines[0])["result"]
    assert (4, False, True) == (result["length"], result["terminated"], result["truncated"])
    assert [False, False, False, True] == result["trajectory"]["truncations"]
    assert 4 == result["environment"]["max_episode_steps"]


@pytest.mark.parametrize(
    ("size", "start", "kind"),
    [(2, 0, np.int64), (6, -3, np.int64), (2**40, 1, np.int64), (5, 0, np.int32), (9, 0, np.uint8)],
)
def test_random_actions_are_those_of_the_space(size: int, start: int, kind: Any) -> None:
    """However many are drawn at once, they are what sampling one by one gives."""
    from gymnasium.spaces import Discrete

    ours, own = (Discrete(size, seed=SEED, start=start, dtype=kind) for _ in range(2))
    assert [int(own.sample()) for _ in range(150)] == list(islice(random_actions(ours), 150))


def test_a_policy_acts() -> None:
    """A function of one's own holds the pole up longer than chance does."""
    policy = load(CART_POLE, policy="gym_worlds:lean").simulate(SEED, 0, 20)
    chance = load(CART_POLE).simulate(SEED, 0, 20)
    assert policy.metrics["return"].mean() > chance.metrics["return"].mean()


def test_an_action_that_there_is_not_is_named() -> None:
    """The error says at which step the policy gave it."""
    mission = load(CART_POLE, policy="gym_worlds:too_far")
    with pytest.raises(ValueError, match=r"step 3: action 2 is not in Discrete\(2\)"):
        mission.simulate(SEED, 0, 1)


@pytest.mark.parametrize("damage", ['"length":', '"seed":', '"return":'])
def test_a_line_that_tells_another_episode_is_refused(damage: str) -> None:
    """A line without steps must be what its seeds give."""
    mission = load(CART_POLE)
    (line,) = mission.simulate(SEED, 0, 1).lines
    with pytest.raises(ValueError, match="is not reproducible: episode 0"):
        mission.read(0, [line.replace(damage.encode(), damage.encode() + b"1")])


@pytest.mark.parametrize(
    ("name", "parameters", "problem"),
    [
        ("CartPole-v1", {"policy": "random", "max_steps": 9}, None),
        ("gym_worlds:Odd-v0", {"policy": "random"}, "say where it is found"),
        ("CartPole-v1", {"policy": "gym_worlds:lean"}, "say where it is found"),
        ("CartPole-v1", {"policy": "random", "make": {"x": "m:Env-v0"}}, "say where it is found"),
    ],
)
def test_a_folder_s_word_runs_no_module(
    tmp_path: Path, name: str, parameters: dict[str, Any], problem: str | None
) -> None:
    """A run of an installed environment with random actions is read without `--mission`."""
    whole = load(f"gym:{name}", **{k: v for k, v in parameters.items() if k != "make"})
    identity = identity_of(RunConfig(mission=whole, seed=SEED), whole)
    identity = msgspec.structs.replace(
        identity, parameters=identity.parameters | {"make": parameters.get("make", {})}
    )
    layout = layout_in(tmp_path, missions_per_file=10_000)
    settle(layout.folder, RunFile(identity, "tests"))
    layout.file(0).write_bytes(b"".join(whole.simulate(SEED, 0, 2).lines))
    if problem is None:
        assert replay_of_run(tmp_path, 1).journal.endswith("the same record, byte for byte")
    else:
        with pytest.raises(FolderError, match=problem):
            replay_of_run(tmp_path, 1)


async def test_a_run_of_an_environment_with_global_dice(tmp_path: Path) -> None:
    """One worker and two write the same bytes, and each mission can be played again."""

    def config(workers: int) -> RunConfig:
        parameters = {"policy": "random", "max_steps": 80}
        folder = tmp_path / str(workers)
        return RunConfig(
            missions=20, mission=NASIM, parameters=parameters, workers=workers, output=folder
        )

    async with anyio.create_task_group() as tasks:
        for workers in (1, 2):
            tasks.start_soon(run, config(workers))

    assert data_set(tmp_path / "1") == data_set(tmp_path / "2")
    report = await verify_run(tmp_path / "1", mission=NASIM, sample=100)
    assert (True, 20) == (report.holds, report.simulated)


REFUSED = {
    "an unknown environment": (["--mission", "gym:Nope-v9"], "gym:Nope-v9: can't be built"),
    "another mission": (["--policy", "random"], "--policy: is for gymnasium missions alone"),
    "a scenario": (["--scenario", "x.toml", "--record-steps"], "--record-steps: is for gymnasium"),
    "no steps": (["--mission", CART_POLE, "--max-steps", "0"], "max_steps: expected at least 1"),
    "no policy": (["--mission", CART_POLE, "--policy", "best"], "expected random, module:function"),
    "no such policy": (["--mission", CART_POLE, "--policy", "no.py:f"], "no.py is no file"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cant_be_played_is_refused(
    what: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line says what is wrong, and nothing on disk is changed."""
    arguments, problem = REFUSED[what]
    assert 2 == main([*arguments, "--output", str(tmp_path / "run")])
    told = capsys.readouterr().err
    assert 1 == told.count("\n")
    assert problem in told
    assert {} == everything(tmp_path)


def test_gymnasium_is_asked_for_where_it_is_missing(command: Command, tmp_path: Path) -> None:
    """Without the extra, the way to install it is told."""
    (tmp_path / "gymnasium.py").write_text("raise ImportError('not here')\n", "utf-8")
    done = command.run("--mission", CART_POLE, env={"PYTHONPATH": str(tmp_path)})
    assert 2 == done.returncode
    assert "install it with `pip install 'synexs-async[gym]'`" in done.stderr


def test_spaces_without_a_size_are_refused() -> None:
    """The mission is named where it could not be a batch's rows."""
    with pytest.raises(MissionError, match="observations of Sequence, which can't be flattened"):
        load("gym:gym_worlds:Endless-v0")


def test_a_policy_that_is_no_function_is_refused() -> None:
    """The parameter is named."""
    with pytest.raises(ParameterError, match="policy: gym_worlds:__doc__: is no function"):
        load(CART_POLE, policy="gym_worlds:__doc__")
