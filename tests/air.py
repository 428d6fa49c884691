"""A mission kind made of air: a number a mission, and whatever else a test wants to happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from synexs_async import Block, BlockMission, mission_identifiers
from synexs_async.missions.mission import Place


class AirMission(BlockMission):
    """Calls `happens` with each index before it simulates that mission."""

    name = "air"
    metric_names = ("duration", "efficiency", "coordination")
    batch_metrics = ("efficiency",)
    feature_names = ("number",)

    def __init__(
        self, happens: Callable[[int], object] = lambda index: None, block_size: int = 4
    ) -> None:
        self.happens = happens
        self.block_size = block_size

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Simulate missions whose label is their index modulo 3."""
        identify = mission_identifiers(self.name, self.version, {}, seed)
        lines = []
        for index in range(first, first + count):
            self.happens(index)
            record = {"mission_id": identify(index), "mission_number": index, "status": "air"}
            lines.append(msgspec.json.encode(record) + b"\n")
        return self.read(first, lines)

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Make the block of these lines again."""
        records = [msgspec.json.decode(line) for line in lines]
        numbers = np.array([record["mission_number"] for record in records])
        return Block(
            first,
            lines,
            [record["mission_id"] for record in records],
            numbers % 3,
            numbers % 3,
            numbers.astype(np.float32).reshape(-1, 1, 1),
            {
                name: numbers.astype(np.float64)
                for name in ("duration", "efficiency", "coordination")
            },
        )

    def decode(self, line: bytes) -> dict[str, Any]:
        """Read a line as it is."""
        record: dict[str, Any] = msgspec.json.decode(line)
        return record


class Quick(AirMission):
    """The same without batches, so that no worker is waited for."""

    feature_names: tuple[str, ...] = ()  # type: ignore[assignment]

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Make the block of these lines, without features."""
        block = super().read(first, lines)
        return replace(block, features=block.features[:, :, :0])


class Grouped(Quick):
    """The same in workers, counted by a field whose values are known beforehand."""

    name = "grouped"
    place: Place = "workers"
    group_by = "status"
    group_names = ("air", "water")

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Make the block of these lines, with the groups of their missions."""
        block = super().read(first, lines)
        return replace(block, groups=["air"] * len(block))
