"""training_index.json: every file of the data set with its digests, and the digest of it all.

Made in one pass over the ledger, so that it costs no memory, whatever the size of the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from synexs_async.storage.files import replace_file
from synexs_async.storage.folder import Identity, RunFolder
from synexs_async.storage.ledger import Entry, Ledger

_LISTS: Final = b',\n  "batch_files": '


def dataset_digest(journals: Iterable[Entry], batches: Iterable[Entry]) -> str:
    """Return the SHA-256 over a line "<file> <digest>" for each file, journal first, in order.

    Of a journal file it takes the digest of its bytes, of a batch that of its content.
    """
    digest = hashlib.sha256()
    for entry in chain(journals, batches):
        digest.update(f"{entry.file} {entry.content_sha256 or entry.sha256}\n".encode())
    return digest.hexdigest()


def write_index(
    folder: RunFolder,
    identity: Identity,
    *,
    missions: int,
    feature_names: Sequence[str],
    label_names: Sequence[str],
    last: Sequence[Entry],
    created: str,
    cuda_available: bool | None,
) -> str:
    """Write the index of a complete run, durably, and return the data set's digest.

    `last` holds the entries that are not in the ledger, as their files may still grow: the last
    journal file's and the last batch's.
    """
    ledger = Ledger(folder.ledger)

    def entries(*, batches: bool) -> Iterator[Entry]:
        return (entry for entry in chain(ledger.entries(), last) if entry.is_batch == batches)

    digest, parts = compose_index(
        identity,
        missions=missions,
        feature_names=feature_names,
        label_names=label_names,
        journals=lambda: entries(batches=False),
        batches=lambda: entries(batches=True),
        created=created,
        cuda_available=cuda_available,
    )
    replace_file(folder.index, parts, durable=True)
    return digest


def compose_index(
    identity: Identity,
    *,
    missions: int,
    feature_names: Sequence[str],
    label_names: Sequence[str],
    journals: Callable[[], Iterable[Entry]],
    batches: Callable[[], Iterable[Entry]],
    created: str,
    cuda_available: bool | None,
) -> tuple[str, Iterator[bytes]]:
    """Return the data set's digest, and the index in pieces, one behind the other."""
    digest = dataset_digest(journals(), batches())
    fields = {
        "missions": missions,
        "total_batches": -(-missions // identity.batch_size) if feature_names else 0,
        "batch_size": identity.batch_size,
        "sequence_length": identity.sequence_length,
        "feature_names": list(feature_names),
        "label_names": list(label_names),
        "dataset_sha256": digest,
        "identity": identity,
        "created": created,
        "cuda_available": cuda_available,
    }
    parts = chain(
        [msgspec.json.format(msgspec.json.encode(fields)).rstrip(b"}").rstrip()],
        [_LISTS],
        _array(_name(entry) for entry in batches()),
        [b',\n  "batches": '],
        _array(_describe(entry) for entry in batches()),
        [b',\n  "journal_files": '],
        _array(_describe(entry) for entry in journals()),
        [b"\n}\n"],
    )
    return digest, parts


class IndexHead(Struct, frozen=True):
    """What an index says before it lists the files."""

    missions: int
    dataset_sha256: str
    identity: Identity
    created: str
    cuda_available: bool | None


def read_index_head(path: Path) -> IndexHead | None:
    """Read the beginning of an index, None where there is none; ValueError where it is not one."""
    beginning = b""
    try:
        with path.open("rb") as lines:
            for line in lines:
                if line.startswith(_LISTS.splitlines()[-1]):
                    break
                beginning += line
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(beginning.rstrip().rstrip(b",") + b"}", type=IndexHead)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} can't be read: {error}") from error


def digests_in_index(folder: RunFolder) -> dict[str, str]:
    """Return the SHA-256 of each file that the index lists; none where it can't be read."""
    try:
        index = msgspec.json.decode(folder.index.read_bytes(), type=_Files)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return {listed.file: listed.sha256 for listed in (*index.journal_files, *index.batches)}


class IndexedBatch(Struct, frozen=True, gc=False):
    """How many rows a batch has: its missions, without those that raised."""

    rows: int


class BatchIndex(Struct, frozen=True):
    """What an index says of the batches; they are listed in their order."""

    missions: int
    batch_size: int
    feature_names: tuple[str, ...]
    label_names: tuple[str, ...]
    batches: list[IndexedBatch]


def read_batch_index(path: Path) -> BatchIndex | None:
    """Read what an index says of the batches, None where it is missing; ValueError as above."""
    try:
        index = msgspec.json.decode(path.read_bytes(), type=BatchIndex)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name} can't be read: {error}") from error
    batches = -(-index.missions // index.batch_size) if index.feature_names else 0
    if len(index.batches) != batches:
        raise ValueError(f"{path.name} lists {len(index.batches)} batches, not {batches}")
    return index


class _Listed(Struct, frozen=True, gc=False):
    file: str
    sha256: str


class _Files(Struct, frozen=True):
    batches: list[_Listed]
    journal_files: list[_Listed]


def _name(entry: Entry) -> bytes:
    return msgspec.json.encode(entry.file.rpartition("/")[2])


def _describe(entry: Entry) -> bytes:
    described: dict[str, object] = {
        "file": entry.file,
        "first_mission": entry.first,
        "rows": entry.rows if entry.is_batch else entry.missions,
        "bytes": entry.size,
        "sha256": entry.sha256,
    }
    if entry.is_batch:
        described["content_sha256"] = entry.content_sha256
    return msgspec.json.encode(described)


def _array(items: Iterable[bytes]) -> Iterator[bytes]:
    yield b"["
    separator = b"\n    "
    for item in items:
        yield separator + item
        separator = b",\n    "
    yield b"\n  ]"
