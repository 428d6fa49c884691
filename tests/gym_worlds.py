"""Environments and policies for the tests of Gymnasium missions."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from synexs_async import Context
from synexs_async.missions.gym import GymParameters


class Odd(gymnasium.Env[Any, Any]):
    """All that is awkward at once: a buffer used again, no numbers, odd objects, global dice."""

    observation_space = spaces.Box(-np.inf, np.inf, (2, 2), np.float32)
    action_space = spaces.Dict(
        {"a": spaces.Discrete(3), "b": spaces.Box(-1.0, 1.0, (2,), np.float64)}
    )

    def __init__(self) -> None:
        self.buffer = np.zeros((2, 2), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin anew."""
        super().reset(seed=seed)
        self.left = 3
        self.buffer[:] = 0.1
        return self.buffer, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Go on, three times."""
        self.left -= 1
        self.buffer[:] = [[np.nan, np.inf], [-np.inf, np.random.random()]]
        self.buffer[0, 0] = action["b"][0] if self.left else np.nan
        action["b"][:] = 0.0
        info = {"object": object(), "range": range(3), 7: np.float32(0.1), "is_success": False}
        return self.buffer, np.float32(0.1), False, not self.left, info  # type: ignore[return-value]


class Endless(Odd):
    """Observations of any length."""

    observation_space = spaces.Sequence(spaces.Discrete(2))  # type: ignore[assignment]


gymnasium.register("Odd-v0", "gym_worlds:Odd", nondeterministic=True)
gymnasium.register("Endless-v0", "gym_worlds:Endless")


def lean(observation: Any, ctx: Context[GymParameters]) -> Any:
    """Push where the pole leans, and somewhere else now and then."""
    return np.int64(observation[2] > 0 if ctx.rng.random() < 0.9 else ctx.index % 2)


def too_far(observation: Any, ctx: Context[GymParameters]) -> int:
    """Give an action that there is not, in the fourth step at the latest."""
    ctx.advance(1.0)
    return 2 if ctx.now > 3 else 1
