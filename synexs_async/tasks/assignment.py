"""What a session is to simulate, and what it asks of the place where that is done.

Places are the event loop (`loop.py`), worker processes (`simulating.py`), and tasks on the loop
(`concurrent.py`). Which it is can't be seen in the data.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from anyio.streams.memory import MemoryObjectSendStream

from synexs_async.config import OnError
from synexs_async.errors import MissionFailed
from synexs_async.missions.failed import error_block
from synexs_async.missions.mission import Block, Mission
from synexs_async.missions.simulation import Raised
from synexs_async.storage.journal import Layout

if TYPE_CHECKING:
    from loguru import Logger


@dataclass(frozen=True, slots=True)
class Assignment:
    """Missions `first` to `total - 1` of a run.

    Attributes:
        interval: no block lies on both sides of a multiple of it.
        may_start: awaited with the index of missions before they are begun.
    """

    mission: Mission
    layout: Layout
    seed: int
    first: int
    total: int
    interval: int
    on_error: OnError
    may_start: Callable[[int], Awaitable[object]]
    log: Logger

    def border(self, index: int) -> int:
        """Return the index that no block with mission `index` may go beyond."""
        return min(index - index % self.interval + self.interval, self.total)

    def settle(self, part: Block | Raised) -> Block:
        """Return a block, of a mission that raised the one that records it, if that is wanted.

        Raises:
            MissionFailed: a mission raised, and `on_error` is "stop".
        """
        if isinstance(part, Block):
            return part
        self.log.error(f"mission {part.index} raised\n{part.traceback}")
        if self.on_error == "stop":
            raise MissionFailed(part.index, part.sentence)
        return error_block(self.mission, self.seed, part.index, part.error)


class Placement(Protocol):
    """A place where an assignment is carried out; what it needs ends with its context."""

    async def simulate(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Simulate all missions, and send them in their order.

        Raises:
            MissionFailed: a mission raised, and `on_error` is "stop". All before it were sent.
        """

    async def read(self, first: int, lines: list[bytes]) -> Block:
        """Make the block of committed lines again; JournalDamaged where they are not valid."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *raised: object) -> None: ...
