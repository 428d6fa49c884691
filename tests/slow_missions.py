"""A mission that takes its time, so that a run of it can be watched."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from synexs_async import Context, Outcome, mission


@dataclass(frozen=True)
class Parameters:
    """Which mission raises; -1 for none."""

    fails_at: int = -1


@mission(version=1, parameters=Parameters, metrics=["offers"], group_by="result.tier")
async def deal(ctx: Context[Parameters]) -> Outcome:
    """Two parties come to an agreement, or do not."""
    await anyio.sleep(0.02)
    if ctx.index == ctx.parameters.fails_at:
        raise ValueError("the market is closed")
    offers = int(ctx.rng.integers(1, 4))
    for number in range(offers):
        ctx.advance(1.5)
        ctx.message("buyer", "seller", {"offer": round(float(ctx.rng.random()), 3)})
        ctx.step({"number": number})
    ctx.metric("offers", offers)
    ctx.decision("seller", "accept" if offers < 3 else "refuse", {"offers": offers})
    tier = ("bronze", "silver", "gold")[ctx.index % 3]
    return Outcome("success" if offers < 3 else "failure", result={"tier": tier})
