"""Episodes of a Gymnasium environment as missions: one episode a mission, in worker processes.

The environment is built once a process and reset with a seed of its own for each episode. All that
an episode draws from follows from the two seeds in its journal line, so that one whose steps were
not recorded can be played again from its line alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Final, NamedTuple, Self

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from synexs_async.errors import MissionError, ParameterError
from synexs_async.missions.context import Context, Record, Status, encode_line
from synexs_async.missions.global_seeding import seed_global_generators
from synexs_async.missions.gym_spaces import Flattener, as_numbers, plain, random_actions
from synexs_async.missions.loading import GYM, import_object
from synexs_async.missions.mission import (
    OUTCOME_NAMES,
    Block,
    BlockMission,
    Place,
    mission_identifiers,
)
from synexs_async.missions.parameters import convert_parameters

SECONDS_A_STEP: Final = 1.0  # environments don't say what simulated time a step takes

_RANDOM: Final = "random"
_SEED_BITS: Final = 31
_TERMINATED, _TRUNCATED = range(2)


class GymParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be chosen of an episode.

    Attributes:
        policy: who acts: "random", or module:function or FILE.py:function, called with the
            observation and the mission's `Context`, whose `rng` is the episode's own.
        max_steps: an episode that has not ended by itself is ended after so many steps.
        record_steps: whether the journal holds each step.
        make: keyword arguments of `gymnasium.make`.
    """

    policy: str = _RANDOM
    max_steps: Annotated[int, Meta(ge=1)] | None = None
    record_steps: bool = False
    make: dict[str, Any] = {}


class Trajectory(Struct, frozen=True, forbid_unknown_fields=True):
    """The T steps of an episode; what is not finite is "NaN", "Infinity" or "-Infinity".

    Attributes:
        observations: T + 1 flattened observations, the first before the first step.
        actions: T actions, a number each where the action space is discrete, else flattened.
        rewards: T numbers.
        terminations: T times whether the step ended the episode.
        truncations: T times whether the step cut it short.
    """

    observations: list[list[Any]]
    actions: list[Any]
    rewards: list[Any]
    terminations: list[bool]
    truncations: list[bool]


class Episode(Struct, frozen=True, forbid_unknown_fields=True):
    """How an episode went: the `result` of its record.

    Attributes:
        environment: the environment's id, its limit of steps, and what it was made with.
        seed: that of `reset`.
        action_seed: that of the action space.
        info: what the last step told; what is not JSON stands there as text.
        trajectory: the steps, where they are recorded.
    """

    environment: dict[str, Any]
    seed: int
    action_seed: int
    return_: float = msgspec.field(name="return")
    length: int
    terminated: bool
    truncated: bool
    info: Any
    trajectory: Trajectory | None


class GymMission(BlockMission):
    """Episodes of one environment, by its id; `GymParameters` says what may be chosen.

    Raises:
        MissionError: the environment can't be built, or its spaces can't be flattened.
        ParameterError: the policy can't be found.
    """

    place: Place = "workers"
    block_size = 1
    label_names: Sequence[str] = ("terminated", "truncated")
    metric_names: Sequence[str] = ("duration", "return", "length")
    batch_metrics: Sequence[str] = ("return", "length")

    def __init__(
        self,
        environment: str,
        parameters: GymParameters | None = None,
        parameters_from: str = "parameters",
    ) -> None:
        self.name = f"{GYM}{environment}"
        self._id = environment
        self._parameters = parameters or GymParameters()
        self._parameters_from = parameters_from
        self._identify: dict[int, Any] = {}

    @property
    def source(self) -> str:
        """Where another process finds the environment."""
        return self.name

    def with_parameters(self, parameters: Mapping[str, Any], source: str = "parameters") -> Self:
        """Return this kind with other parameters; ParameterError where they are not valid."""
        values = convert_parameters(parameters, GymParameters, source)
        return type(self)(self._id, values, source)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters, defaults among them."""
        parameters: dict[str, Any] = msgspec.to_builtins(self._parameters)
        return parameters

    @cached_property
    def feature_names(self) -> Sequence[str]:  # type: ignore[override] # asked when it is loaded
        """The columns of a batch: a row for each step, then zeros; they need the environment."""
        player = self._player
        columns = (*player.observations.names, *player.actions.names)
        return (*columns, "reward", "done", "mask")

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Play episodes `first` to `first + count - 1`, one after the other."""
        if seed not in self._identify:
            self._identify = {
                seed: mission_identifiers(self.name, self.version, self.parameters(), seed)
            }
        identify = self._identify[seed]
        played = []
        for index in range(first, first + count):
            episode = self._player.play(index, *episode_seeds(seed, index))
            record = self._record(episode, index, identify(index))
            played.append((encode_line(record), record, episode.steps()))
        return self._block(first, played)

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Make the block of these journal lines again.

        Raises:
            ValueError: an episode whose steps were not recorded goes another way today.
        """
        return self._block(first, [(line, *self._read(line)) for line in lines])

    def decode(self, line: bytes) -> Record:
        """Make the record of a journal line, its result an `Episode`."""
        record: Record = _decode(line)
        return msgspec.structs.replace(record, result=msgspec.convert(record.result, Episode))

    def _read(self, line: bytes) -> tuple[Record, Steps]:
        record = self.decode(line)
        result: Episode = record.result
        if result.trajectory is not None:
            return record, _steps_of(result.trajectory)
        index = record.mission_number
        episode = self._player.play(index, result.seed, result.action_seed)
        if encode_line(self._record(episode, index, record.mission_id)) != line:
            raise ValueError(f"is not reproducible: episode {index} goes another way today")
        return record, episode.steps()

    def _record(self, episode: Played, index: int, mission_id: str) -> Record:
        length = len(episode.rewards)
        total = 0.0
        for reward in episode.rewards:  # `sum` rounds in another way from Python 3.12 on
            total += reward
        result = Episode(
            environment=self._player.description,
            seed=episode.seed,
            action_seed=episode.action_seed,
            return_=total,
            length=length,
            terminated=episode.terminated,
            truncated=episode.truncated,
            info=plain(episode.info),
            trajectory=episode.trajectory() if self._parameters.record_steps else None,
        )
        return Record(
            mission_id=mission_id,
            mission_number=index,
            timestamp=0.0,
            duration=length * SECONDS_A_STEP,
            communications=[],
            decisions=[],
            steps=[],
            metrics={"return": total, "length": length},
            result=result,
            status=episode.status(),
            training_label=_TERMINATED if episode.terminated else _TRUNCATED,
        )

    def _block(self, first: int, played: Sequence[tuple[bytes, Record, Steps]]) -> Block:
        records = [record for _, record, _ in played]
        return Block(
            first,
            [line for line, _, _ in played],
            [record.mission_id for record in records],
            np.array([OUTCOME_NAMES.index(record.status) for record in records], np.int64),
            np.array([record.training_label for record in records], np.int64),
            self._features([steps for _, _, steps in played]),
            {
                "duration": np.array([record.duration for record in records], np.float64),
                "return": np.array([record.result.return_ for record in records], np.float64),
                "length": np.array([record.result.length for record in records], np.float64),
            },
        )

    def _features(self, episodes: Sequence[Steps]) -> npt.NDArray[np.float32]:
        """Return float32 [n, rows, columns], filled for all episodes at once."""
        seen = np.concatenate([steps.seen for steps in episodes])
        acted = np.concatenate([steps.acted for steps in episodes])
        total, columns = seen.shape
        table = np.empty((total, len(self.feature_names)))
        table[:, :columns] = seen
        table[:, columns:-3] = acted.reshape(total, -1)
        table[:, -3] = [reward for steps in episodes for reward in steps.rewards]
        table[:, -2] = 0.0
        table[:, -1] = 1.0
        lengths = np.array([len(steps.rewards) for steps in episodes])
        table[np.cumsum(lengths) - 1, -2] = [steps.done for steps in episodes]
        features = np.zeros((len(episodes), lengths.max() + 1, table.shape[1]), np.float32)
        with np.errstate(over="ignore"):
            features[np.arange(features.shape[1]) < lengths[:, None]] = table
        return features

    @cached_property
    def _player(self) -> Player:
        return Player(self._id, self._parameters, self._parameters_from)


class Player:
    """Plays the episodes of an environment, which it builds."""

    def __init__(self, environment: str, parameters: GymParameters, parameters_from: str) -> None:
        self._policy = _policy(parameters.policy, parameters_from)
        self._parameters = parameters
        built = _build(environment, parameters.make)
        self._environment, self._time_limit = _unwrap(built)
        limits = (self._time_limit, parameters.max_steps)
        self._most_steps = min(filter(None, limits), default=None)
        self._space = built.action_space
        name = f"{GYM}{environment}"
        self.observations = Flattener("observation", built.observation_space, name)
        self.actions = Flattener("action", self._space, name)
        spec = built.spec
        self.description: dict[str, Any] = {
            "id": spec.id,
            "max_episode_steps": spec.max_episode_steps,
            "kwargs": plain(spec.kwargs),
        }

    def play(self, index: int, seed: int, action_seed: int) -> Played:
        """Play the episode of these seeds."""
        seed_global_generators(seed ^ action_seed)
        space, policy, step = self._space, self._policy, self._environment.step
        space.seed(action_seed)
        at_random = random_actions(space)
        context = policy and Context(index, seed << _SEED_BITS | action_seed, self._parameters)
        keep_observation, keep_action = self.observations.flatten, self.actions.flatten
        limit = self._most_steps
        observation, info = self._environment.reset(seed=seed)
        observations = [keep_observation(observation)]
        actions: list[Any] = []
        rewards: list[float] = []
        terminated = truncated = False
        while not (terminated or truncated or len(rewards) == limit):
            if policy is None:
                action = next(at_random)
            else:
                action = policy(observation, context)
                if not space.contains(action):
                    raise ValueError(f"step {len(rewards)}: action {action!r} is not in {space}")
                if self.actions.is_discrete:
                    action = int(action)  # some environments take no NumPy integer
            actions.append(keep_action(action))  # before the step, which may write into it
            observation, reward, terminated, truncated, info = step(action)
            observations.append(keep_observation(observation))
            rewards.append(float(reward))
        return Played(
            seed,
            action_seed,
            np.array(observations),
            np.array(actions),
            rewards,
            bool(terminated),
            bool(truncated) or len(rewards) == self._time_limit,
            info,
        )


class Played(Struct, frozen=True):
    """An episode as it was played."""

    seed: int
    action_seed: int
    observations: npt.NDArray[Any]
    actions: npt.NDArray[Any]
    rewards: list[float]
    terminated: bool
    truncated: bool
    info: dict[str, Any]

    def status(self) -> Status:
        """Return the status that the environment tells, or how the episode ended."""
        for key in ("is_success", "success"):
            told = self.info.get(key)
            if isinstance(told, bool | np.bool_):
                return "success" if told else "failure"
        return "success" if self.terminated or self.truncated else "aborted"

    def steps(self) -> Steps:
        """Return what a batch holds of the steps."""
        done = self.terminated or self.truncated
        return Steps(self.observations[:-1], self.actions, self.rewards, done)

    def trajectory(self) -> Trajectory:
        """Return the steps as the journal holds them."""
        before_the_end = [False] * (len(self.rewards) - 1)
        return Trajectory(
            as_numbers(self.observations),
            as_numbers(self.actions),
            self.rewards if all(map(math.isfinite, self.rewards)) else plain(self.rewards),
            [*before_the_end, self.terminated],
            [*before_the_end, self.truncated],
        )


class Steps(NamedTuple):
    """What a batch holds of the T steps of an episode.

    Attributes:
        seen: [T, columns], the observation before each step.
        acted: [T] or [T, columns].
        rewards: T numbers.
        done: whether the last one ended the episode.
    """

    seen: npt.NDArray[Any]
    acted: npt.NDArray[Any]
    rewards: Sequence[float]
    done: bool


def episode_seeds(seed: int, index: int) -> tuple[int, int]:
    """Return an episode's seeds of 31 bits each, for `reset` and for the action space."""
    digest = hashlib.blake2b(b"%d,%d" % (seed, index), digest_size=8, person=b"gym episode")
    word = int.from_bytes(digest.digest(), "little")
    bits = (1 << _SEED_BITS) - 1
    return word & bits, word >> 32 & bits


_decode: Final = msgspec.json.Decoder(Record).decode


def _steps_of(trajectory: Trajectory) -> Steps:
    return Steps(
        np.array(trajectory.observations[:-1], np.float64),
        np.array(trajectory.actions, np.float64),
        np.array(trajectory.rewards, np.float64).tolist(),
        trajectory.terminations[-1] or trajectory.truncations[-1],
    )


def _policy(policy: str, source: str) -> Any:
    """Find a policy; None where actions are random."""
    if policy == _RANDOM:
        return None
    if ":" not in policy:
        expected = "expected random, module:function or FILE.py:function"
        raise ParameterError(source, "policy", f"{expected}, not {policy!r}")
    try:
        found = import_object(policy, policy)
    except MissionError as error:
        raise ParameterError(source, "policy", f"{policy}: {error.problem}") from error
    if not callable(found):
        raise ParameterError(source, "policy", f"{policy}: is no function")
    return found


def _build(environment: str, arguments: Mapping[str, Any]) -> Any:
    name = f"{GYM}{environment}"
    try:
        import gymnasium
    except ImportError as error:
        problem = "needs gymnasium; install it with `pip install 'synexs-async[gym]'`"
        raise MissionError(name, problem) from error
    try:
        return gymnasium.make(environment, disable_env_checker=True, **arguments)
    except (Exception, SystemExit) as error:  # whatever an environment does when it is built
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise MissionError(name, f"can't be built ({reason})") from error


def _unwrap(environment: Any) -> tuple[Any, int | None]:
    """Take the wrappers off that a player stands in for; return the limit of steps beside it.

    It counts steps, and resets before the first: each wrapper would be one more call a step.
    """
    from gymnasium.wrappers import OrderEnforcing, TimeLimit

    limit, spec = None, environment.spec
    if type(environment) is TimeLimit:
        limit, environment = spec.max_episode_steps, environment.env
    if type(environment) is OrderEnforcing:
        environment = environment.env
    return environment, limit
