"""A process in which the doctor lets missions run: what it is asked, and what it answers.

It reads one `Order` from its standard input, as MessagePack, and writes a line of JSON for each
thing done: `null` when the kind is loaded, then a list of what each `Ask` gave. Who reads them sees
from their number which mission ended the process.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import msgspec
import numpy as np
from msgspec import Struct

from synexs_async.errors import UsageError
from synexs_async.missions.asynchronous import AsyncMission
from synexs_async.missions.global_seeding import leave_out_global_seeding
from synexs_async.missions.loading import load_mission
from synexs_async.missions.mission import Block, Mission, check_block, shape_problem
from synexs_async.missions.simulation import Raised


class Ask(Struct, frozen=True):
    """Missions `first` to `first + count - 1` of a seed, to be simulated in one call.

    Async ones may be carried out `side_by_side`, as a run does.
    """

    seed: int
    first: int
    count: int
    side_by_side: bool = False


class Order(Struct, frozen=True):
    """All that one process is to do; `timeout` is in seconds and for one mission."""

    source: str
    parameters: dict[str, Any] | None
    timeout: float
    seeds_generators: bool
    asks: list[Ask]


class Seen(Struct, frozen=True, tag=True):
    """One mission that came to its end.

    Attributes:
        index: the mission.
        line: its journal line.
        rest: a digest of what it gives to batches and statistics.
        problem: how its block breaks the protocol; "" where it does not.
    """

    index: int
    line: bytes
    rest: str
    problem: str


class Unloadable(Struct, frozen=True, tag=True):
    """The kind can't be had in another process."""

    reason: str


def main() -> None:
    """Do what is asked on the standard input."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what missions print must not stand among the replies
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
    sys.path.append("")  # as for a run
    if not order.seeds_generators:
        leave_out_global_seeding()
    try:
        mission = load_mission(order.source, order.parameters)
    except UsageError as error:
        replies.write(msgspec.json.encode(Unloadable(str(error))) + b"\n")
        replies.flush()
        return
    replies.write(b"null\n")
    replies.flush()
    for ask in order.asks:
        signal.setitimer(signal.ITIMER_REAL, order.timeout * ask.count)
        if ask.side_by_side and isinstance(mission, AsyncMission):
            seen = _carry_out(mission, ask)
        else:
            make = partial(mission.simulate, ask.seed)
            seen = _examine(mission, ask.first, ask.count, make)
        signal.setitimer(signal.ITIMER_REAL, 0)
        replies.write(msgspec.json.encode(seen) + b"\n")
        replies.flush()
    os._exit(0)  # threads that missions left behind need not be waited for


def _carry_out(mission: AsyncMission, ask: Ask) -> list[Seen | Raised]:
    """Carry async missions out at once, each beside all others."""
    indexes = range(ask.first, ask.first + ask.count)
    identify = mission.identifiers(ask.seed)
    results: dict[int, bytes | BaseException] = {}

    async def perform(index: int) -> None:
        try:
            results[index] = await mission.perform(ask.seed, index, identify(index), None)
        except (Exception, SystemExit) as error:
            results[index] = error

    async def perform_all() -> None:
        async with anyio.create_task_group() as tasks:
            for index in indexes:
                tasks.start_soon(perform, index)

    def make(index: int, count: int) -> Block:
        result = results[index]
        if isinstance(result, BaseException):
            raise result
        return mission.read(index, [result])

    anyio.run(perform_all)
    return [seen for index in indexes for seen in _examine(mission, index, 1, make)]


def _examine(
    mission: Mission, first: int, count: int, make: Callable[[int, int], Block]
) -> list[Seen | Raised]:
    """Look at missions made together, or one at a time where one of them raises, as in a run."""
    indexes = range(first, first + count)
    try:
        block = make(first, count)
        if problem := shape_problem(mission, block, first, count):
            return [Seen(index, b"", "", problem) for index in indexes]
        check_block(mission, block, first, count)
    except (Exception, SystemExit) as error:
        if count == 1:
            return [Raised.by(first, error)]
        return [seen for index in indexes for seen in _examine(mission, index, 1, make)]
    problem = _reading_problem(mission, block)
    return [
        Seen(index, bytes(line), _digest(block[offset : offset + 1]), problem)
        for offset, (index, line) in enumerate(zip(indexes, block.lines, strict=True))
    ]


def _reading_problem(mission: Mission, block: Block) -> str:
    """Say how a block differs from the one that is made of its lines."""
    try:
        again = mission.read(block.first, block.lines)
        problem = shape_problem(mission, again, block.first, len(block))
        if problem:
            return f"read gives another block: {problem}"
        if list(again.lines) != list(block.lines):
            return "read gives other lines than simulate"
        for name in ("ids", "outcomes", "labels"):
            if list(getattr(again, name)) != list(getattr(block, name)):
                return f"read gives other {name} than simulate"
        for name in mission.metric_names:
            if not np.array_equal(again.metrics[name], block.metrics[name]):
                return f"read gives another metric {name!r} than simulate"
        parts = [slice(offset, offset + 1) for offset in range(len(block))]
        if any(_digest(again[part]) != _digest(block[part]) for part in parts):
            return "read gives other features than simulate"
    except (Exception, SystemExit) as error:
        return f"read raises {Raised.by(block.first, error).sentence}"
    return ""


def _digest(block: Block) -> str:
    """Return a digest of one mission's numbers; rows that repeat the last one do not count."""
    features = block.features[0]
    rows = len(features)
    while rows > 1 and features[rows - 1].tobytes() == features[rows - 2].tobytes():
        rows -= 1
    digest = hashlib.sha256(features[:rows].tobytes())
    digest.update(f"{block.ids[0]} {block.outcomes[0]} {block.labels[0]}".encode())
    for name, values in sorted(block.metrics.items()):
        digest.update(f" {name} {float(values[0])!r}".encode())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
