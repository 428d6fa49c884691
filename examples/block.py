"""A block mission: many random walks in one NumPy call.

python -m synexs_async --mission examples/block.py:Walks --missions 100000 --output runs/walks

Each mission draws from a stream of its own, so that its walk is the same in any block.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from synexs_async import (
    OUTCOME_NAMES,
    Block,
    BlockMission,
    mission_identifiers,
    mission_uniforms,
)

STEPS = 16


class Walks(BlockMission):
    """A walk succeeds where it ends to the right of its start."""

    name = "walks"
    version = 1
    metric_names = ("duration", "end")
    batch_metrics = ("end",)
    feature_names = ("end", "highest", "lowest")
    block_size = 256

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Simulate missions `first` to `first + count - 1`."""
        identify = mission_identifiers(self.name, self.version, self.parameters(), seed)
        steps = np.where(mission_uniforms(seed, first, count, STEPS) < 0.5, -1, 1)
        walks = np.cumsum(steps, axis=1).tolist()
        lines = []
        for index, walk in enumerate(walks, first):
            record = {
                "mission_id": identify(index),
                "mission_number": index,
                "walk": walk,
                "status": "success" if walk[-1] > 0 else "failure",
            }
            lines.append(msgspec.json.encode(record) + b"\n")
        return self.read(first, lines)

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Make the block of these journal lines again."""
        records = [self.decode(line) for line in lines]
        walks = np.array([record["walk"] for record in records])
        outcomes = np.array([OUTCOME_NAMES.index(record["status"]) for record in records])
        features = np.stack([walks[:, -1], walks.max(axis=1), walks.min(axis=1)], axis=1)
        return Block(
            first,
            lines,
            [record["mission_id"] for record in records],
            outcomes,
            outcomes,
            features.astype(np.float32)[:, np.newaxis],
            {
                "duration": np.full(len(records), float(STEPS)),
                "end": walks[:, -1].astype(np.float64),
            },
        )
