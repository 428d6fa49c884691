"""Missions for the tests of the live view, found as `tests/watched_missions.py:gated`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anyio

from synexs_async import Context, Outcome, mission


@dataclass(frozen=True)
class Gate:
    """From which mission on all wait until a file is there, and which one raises."""

    at: int = 1000
    file: str = ""
    raises: int = -1


@mission(parameters=Gate, group_by="result.tier")
async def gated(ctx: Context[Gate]) -> Outcome:
    """End at once before the gate, and behind it when it is open."""
    if ctx.index == ctx.parameters.raises:
        raise ValueError("the coin \x1b[31mfell")
    if ctx.index >= ctx.parameters.at:
        while not await anyio.Path(ctx.parameters.file).exists():  # noqa: ASYNC110 - another process
            await anyio.sleep(0.02)
    return Outcome("success" if ctx.index % 2 else "failure", result={"tier": ctx.index % 3})


MISSION = f"{Path(__file__).relative_to(Path(__file__).parent.parent)}:gated"
