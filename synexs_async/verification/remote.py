"""A mission kind whose code runs in worker processes, called from a thread of the check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio.from_thread

from synexs_async.missions.mission import Block, BlockMission, Mission
from synexs_async.missions.simulation import MissionRaised, Raised
from synexs_async.storage.protocol import Simulated
from synexs_async.tasks.pool import WorkerPool


class RemoteMission(BlockMission):
    """Stands for `mission` where it is simulated or read; MissionRaised where its code raises."""

    def __init__(self, mission: Mission, pool: WorkerPool) -> None:
        self._mission = mission
        self._pool = pool
        self.name = mission.name
        self.version = mission.version
        self.place = mission.place
        self.label_names = mission.label_names
        self.metric_names = mission.metric_names
        self.batch_metrics = mission.batch_metrics
        self.feature_names = mission.feature_names
        self.group_by = mission.group_by
        self.group_names = mission.group_names
        self.block_size = mission.block_size

    def parameters(self) -> dict[str, Any]:
        """Return those of the mission."""
        return self._mission.parameters()

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Simulate missions in a worker, which knows the seed."""
        return self._join(anyio.from_thread.run(self._pool.simulate, first, count))

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Make the block of journal lines again, in a worker."""
        return self._join(anyio.from_thread.run(self._pool.read, first, lines))

    def decode(self, line: bytes) -> Any:
        """Make the record of a journal line."""
        return self._mission.decode(line)

    def _join(self, simulated: Simulated) -> Block:
        blocks = []
        for part in simulated.parts:
            if isinstance(part, Raised):
                raise MissionRaised(part)
            blocks.append(part.block(len(self.feature_names)))
        return Block.concatenate(blocks)
