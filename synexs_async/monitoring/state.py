"""How a run stands, as its folder tells; and the runs that lie below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from time import time
from typing import Final, Literal

from msgspec import Struct

from synexs_async.errors import FolderError
from synexs_async.storage.folder import Identity, RunFolder, read_run_file
from synexs_async.storage.following import is_at_work
from synexs_async.storage.progress import Progress, RunStatus, told_progress

MonitoredStatus = RunStatus | Literal["waiting", "lost"]

_DEEPEST: Final = 2  # folders below the root that may be a run


class RunState(Struct, frozen=True):
    """A run at a moment.

    Attributes:
        folder: where it lies.
        name: the same, as seen from the root that it was found below; the folder's own name
            where it was not looked for.
        identity: what its data set is a function of.
        team_id: its label.
        status: as the run tells; "waiting" before it tells anything, and "lost" where it says
            that it is running and its process is gone, or was silent for a minute, by the clocks
            of its machine and of this one.
        progress: what it told last; None while it is waiting.
    """

    folder: Path
    name: str
    identity: Identity
    team_id: str
    status: MonitoredStatus
    progress: Progress | None

    @property
    def told(self) -> float:
        """When it told last, in seconds since 1970; 0 where it never did."""
        return seconds_of(self.progress.timestamp) if self.progress else 0.0

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come, unless somebody starts it again."""
        return self.status not in ("waiting", "running")


def read_state(folder: str | os.PathLike[str], name: str | None = None) -> RunState:
    """Read how a run stands; FolderError where there is no run."""
    path = Path(folder)
    run = RunFolder(path)
    run_file = read_run_file(run)
    progress = told_progress(run)
    return RunState(
        folder=path,
        name=name_below(path, path) if name is None else name,
        identity=run_file.identity,
        team_id=run_file.team_id,
        status=_status(progress),
        progress=progress,
    )


def find_runs(root: str | os.PathLike[str]) -> list[RunState]:
    """Find the runs at and below a folder, two levels deep, in `standing_order`.

    Folders that can't be read are passed over, and so are runs whose run.json can't be.
    """
    path = Path(root)
    found = []
    for folder in _run_folders(path, _DEEPEST):
        try:
            found.append(read_state(folder, name_below(path, folder)))
        except FolderError:
            continue
    return sorted(found, key=standing_order)


def standing_order(state: RunState) -> tuple[bool, float, str]:
    """Put runs at work first, by name, so that they keep their places; then who told last."""
    is_at_work = state.status == "running"
    return not is_at_work, 0.0 if is_at_work else -state.told, state.name


def _status(progress: Progress | None) -> MonitoredStatus:
    if progress is None:
        return "waiting"
    if progress.status != "running":
        return progress.status
    return "running" if is_at_work(progress, time() - seconds_of(progress.timestamp)) else "lost"


def seconds_of(timestamp: str) -> float:
    """Return a time that a run told in seconds since 1970; 0 where it is none."""
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except (ValueError, OverflowError):
        return 0.0  # somebody else wrote it


def _run_folders(path: Path, depth: int) -> Iterator[Path]:
    try:
        if (path / "run.json").is_file():
            yield path
            return
        if depth == 0:
            return
        with os.scandir(path) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )
    except OSError:
        return
    for name in names:
        yield from _run_folders(path / name, depth - 1)


def name_below(root: Path, folder: Path) -> str:
    """Name a folder as seen from a root; what is no UTF-8 in it is replaced."""
    name = folder.relative_to(root).as_posix()
    name = root.absolute().name if name == "." else name
    return os.fsencode(name).decode(errors="replace")
