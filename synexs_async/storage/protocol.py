"""What a run and its worker processes say to each other: frames of MessagePack over pipes."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from synexs_async.missions.mission import Block
from synexs_async.storage.ledger import Entry

HEADER_BYTES: Final = 4


class Setup(Struct, frozen=True):
    """The first frame to a worker: what all its batches have in common."""

    folder: bytes  # a path need not be text
    parent: int
    batch_size: int
    sequence_length: int
    feature_rows: int
    feature_columns: int


class BatchRows(Struct, frozen=True, tag=True, gc=False):
    """Missions that are to become batches; none to learn about the worker alone.

    Attributes:
        first: the index of the first mission; the start of a batch.
        ids: n mission ids.
        labels: int64 [n] as bytes.
        features: float32 [n, rows, columns] as bytes; the last row is repeated as padding.
        durations: n simulated durations in seconds.
        efficiencies: n efficiencies.
    """

    first: int
    ids: list[str]
    labels: bytes
    features: bytes
    durations: list[float]
    efficiencies: list[float]

    @classmethod
    def of(cls, block: Block) -> BatchRows:
        """Take what a batch needs of a block."""
        return cls(
            first=block.first,
            ids=list(block.ids),
            labels=block.labels.tobytes(),
            features=block.features.tobytes(),
            durations=block.metrics["duration"].tolist(),
            efficiencies=block.metrics["efficiency"].tolist(),
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


Request = BatchRows | BatchCheck
Reply = Written | Checked | Refused | Broken

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
