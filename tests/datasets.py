"""Looking at a run's folder from outside, as a user would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def data_set(folder: Path) -> dict[str, bytes]:
    """Return the files of a data set with their bytes; the index apart, as it bears a time."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for part in ("missions", "batches")
        for file in sorted((folder / part).iterdir())
        if file.name != "training_index.json"
    }


def everything(folder: Path) -> dict[str, bytes | None]:
    """Return all that lies below a folder, to see that nothing has changed; None is a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file."""
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def index_of(folder: Path) -> dict[str, Any]:
    """Read the index of a complete run."""
    return read_json(folder / "batches" / "training_index.json")


def log_of(folder: Path) -> str:
    """Return the logs of all sessions, one behind the other."""
    return "".join(file.read_text("utf-8") for file in sorted((folder / "logs").iterdir()))
