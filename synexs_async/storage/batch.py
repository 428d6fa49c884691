"""Batches: consecutive missions as tensors, one .pt file each.

The only module of a run that imports torch, which takes seconds: worker processes alone import it.
"""

from __future__ import annotations

import hashlib
import io
import os
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from synexs_async.missions.mission import ERROR_LABEL, LABEL_NAMES
from synexs_async.storage.files import replace_file
from synexs_async.storage.folder import RunFolder
from synexs_async.storage.ledger import Entry
from synexs_async.storage.protocol import BatchRows, Setup

torch.set_num_threads(1)  # there is a worker for each core already


def write_batches(rows: BatchRows, setup: Setup) -> list[Entry]:
    """Write rows as batches, each under its name, and return their ledger entries."""
    folder = RunFolder(Path(os.fsdecode(setup.folder)))
    labels = np.frombuffer(rows.labels, np.int64)
    features = np.frombuffer(rows.features, np.float32).reshape(
        len(labels), setup.feature_rows, setup.feature_columns
    )
    metadata = [
        {"mission_id": mission_id, "duration": duration, "status": status, "efficiency": efficiency}
        for mission_id, duration, status, efficiency in zip(
            rows.ids,
            rows.durations,
            (LABEL_NAMES[label] for label in labels.tolist()),
            rows.efficiencies,
            strict=True,
        )
    ]
    entries = []
    for start in range(0, len(labels), setup.batch_size):
        part = slice(start, start + setup.batch_size)
        kept = labels[part] != ERROR_LABEL
        content: dict[str, Any] = {
            "features": torch.from_numpy(_pad(features[part][kept], setup.sequence_length)),
            "labels": torch.from_numpy(labels[part][kept]),
            "metadata": list(compress(metadata[part], kept.tolist())),
            "batch_id": (rows.first + start) // setup.batch_size,
            "batch_size": int(kept.sum()),
            "first_mission": rows.first + start,
        }
        path = folder.batch_file(content["batch_id"])
        data = serialise(content)
        replace_file(path, data, durable=False)
        entries.append(
            Entry(
                file=f"{path.parent.name}/{path.name}",
                first=rows.first + start,
                missions=len(kept),
                size=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                content_sha256=content_digest(content),
                rows=content["batch_size"],
            )
        )
    return entries


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


def _pad(features: npt.NDArray[np.float32], length: int) -> npt.NDArray[np.float32]:
    """Bring [n, rows, columns] to [n, length, columns] by repeating the last row."""
    rows = min(features.shape[1] - 1, length)
    padded = np.empty((len(features), length, features.shape[2]), np.float32)
    padded[:, :rows] = features[:, :rows]
    padded[:, rows:] = features[:, -1:]
    return padded
