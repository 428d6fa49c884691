"""Async missions for the tests, found as `tests/async_missions.py:NAME`."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint

from synexs_async import Context, Outcome, Record, mission


@dataclass(frozen=True)
class Choice:
    """Which mission does something else than the others, and what."""

    at: int = -1
    what: str = ""


class Busy(Exception):
    """It passes."""


TRIES: dict[int, int] = {}


def features_of(record: Record) -> list[float]:
    """Return what stands in every row; made in a worker process."""
    if record.metrics["number"] == -2:
        raise ValueError(f"made in {os.getpid()}")
    return [record.metrics["number"], 1.0]


@mission(
    parameters=Choice,
    metrics=["number"],
    features=["number", "one"],
    encode=features_of,
    transient=(Busy,),
)
async def shuffled(ctx: Context[Choice]) -> Outcome:
    """End in another order than begun: after as many turns of the loop as its number says."""
    number = int(ctx.rng.integers(0, 20))
    for _ in range(number):
        await checkpoint()
    ctx.metric("number", number)
    if ctx.index == ctx.parameters.at:
        await misbehave(ctx)
    return Outcome("success" if number % 2 else "failure")


async def misbehave(ctx: Context[Choice]) -> None:
    """Do what a mission should not do."""
    match ctx.parameters.what:
        case "raise":
            raise ValueError("seven")
        case "sys.exit":
            sys.exit(3)
        case "hang":
            await anyio.sleep_forever()
        case "cancelled":
            other = asyncio.ensure_future(anyio.sleep_forever())
            other.cancel()
            await other
        case "encode":
            ctx.metric("number", -2)
        case "busy" | "busy once" | "busy twice":
            TRIES[ctx.index] = TRIES.get(ctx.index, 0) + 1
            if TRIES[ctx.index] <= {"busy once": 1, "busy twice": 2}.get(ctx.parameters.what, 99):
                raise Busy


@mission(parameters=Choice)
async def journal_only(ctx: Context[Any]) -> str:
    """Have no features."""
    await checkpoint()
    if ctx.index == ctx.parameters.at:
        await misbehave(ctx)
    return ("success", "failure", "aborted")[ctx.index % 3]


@mission()
async def stuck(ctx: Context[Any]) -> str:
    """Wait for a thread that never ends."""
    print("begun", flush=True)
    await anyio.to_thread.run_sync(threading.Event().wait)
    return "success"
