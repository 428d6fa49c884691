"""Missions simulated on the event loop, a block at a time.

The loop has some turns after each: a mission kind says how many missions keep that short.
"""

from __future__ import annotations

from typing import Final, Self

import anyio.lowlevel
from anyio.streams.memory import MemoryObjectSendStream

from synexs_async.missions.mission import Block
from synexs_async.missions.simulation import simulate_parts
from synexs_async.storage.journal import block_of
from synexs_async.tasks.assignment import Assignment
from synexs_async.tasks.threads import run_in_thread

_TURNS_A_BLOCK: Final = 4


class OnLoop:
    """Simulates missions on the loop; a `Placement`."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment

    async def simulate(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Simulate all missions, and send them."""
        assignment = self._assignment
        mission, first = assignment.mission, assignment.first
        while first < assignment.total:
            await assignment.may_start(first)
            count = min(mission.block_size, assignment.border(first) - first)
            for part in simulate_parts(mission, assignment.seed, first, count):
                await blocks.send(assignment.settle(part))  # which is always one turn
                # To answer a request takes a host several turns, and its threads get Python's
                # lock when the loop polls: with one turn a block, each would wait for a block.
                for _ in range(_TURNS_A_BLOCK - 1):
                    await anyio.lowlevel.checkpoint()
            first += count

    async def read(self, first: int, lines: list[bytes]) -> Block:
        """Make the block of committed lines again, in a thread."""
        layout, mission = self._assignment.layout, self._assignment.mission
        return await run_in_thread(block_of, layout, mission, first, lines)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        pass
