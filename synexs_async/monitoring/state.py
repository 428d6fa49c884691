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
            that it is running and its process is gone, or silent for a minute: stopped, too.
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
        return _seconds(self.progress.timestamp) if self.progress else 0.0

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come, unless somebody starts it again."""
        return self.status not in ("waiting", "running")


def read_state(folder: str | os.PathLike[str], name: str | None = None) -> RunState:
    """Read how a run stands; FolderError where there is no run."""
    path = Path(folder)
    run_file = read_run_file(RunFolder(path))
    progress = told_progress(path)
    return RunState(
        folder=path,
        name=path.absolute().name if name is None else name,
        identity=run_file.identity,
        team_id=run_file.team_id,
        status=_status(progress),
        progress=progress,
    )


def find_runs(root: str | os.PathLike[str]) -> list[RunState]:
    """Find the runs at and below a folder, two levels deep.

    Those at work come first, by name, then those that told last.
    Folders that can't be read are passed over, and so are runs whose run.json can't be.
    """
    path = Path(root)
    found = []
    for folder in _run_folders(path, _DEEPEST):
        try:
            found.append(read_state(folder, _name_below(path, folder)))
        except FolderError:
            continue
    return sorted(found, key=rank)


def rank(state: RunState) -> tuple[bool, float, str]:
    """Return what runs are sorted by: those at work by name, then the others, newest first.

    Those at work keep their places so, whichever of them told last.
    """
    is_idle = state.status != "running"
    return is_idle, -state.told if is_idle else 0.0, state.name


def _status(progress: Progress | None) -> MonitoredStatus:
    if progress is None:
        return "waiting"
    if progress.status != "running":
        return progress.status
    return "running" if is_at_work(progress, time() - _seconds(progress.timestamp)) else "lost"


def _seconds(timestamp: str) -> float:
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


def _name_below(root: Path, folder: Path) -> str:
    name = folder.relative_to(root).as_posix()
    return root.absolute().name if name == "." else name
