"""What a mission kind is to the runner, and the block in which missions travel.

A kind is a pure function of (its parameters, seed, index). The runner asks for missions a block at
a time and never sees inside one: how many missions a block holds can't be seen in the data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

LABEL_NAMES: Final = ("success", "failure", "aborted")
ERROR_LABEL: Final = -1  # a mission whose own code raised: in the journal, in no batch
METRIC_NAMES: Final = ("duration", "efficiency", "coordination")


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive missions: their journal lines, and what goes into batches and statistics.

    Attributes:
        first: the index of the first mission.
        lines: n journal lines, newline included.
        ids: n mission ids.
        labels: int64 [n], an index into `LABEL_NAMES` or `ERROR_LABEL`.
        features: float32 [n, rows, columns]; the last row stands for itself and for all that
            would follow it, so that padding need not be carried around.
        metrics: float64 [n] for each of `METRIC_NAMES`.
    """

    first: int
    lines: Sequence[bytes]
    ids: Sequence[str]
    labels: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    metrics: Mapping[str, npt.NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def end(self) -> int:
        """The index behind the last mission."""
        return self.first + len(self.lines)

    def __getitem__(self, part: slice) -> Block:
        start, _, _ = part.indices(len(self))
        return Block(
            self.first + start,
            self.lines[part],
            self.ids[part],
            self.labels[part],
            self.features[part],
            {name: values[part] for name, values in self.metrics.items()},
        )

    @classmethod
    def concatenate(cls, blocks: Sequence[Block]) -> Block:
        """Join blocks that follow one another; there must be at least one."""
        if len(blocks) == 1:
            return blocks[0]
        return cls(
            blocks[0].first,
            [line for block in blocks for line in block.lines],
            [mission_id for block in blocks for mission_id in block.ids],
            np.concatenate([block.labels for block in blocks]),
            np.concatenate([block.features for block in blocks]),
            {
                name: np.concatenate([block.metrics[name] for block in blocks])
                for name in blocks[0].metrics
            },
        )


def check_block(block: Block) -> Block:
    """Return a block that can be counted and kept; ValueError where it can't.

    Of an infinite sum, or one that is not a number, JSON can't tell: such a checkpoint could not be
    read again.
    """
    labels = {*block.labels.tolist()} - {ERROR_LABEL, *range(len(LABEL_NAMES))}
    if labels:
        expected = ", ".join(f"{label} ({name})" for label, name in enumerate(LABEL_NAMES))
        raise ValueError(f"label {labels.pop()}: expected {expected}")
    for name, values in block.metrics.items():
        if not np.isfinite(values).all():
            raise ValueError(
                f"{name}: expected a finite number, not {values[~np.isfinite(values)][0]}"
            )
    return block


class Mission(Protocol):
    """A mission kind with its parameters.

    `read(first, simulate(seed, first, n).lines)` must equal `simulate(seed, first, n)`: batches
    that are lost are made again from the journal. Metrics are finite: a mission with another one
    counts as one whose own code raised.
    """

    @property
    def name(self) -> str:
        """The kind's name, part of a run's identity."""

    @property
    def version(self) -> int:
        """Raised whenever the kind gives other records for the same parameters and seed."""

    @property
    def feature_names(self) -> Sequence[str]:
        """The columns of `Block.features`."""

    @property
    def feature_rows(self) -> int:
        """The rows of `Block.features`, the repeated last one included."""

    @property
    def block_size(self) -> int:
        """How many missions to simulate at once: few enough to take a millisecond or so."""

    def parameters(self) -> dict[str, Any]:
        """Return what the records depend on beside seed and index, in JSON's types."""

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Simulate missions `first` to `first + count - 1`."""

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Make the block of these journal lines again; ValueError where they are not ours."""

    def decode(self, line: bytes) -> Any:
        """Make the record of a journal line, as a program wants to read it."""


def mission_identifiers(
    name: str, version: int, parameters: Mapping[str, Any], seed: int
) -> Callable[[int], str]:
    """Return the function from a mission's index to its id: 24 hexadecimal digits of BLAKE2b."""
    origin = msgspec.json.encode([name, version, parameters, seed], order="sorted")
    base = hashlib.blake2b(origin, digest_size=12)

    def identify(index: int) -> str:
        digest = base.copy()
        digest.update(index.to_bytes(8, "little"))
        return digest.hexdigest()

    return identify
