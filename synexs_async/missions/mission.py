"""What a mission kind is to the runner, and the block in which missions travel.

A kind is a pure function of (its parameters, seed, index). The runner asks for missions a block at
a time and never sees inside one: how many missions a block holds can't be seen in the data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

OUTCOME_NAMES: Final = ("success", "failure", "aborted")
ERROR_OUTCOME: Final = -1  # a mission whose own code raised: in the journal, in no batch

Place = Literal["loop", "workers", "tasks"]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive missions: their journal lines, and what goes into batches and statistics.

    Attributes:
        first: the index of the first mission.
        lines: n journal lines, newline included.
        ids: n mission ids.
        outcomes: int64 [n], an index into `OUTCOME_NAMES` or `ERROR_OUTCOME`.
        labels: int64 [n], an index into the kind's `label_names`.
        features: float32 [n, rows, columns]; the last row stands for itself and for all that
            would follow it, so that padding need not be carried around. Blocks of one kind may
            have more or fewer rows.
        metrics: float64 [n] for each of the kind's `metric_names`.
        groups: n values of the field that outcomes are counted by, "" where a mission has none;
            None of a kind without one.
    """

    first: int
    lines: Sequence[bytes]
    ids: Sequence[str]
    outcomes: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    metrics: Mapping[str, npt.NDArray[np.float64]]
    groups: Sequence[str] | None = None

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
            self.outcomes[part],
            self.labels[part],
            self.features[part],
            {name: values[part] for name, values in self.metrics.items()},
            None if self.groups is None else self.groups[part],
        )

    @classmethod
    def concatenate(cls, blocks: Sequence[Block]) -> Block:
        """Join blocks that follow one another; there must be at least one."""
        if len(blocks) == 1:
            return blocks[0]
        rows = max(block.features.shape[1] for block in blocks)
        return cls(
            blocks[0].first,
            [line for block in blocks for line in block.lines],
            [mission_id for block in blocks for mission_id in block.ids],
            np.concatenate([block.outcomes for block in blocks]),
            np.concatenate([block.labels for block in blocks]),
            np.concatenate([extend_rows(block.features, rows) for block in blocks]),
            {
                name: np.concatenate([block.metrics[name] for block in blocks])
                for name in blocks[0].metrics
            },
            _joined_groups(blocks),
        )


def _joined_groups(blocks: Sequence[Block]) -> Sequence[str] | None:
    """Join the groups of blocks; missions whose own code raised have none."""
    if all(block.groups is None for block in blocks):
        return None
    return [
        group
        for block in blocks
        for group in (block.groups if block.groups is not None else [""] * len(block))
    ]


def extend_rows(features: npt.NDArray[np.float32], rows: int) -> npt.NDArray[np.float32]:
    """Bring [n, r, columns] to [n, rows, columns], r at most `rows`, by repeating the last row."""
    missing = rows - features.shape[1]
    if not missing:
        return features
    return np.concatenate([features, np.repeat(features[:, -1:], missing, axis=1)], axis=1)


def check_block(mission: Mission, block: Block, first: int, count: int) -> Block:
    """Return a block that can be counted and kept; ValueError where it can't.

    Just the kind's metrics stay in it: how missions were grouped must not show in what is summed.
    Of an infinite sum, or one that is not a number, JSON can't tell: such a checkpoint could not be
    read again.
    """
    if problem := shape_problem(mission, block, first, count):
        raise ValueError(problem)
    ended = block.outcomes != ERROR_OUTCOME
    for values, names, what in (
        (block.outcomes[ended], OUTCOME_NAMES, "outcome"),
        (block.labels[ended], mission.label_names, "label"),
    ):
        if unknown := {*values.tolist()} - {*range(len(names))}:
            expected = ", ".join(f"{number} ({name})" for number, name in enumerate(names))
            raise ValueError(f"{what} {unknown.pop()}: expected {expected}")
    for name in mission.metric_names:
        values = block.metrics[name]
        if not np.isfinite(values).all():
            raise ValueError(
                f"{name}: expected a finite number, not {values[~np.isfinite(values)][0]}"
            )
    if [*block.metrics] == [*mission.metric_names]:
        return block
    return replace(block, metrics={name: block.metrics[name] for name in mission.metric_names})


def shape_problem(mission: Mission, block: Block, first: int, count: int) -> str:
    """Say what of a block is not of the size that the protocol asks for, "" where all of it is."""
    if (block.first, len(block.lines)) != (first, count):
        return (
            f"expected the {count} lines from mission {first} on, not {len(block.lines)} from "
            f"mission {block.first} on"
        )
    columns = len(mission.feature_names)
    shape = block.features.shape
    if len(shape) != 3 or shape[0] != count or shape[1] < 1 or shape[2] != columns:
        return f"features: expected the shape [{count}, rows, {columns}], not {[*shape]}"
    for name, values, dtype in (
        ("features", block.features, np.float32),
        ("outcomes", block.outcomes, np.int64),
        ("labels", block.labels, np.int64),
    ):
        if values.dtype != dtype:
            return f"{name}: expected {dtype.__name__}, not {values.dtype}"
    if missing := {*mission.metric_names} - {*block.metrics}:
        return f"metrics: there is no {min(missing)!r}"
    sizes = {
        "ids": len(block.ids),
        "outcomes": len(block.outcomes),
        "labels": len(block.labels),
        **{f"metric {name!r}": len(block.metrics[name]) for name in mission.metric_names},
        "groups": count if block.groups is None else len(block.groups),
    }
    for name, size in sizes.items():
        if size != count:
            return f"{name}: expected {count}, one a line, not {size}"
    if not all(line.find(b"\n") + 1 == len(line) > 0 for line in block.lines):
        return "lines: expected each to end with its only newline"
    return ""


class Mission(Protocol):
    """A mission kind with its parameters: what the runner asks of one, whatever its form.

    `read(first, simulate(seed, first, n).lines)` must equal `simulate(seed, first, n)`: batches
    that are lost are made again from the journal. Metrics are finite: a mission with
    another one counts as one whose own code raised. `BlockMission` has what most kinds share.
    """

    @property
    def name(self) -> str:
        """The kind's name, part of a run's identity."""

    @property
    def version(self) -> int:
        """Raised whenever the kind gives other records for the same parameters and seed."""

    @property
    def source(self) -> str:
        """Where another process finds the kind: NAME, module:object or FILE.py:object."""

    @property
    def place(self) -> Place:
        """Where missions are simulated: in blocks on the event loop, in workers, or as tasks."""

    @property
    def label_names(self) -> Sequence[str]:
        """What the labels in batches mean."""

    @property
    def metric_names(self) -> Sequence[str]:
        """The metrics of each mission, "duration" among them; checkpoints hold running means."""

    @property
    def batch_metrics(self) -> Sequence[str]:
        """Those that stand in a batch's metadata, beside the duration."""

    @property
    def feature_names(self) -> Sequence[str]:
        """The columns of `Block.features`; none where the run has a journal and no batches."""

    @property
    def group_by(self) -> str:
        """The field of a record that outcomes are counted by, a path with dots; "" for none."""

    @property
    def group_names(self) -> Sequence[str]:
        """Values of that field that are known beforehand, in the order to show them in."""

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


class BlockMission:
    """A kind that simulates many missions in one call: the form to derive from.

    A derived class has `name`, `version`, `simulate` and `read`, and whatever differs from what
    stands here. `simulate` is called on the event loop, in blocks of `block_size` missions.
    """

    name: str
    version: int = 1
    place: Place = "loop"
    label_names: Sequence[str] = OUTCOME_NAMES
    metric_names: Sequence[str] = ("duration",)
    batch_metrics: Sequence[str] = ()
    feature_names: Sequence[str] = ()
    group_by: str = ""
    group_names: Sequence[str] = ()
    block_size: int = 32

    @property
    def source(self) -> str:
        """Where another process finds the kind."""
        return f"{type(self).__module__}:{type(self).__qualname__}"

    def parameters(self) -> dict[str, Any]:
        """Return no parameters."""
        return {}

    def expected_outcomes(self) -> Mapping[str, Mapping[str, float]]:
        """Return how probable each outcome is, by group; nothing where nobody knows.

        A group is a value of the field that the kind's outcomes are grouped by, "" where there is
        none. The probabilities of all groups sum to 1: of a group, to how often it comes.
        """
        return {}

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Simulate missions `first` to `first + count - 1`."""
        raise NotImplementedError

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Make the block of these journal lines again; ValueError where they are not ours."""
        raise NotImplementedError

    def decode(self, line: bytes) -> Any:
        """Return the line as JSON's types."""
        return msgspec.json.decode(line)


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
