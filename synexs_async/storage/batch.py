"""Batches: consecutive missions as tensors, one .pt file each.

The only module of a run that imports torch, which takes seconds: worker processes alone import it.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from synexs_async.missions.mission import ERROR_OUTCOME, OUTCOME_NAMES
from synexs_async.storage.files import replace_file
from synexs_async.storage.folder import RunFolder, batch_name
from synexs_async.storage.ledger import Entry
from synexs_async.storage.protocol import BatchRows, BatchState, Setup

_LONGEST_VALUE: Final = 80

torch.set_num_threads(1)  # there is a worker for each core already


def write_batches(rows: BatchRows, setup: Setup) -> list[Entry]:
    """Write rows as batches, each under its name, and return their ledger entries."""
    folder = RunFolder(Path(os.fsdecode(setup.folder)))
    entries = []
    for missions, content in _contents(rows, setup):
        data = serialise(content)
        replace_file(folder.batch_file(content["batch_id"]), data, durable=False)
        entries.append(_entry(missions, content, data))
    return entries


def check_batches(rows: BatchRows, setup: Setup) -> list[BatchState]:
    """Compare the batches that rows make with what is in their files."""
    folder = RunFolder(Path(os.fsdecode(setup.folder)))
    return [_check(folder, missions, content) for missions, content in _contents(rows, setup)]


def cuda_is_available() -> bool:
    """Whether torch finds a GPU here."""
    return torch.cuda.is_available()


def serialise(content: dict[str, Any]) -> bytes:
    """Return the bytes of a batch file.

    Into memory first: written to a path, torch puts the file's name into the bytes, and a full
    disk comes out as an error that does not say so.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def content_digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a batch's content in canonical form, whatever torch wrote it.

    The form: one line of JSON with the batch's scalars, metadata, and the shape of each tensor;
    then the features as little-endian float32 and the labels as little-endian int64, in C order.
    """
    features: npt.NDArray[np.float32] = content["features"].numpy()
    labels: npt.NDArray[np.int64] = content["labels"].numpy()
    header = {
        "batch_id": content["batch_id"],
        "batch_size": content["batch_size"],
        "first_mission": content["first_mission"],
        "features": features.shape,
        "labels": labels.shape,
        "metadata": content["metadata"],
    }
    digest = hashlib.sha256(msgspec.json.encode(header) + b"\n")
    digest.update(np.ascontiguousarray(features, "<f4").data)
    digest.update(np.ascontiguousarray(labels, "<i8").data)
    return digest.hexdigest()


def _contents(rows: BatchRows, setup: Setup) -> Iterator[tuple[int, dict[str, Any]]]:
    """Make the content of each batch, beside the number of missions that it covers."""
    if not rows.ids:
        return
    labels = np.frombuffer(rows.labels, np.int64)
    outcomes = np.frombuffer(rows.outcomes, np.int64)
    features = np.frombuffer(rows.features, np.float32).reshape(
        len(labels), rows.rows, setup.feature_columns
    )
    keys = ("mission_id", "duration", "status", *setup.batch_metrics)
    columns = (
        rows.ids,
        rows.metrics["duration"],
        (OUTCOME_NAMES[outcome] for outcome in outcomes.tolist()),
        *(rows.metrics[name] for name in setup.batch_metrics),
    )
    metadata = [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
    for start in range(0, len(labels), setup.batch_size):
        part = slice(start, start + setup.batch_size)
        kept = outcomes[part] != ERROR_OUTCOME
        yield (
            len(kept),
            {
                "features": torch.from_numpy(_pad(features[part][kept], setup.sequence_length)),
                "labels": torch.from_numpy(labels[part][kept]),
                "metadata": list(compress(metadata[part], kept.tolist())),
                "batch_id": (rows.first + start) // setup.batch_size,
                "batch_size": int(kept.sum()),
                "first_mission": rows.first + start,
            },
        )


def _entry(missions: int, content: dict[str, Any], data: bytes) -> Entry:
    return Entry(
        file=batch_name(content["batch_id"]),
        first=content["first_mission"],
        missions=missions,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        content_sha256=content_digest(content),
        rows=content["batch_size"],
    )


def _check(folder: RunFolder, missions: int, content: dict[str, Any]) -> BatchState:
    data = serialise(content)
    entry = _entry(missions, content, data)

    def unreadable(found: str) -> BatchState:
        return BatchState(entry, same_bytes=False, problem=("", "a batch", found))

    try:
        found = folder.batch_file(content["batch_id"]).read_bytes()
    except FileNotFoundError:
        return unreadable("no file")
    except OSError as error:
        return unreadable(f"a file that can't be read ({error.strerror})")
    if found == data:
        return BatchState(entry)
    try:
        with warnings.catch_warnings(action="ignore"):
            there = torch.load(io.BytesIO(found), weights_only=True)
        for row, field, wanted, value in _side_by_side(content, there):
            if type(wanted) is not type(value) or wanted != value:
                problem = field, _spoken(wanted), _spoken(value)
                return BatchState(entry, same_bytes=False, problem=problem, row=row)
    except Exception as error:  # whatever comes of damaged bytes
        reason = str(error).partition("\n")[0] or type(error).__name__
        return unreadable(f"bytes that are none ({_shortened(reason)})")
    sha256 = hashlib.sha256(found).hexdigest()
    in_its_container = msgspec.structs.replace(entry, size=len(found), sha256=sha256)
    return BatchState(in_its_container, same_bytes=False)


def _side_by_side(
    expected: dict[str, Any], found: dict[str, Any]
) -> Iterator[tuple[int | None, str, Any, Any]]:
    """Give row, field and both values, in an order in which each may rest on those before it."""
    yield None, "", list(expected), list(found)
    for key in ("batch_id", "batch_size", "first_mission"):
        yield None, key, expected[key], found[key]
    for key, bits in (("features", torch.int32), ("labels", torch.int64)):
        tensors = expected[key], found[key]
        wanted, there = (f"{tensor.dtype} {list(tensor.shape)}" for tensor in tensors)
        yield None, key, wanted, there
        unlike = (tensors[0].view(bits) != tensors[1].view(bits)).nonzero()  # bits, as of a NaN
        for row, *inner in unlike[:1].tolist():
            wanted, there = (repr(tensor[(row, *inner)].item()) for tensor in tensors)
            yield row, f"{key}{inner or ''}", wanted, there
            yield row, f"{key}{inner or ''}", "one NaN", "another"
    yield None, "metadata", type(expected["metadata"]), type(found["metadata"])
    yield None, "metadata", len(expected["metadata"]), len(found["metadata"])
    for row, pair in enumerate(zip(expected["metadata"], found["metadata"], strict=True)):
        yield row, "metadata", list(pair[0]), list(pair[1])
        for key in pair[0]:
            yield row, f"metadata.{key}", pair[0][key], pair[1][key]


def _spoken(value: Any) -> str:
    return _shortened(value if isinstance(value, str) else repr(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _pad(features: npt.NDArray[np.float32], length: int) -> npt.NDArray[np.float32]:
    """Bring [n, rows, columns] to [n, length, columns] by repeating the last row."""
    rows = min(features.shape[1] - 1, length)
    padded = np.empty((len(features), length, features.shape[2]), np.float32)
    padded[:, :rows] = features[:, :rows]
    padded[:, rows:] = features[:, -1:]
    return padded
