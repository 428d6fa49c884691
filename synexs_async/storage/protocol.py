"""What a run and its worker processes say to each other: frames of MessagePack over pipes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct

from synexs_async.missions.mission import Block, Mission
from synexs_async.missions.simulation import Raised
from synexs_async.storage.folder import Identity
from synexs_async.storage.ledger import Entry

HEADER_BYTES: Final = 4


class Setup(Struct, frozen=True):
    """The first frame to a worker: what all its batches have in common."""

    folder: bytes  # a path need not be text
    parent: int
    batch_size: int
    sequence_length: int
    feature_columns: int
    batch_metrics: list[str]
    mission: str = ""  # where the kind is found, if the worker is to simulate
    name: str = ""  # of the kind that must be there
    version: int = 0
    parameters: dict[str, Any] = {}
    seed: int = 0
    timeout: float | None = None

    @classmethod
    def of(
        cls,
        folder: Path,
        identity: Identity,
        mission: Mission,
        *,
        simulates: bool = False,
        timeout: float | None = None,
    ) -> Setup:
        """Set a worker of this process up: to write batches, or to simulate missions too.

        A mission that takes longer than `timeout` seconds ends the worker by SIGALRM.
        """
        return cls(
            folder=os.fsencode(folder),
            parent=os.getpid(),
            batch_size=identity.batch_size,
            sequence_length=identity.sequence_length,
            feature_columns=len(mission.feature_names),
            batch_metrics=list(mission.batch_metrics),
            mission=mission.source if simulates else "",
            name=mission.name,
            version=mission.version,
            parameters=identity.parameters,
            seed=identity.seed,
            timeout=timeout,
        )


class BatchRows(Struct, frozen=True, tag=True, gc=False):
    """Missions that are to become batches; none to learn about the worker alone.

    Attributes:
        first: the index of the first mission; the start of a batch.
        ids: n mission ids.
        outcomes: int64 [n] as bytes.
        labels: int64 [n] as bytes.
        rows: rows of features a mission.
        features: float32 [n, rows, columns] as bytes; the last row is repeated as padding.
        metrics: n values of each metric.
    """

    first: int
    ids: list[str]
    outcomes: bytes
    labels: bytes
    rows: int
    features: bytes
    metrics: dict[str, list[float]]

    @classmethod
    def of(cls, block: Block) -> BatchRows:
        """Take what a batch needs of a block."""
        return cls(
            first=block.first,
            ids=list(block.ids),
            outcomes=block.outcomes.tobytes(),
            labels=block.labels.tobytes(),
            rows=block.features.shape[1],
            features=block.features.tobytes(),
            metrics={name: values.tolist() for name, values in block.metrics.items()},
        )


class BatchCheck(Struct, frozen=True, tag=True, gc=False):
    """Missions whose batches are to be compared with the files that are there."""

    rows: BatchRows


class Written(Struct, frozen=True, tag=True):
    """The batches are in the folder."""

    entries: list[Entry]
    cuda_available: bool


class BatchState(Struct, frozen=True):
    """What a batch's file holds.

    Attributes:
        entry: what its ledger entry should be. Where just the container differs, as another build
            of torch writes another, it is that of the file that is there.
        same_bytes: whether this build of torch would write the file as it is.
        problem: what differs first: the field, what was expected, and found; None where all of
            the content is as it should be.
        row: the row that differs.
    """

    entry: Entry
    same_bytes: bool = True
    problem: tuple[str, str, str] | None = None
    row: int | None = None


class Checked(Struct, frozen=True, tag=True):
    """What the files of the batches hold, in their order."""

    states: list[BatchState]


class Refused(Struct, frozen=True, tag=True):
    """The operating system refused to write or read them."""

    errno: int
    strerror: str
    filename: bytes | None


class Broken(Struct, frozen=True, tag=True):
    """The worker can't work at all; `traceback` says why."""

    traceback: str


class Simulate(Struct, frozen=True, tag=True):
    """Missions `first` to `first + count - 1` are to be simulated."""

    first: int
    count: int


class Read(Struct, frozen=True, tag=True):
    """Journal lines whose missions' rows are to be made again; `first` is the first one's index."""

    first: int
    lines: list[bytes]


class SimulatedBlock(Struct, frozen=True, tag=True, gc=False):
    """A block of missions on its way between processes."""

    lines: list[bytes]
    rows: BatchRows
    groups: list[str] | None

    @classmethod
    def of(cls, block: Block) -> SimulatedBlock:
        """Take a block apart."""
        groups = None if block.groups is None else list(block.groups)
        return cls(list(block.lines), BatchRows.of(block), groups)

    def block(self, columns: int) -> Block:
        """Put the block together again; `columns` is that of its features."""
        rows = self.rows
        return Block(
            rows.first,
            self.lines,
            rows.ids,
            np.frombuffer(rows.outcomes, np.int64),
            np.frombuffer(rows.labels, np.int64),
            np.frombuffer(rows.features, np.float32).reshape(len(rows.ids), rows.rows, columns),
            {name: np.array(values, np.float64) for name, values in rows.metrics.items()},
            self.groups,
        )


class Simulated(Struct, frozen=True, tag=True):
    """What came of missions, in their order.

    Attributes:
        parts: blocks, and missions whose own code raised.
        printed: what missions wrote to standard output, by index.
    """

    parts: list[SimulatedBlock | Raised]
    printed: dict[int, str] = {}


Request = BatchRows | BatchCheck | Simulate | Read
Reply = Written | Checked | Simulated | Refused | Broken

decode_setup = msgspec.msgpack.Decoder(Setup).decode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode


def frame(message: Setup | Request | Reply) -> bytes:
    """Encode a message and put its length before it."""
    payload = msgspec.msgpack.encode(message)
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


def payload_length(header: bytes) -> int:
    """Return how many bytes follow a header."""
    return int.from_bytes(header, "big")
