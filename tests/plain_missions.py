"""Plain missions for the tests, found by worker processes as `tests/plain_missions.py:NAME`."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct, field

from synexs_async import Context, Outcome, Record, mission


@dataclass(frozen=True)
class Choice:
    """Which mission does something else than the others, and what."""

    at: int = -1
    what: str = ""


def features_of(record: Record) -> list[list[float]]:
    """Return a row a step."""
    return [[step["value"], 1.0] for step in record.steps]


@mission(
    version=3,
    parameters=Choice,
    metrics=["total"],
    labels=["low", "high"],
    features=["value", "mask"],
    encode=features_of,
)
def walk(ctx: Context[Choice]) -> Outcome:
    """Walk some steps; the total says which way."""
    total = 0.0
    for _ in range(1 + ctx.index % 4):
        value = ctx.rng.normal()
        ctx.step({"value": np.float32(value), "at": ctx.now})
        ctx.advance(0.5)
        total += float(np.float32(value))
    ctx.message("walker", "judge", {"total": total})
    ctx.decision("judge", "high" if total > 0 else "low", {"seen": {"b", "a"}})
    ctx.metric("total", total)
    if ctx.index == ctx.parameters.at:
        misbehave(ctx, ctx.parameters.what)
    return Outcome("success", label="high" if total > 0 else "low", result=[total])


def misbehave(ctx: Context[Choice], what: str) -> None:
    """Do what a mission should not do."""
    match what:
        case "raise":
            raise ValueError("seven")
        case "sys.exit":
            sys.exit(3)
        case "os._exit":
            os._exit(3)
        case "hang":
            time.sleep(3600)
        case "print":
            print("hello", flush=True)
            os.write(1, b"from below\n")
        case "object":
            ctx.message("walker", "judge", {"inner": [1, object()]})
        case "metric":
            ctx.metric("total", float("nan"))
        case "shape":
            ctx.steps = [{"value": [1.0, 2.0]}]
        case "nan":
            ctx.steps = [{"value": "nan"}]


@mission(name="tally", parameters=Choice)
def journal_only(ctx: Context[Any]) -> str:
    """Draw from the process's own generators too."""
    ctx.step([random.random(), float(np.random.random())])
    if ctx.index == ctx.parameters.at:
        misbehave(ctx, ctx.parameters.what)
    return ("success", "failure", "aborted")[ctx.index % 3]


@dataclass(frozen=True)
class Inner:
    """Parameters within parameters."""

    x: int = 1
    y: int = 1


class Settings(Struct, frozen=True):
    """Parameters of every sort that is not the same in JSON."""

    names: frozenset[str] = frozenset("abcdefgh")
    table: dict[int, float] = {}
    inner: Inner = Inner()
    rate: float = field(name="lambda", default=2)
    limit: float | None = None


@mission(parameters=Settings)
def tells_its_settings(ctx: Context[Settings]) -> str:
    """Record the parameters as they are in a worker."""
    ctx.step(repr(sorted(ctx.parameters.names)))
    ctx.step(repr([ctx.parameters.table, ctx.parameters.inner, ctx.parameters.rate]))
    return "success"


@mission(
    metrics=["odd"],
    features=["value"],
    encode=lambda record: [[value] for value in record.steps],
)
def odd(ctx: Context[Any]) -> str:
    """Take a step in every other mission."""
    if ctx.index % 2:
        ctx.step(7.0)
    ctx.metric("odd", ctx.index % 2 == 1)
    return "success"


@mission()
def reads(ctx: Context[Any]) -> str:
    """Start a program that reads its standard input to the end."""
    read = subprocess.run(["cat"], stdout=subprocess.PIPE, check=True).stdout
    return "failure" if read else "success"


def wait_for_ever(ready: Any) -> None:
    """Say that it has begun, and wait."""
    ready.set()
    time.sleep(3600)


@mission()
def forks(ctx: Context[Any]) -> str:
    """Start a process that is forked, and end it."""
    forking = multiprocessing.get_context("fork")
    ready = forking.Event()
    process = forking.Process(target=wait_for_ever, args=(ready,))
    process.start()
    ready.wait()
    process.terminate()
    process.join()
    return "success" if process.exitcode == -signal.SIGTERM else "failure"


@mission(version=4, parameters=Choice)
def returns_nothing(ctx: Context[Any]) -> Any:
    """Give back what is no outcome."""


@mission()
def names_a_file(ctx: Context[Any]) -> str:
    """Raise with words that are no text, as names of files need not be."""
    raise ValueError(os.fsdecode(b"\xff"))


def bare(ctx: Context[Any]) -> str:
    """Lack the decorator."""
    return "success"


NUMBER = 7
