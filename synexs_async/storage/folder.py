"""A run's folder: where each thing lies in it, who may write to it, and whose run it holds."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from filelock import FileLock, Timeout
from msgspec import Struct

from synexs_async.config import MissionFiles
from synexs_async.errors import FolderError, FolderInUse, IdentityMismatch
from synexs_async.storage.files import (
    flush_folder,
    make_folder,
    read_small_file,
    replace_file,
    temporary_files,
)

if TYPE_CHECKING:
    from synexs_async.missions.mission import Mission

FORMAT_VERSION: Final = 1
MISSIONS_PER_FILE: Final = {"journal": 10_000, "single": 1}

_PARTS: Final = (
    "checkpoint.json",
    "ledger.jsonl",
    "progress.json",
    "series.jsonl",
    "report.html",
    "report.json",
    "logs",
    "missions",
    "batches",
    "models",
    "run.json",  # last: while it is there, the folder is known to be ours
)
_FOLDERS: Final = frozenset({"logs", "missions", "batches", "models"})
_LOCK: Final = "run.lock"
_ARCHIVE: Final = "archive"
_HALF_ARCHIVED: Final = ".partial"


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """What a run's data set is a function of. N is no part of it: a run may grow."""

    mission: str
    mission_version: int
    parameters: dict[str, Any]
    seed: int
    batch_size: int
    sequence_length: int
    mission_files: MissionFiles
    format_version: int = FORMAT_VERSION


class RunFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of run.json."""

    identity: Identity
    team_id: str


def _part(name: str) -> cached_property[Path]:
    """Return a path in a run's folder, made when it is asked for: lists of runs need only two."""
    return cached_property(lambda folder: folder.path / name)


class RunFolder:
    """The paths within a run's folder."""

    run_file = _part("run.json")
    checkpoint = _part("checkpoint.json")
    ledger = _part("ledger.jsonl")
    progress = _part("progress.json")
    series = _part("series.jsonl")
    report = _part("report.html")
    report_figures = _part("report.json")
    logs = _part("logs")
    missions = _part("missions")
    batches = _part("batches")
    index = _part("batches/training_index.json")
    models = _part("models")

    def __init__(self, path: Path) -> None:
        try:
            self.path = path.absolute()
        except FileNotFoundError:
            problem = "is in the current folder, which is gone; change to another"
            raise FolderError(path, problem) from None

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def journal_file(self, first: int) -> Path:
        """Return the journal file whose first mission is `first`."""
        return self.path / journal_name(first)

    def batch_file(self, number: int) -> Path:
        """Return the file of a batch."""
        return self.path / batch_name(number)

    def log_file(self, started: datetime) -> Path:
        """Return the log of the session that started then."""
        return self.logs / f"training_{started:%Y%m%d_%H%M%S}.log"

    def create_parts(self) -> None:
        """Make the folders of a run where they are missing."""
        for part in (self.logs, self.missions, self.batches, self.models):
            part.mkdir(exist_ok=True)


def journal_name(first: int) -> str:
    """Return the path, from the run's folder, of the journal file that begins with `first`."""
    return f"missions/mission_{first:09d}.jsonl"


def batch_name(number: int) -> str:
    """Return the path of a batch's file from the run's folder."""
    return f"batches/batch_{number:06d}.pt"


def acquire(folder: RunFolder) -> FileLock:
    """Hold the folder for this process; the operating system lets go of it however we end.

    Makes the folder where it is missing.

    Raises:
        FolderInUse: another run holds it.
        FolderError: it can't be used at all.
    """
    path = folder.path
    lock = FileLock(path / _LOCK, thread_local=False, fallback_to_soft=False)
    try:
        if path.exists() and not path.is_dir():
            raise FolderError(path, "is a file; choose a folder as --output")
        if path.is_dir() and not _is_ours(folder):
            problem = "is not empty and holds no run of ours; choose an empty or a new folder"
            raise FolderError(path, problem)
        make_folder(path)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise FolderInUse(path, _holder(path)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise FolderError(path, f"can't be used: {reason}; choose another --output") from error
    return lock


def adopt(folder: RunFolder, wanted: RunFile, *, resume: bool) -> tuple[RunFile, Path | None]:
    """See that the folder holds the `wanted` run, or is free for it; it must be locked.

    Returns:
        The run as the folder knows it (with the team id that it began with), and where an old one
        was moved to, if one was.

    Raises:
        IdentityMismatch: it holds another run, which was left as it is.
    """
    _expect_kind(folder.path / _ARCHIVE, is_folder=True)
    archived = _finish_archiving(folder)
    there = _read_run_file(folder)
    if there is not None and not resume:
        archived = _archive(folder)
        there = None
    if there is not None:
        differences = _differences(there.identity, wanted.identity)
        if differences:
            way_out = (
                "Choose another --output, or add --no-resume to move that run into its archive "
                "folder"
            )
            raise IdentityMismatch(folder.path, differences, way_out)
        wanted = there
    holder = f"process {os.getpid()} on {socket.gethostname()}\n"
    (folder.path / _LOCK).write_text(holder, "utf-8")
    return wanted, archived


def check_kinds(folder: RunFolder) -> None:
    """See that files are where a run expects files, and folders where it expects folders.

    Raises:
        FolderError: something else bears the name of a part of the run.
    """
    for name in _PARTS:
        _expect_kind(folder.path / name, is_folder=name in _FOLDERS)
    for part, pattern in ((folder.missions, "mission_*.jsonl"), (folder.batches, "[bt]*_*.*")):
        if not part.is_dir():
            continue
        with os.scandir(part) as entries:  # which knows what they are: there may be millions
            for entry in entries:
                if not entry.is_file(follow_symlinks=False) and fnmatch(entry.name, pattern):
                    _expect_kind(Path(entry), is_folder=False)


def settle(folder: RunFolder, run_file: RunFile) -> None:
    """Make what the run needs in its folder, and say there whose it is, where that is missing."""
    folder.create_parts()
    if not folder.run_file.exists():
        content = msgspec.json.format(msgspec.json.encode(run_file))
        replace_file(folder.run_file, content + b"\n", durable=True)


def expect_mission(folder: RunFolder, identity: Identity, mission: Mission) -> None:
    """See that a run is of this mission kind; IdentityMismatch where it is not."""
    parameters = msgspec.json.decode(msgspec.json.encode(mission.parameters()))
    asked = (mission.name, mission.version, parameters)
    there = (identity.mission, identity.mission_version, identity.parameters)
    names = ("mission", "mission_version", "parameters")
    pairs = zip(names, zip(there, asked, strict=True), strict=True)
    if differences := {name: pair for name, pair in pairs if pair[0] != pair[1]}:
        way_out = "Give the kind, of the version and with the parameters, that made the run"
        raise IdentityMismatch(folder.path, differences, way_out)


def read_run_file(folder: RunFolder) -> RunFile:
    """Read whose run a folder holds; FolderError where it holds none."""
    there = _read_run_file(folder)
    if there is None:
        raise FolderError(folder.path, "holds no run: there is no run.json in it")
    return there


def holds_run(folder: RunFolder) -> bool:
    """Whether a folder holds a run; False where there is none yet.

    Raises:
        FolderError: it is no folder, or one with somebody else's files, or can't be read.
    """
    path = folder.path
    try:
        if path.exists() and not path.is_dir():
            raise FolderError(path, "is a file; name a run's folder")
        is_free = not path.is_dir() or _is_ours(folder)
        if folder.run_file.is_file():  # looked for last: a run may just have begun
            return True
    except OSError as error:
        raise FolderError(path, f"can't be read: {error.strerror}") from error
    if not is_free:
        raise FolderError(path, "holds no run: there is no run.json in it, but other files")
    return False


def _is_ours(folder: RunFolder) -> bool:
    """Whether a folder holds a run, or is free to take one."""
    if folder.run_file.exists() or any(_halves(folder)):
        return True
    names = {entry.name for entry in folder.path.iterdir()}
    parts = {name for name in names if name in _PARTS}
    if not all(_is_empty_folder(folder.path / part) for part in parts):
        return False  # somebody's data, or a run that lost its run.json
    beginning = {_LOCK, _ARCHIVE, *(file.name for file in temporary_files(folder.path))}
    return names <= beginning | parts or any(_archived(folder))


def _expect_kind(path: Path, *, is_folder: bool) -> None:
    there = os.path.lexists(path)
    if there and not (path.is_dir() if is_folder else path.is_file()):
        kind = "folder" if is_folder else "file"
        raise FolderError(path, f"is no {kind}, as a run needs it to be; move it away")


def _archived(folder: RunFolder) -> Iterator[Path]:
    return (folder.path / _ARCHIVE).glob("*/run.json")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _holder(path: Path) -> str:
    try:
        return (path / _LOCK).read_text("utf-8", errors="replace").strip() or "another process"
    except OSError:
        return "another process"


def _read_run_file(folder: RunFolder) -> RunFile | None:
    try:
        return msgspec.json.decode(read_small_file(folder.run_file), type=RunFile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FolderError(
            folder.path,
            f"run.json can't be read ({error}); restore it from a copy, or choose another --output",
        ) from error


def _differences(there: Identity, asked: Identity) -> dict[str, tuple[object, object]]:
    """Compare identities field by field, and parameters key by key."""
    pairs = {
        name: (getattr(there, name), getattr(asked, name)) for name in Identity.__struct_fields__
    }
    flat: dict[str, tuple[object, object]] = {}
    for name, (old, new) in pairs.items():
        flat.update(_unlike(name, old, new))
    return flat


def _unlike(name: str, old: object, new: object) -> dict[str, tuple[object, object]]:
    if isinstance(old, dict) and isinstance(new, dict):
        flat: dict[str, tuple[object, object]] = {}
        for key in {**old, **new}:
            flat.update(_unlike(f"{name}.{key}", old.get(key), new.get(key)))
        return flat
    return {} if old == new else {name: (old, new)}


def _archive(folder: RunFolder) -> Path:
    """Move everything that belongs to the run aside, whole."""
    time = f"{datetime.now():%Y%m%d_%H%M%S}"
    archive, number = folder.path / _ARCHIVE, 1
    while any(archive.glob(f"{time}*")):
        number += 1
        time = f"{time.partition('-')[0]}-{number}"
    (archive / f"{time}{_HALF_ARCHIVED}").mkdir(parents=True)
    moved = _finish_archiving(folder)
    assert moved is not None
    return moved


def _finish_archiving(folder: RunFolder) -> Path | None:
    """Move what is left to move; also after a kill or a power cut in the middle of it.

    Each step is on disk before the next one begins: while anything moves, the half is known as one.
    """
    moved = None
    for half in _halves(folder):
        flush_folder(half.parent)
        flush_folder(folder.path)
        for part in _PARTS:
            if os.path.lexists(folder.path / part):
                try:
                    (folder.path / part).rename(half / part)
                except OSError as error:
                    if error.errno not in (errno.EBUSY, errno.EXDEV):
                        raise
                    _put_back(folder, half)
                    problem = (
                        f"can't be moved to {half.parent} ({error.strerror}), as one of them is a "
                        "mount of its own; choose another --output, or unmount it"
                    )
                    raise FolderError(folder.path / part, problem) from error
        flush_folder(half)
        flush_folder(folder.path)
        moved = half.with_name(half.name.removesuffix(_HALF_ARCHIVED))
        half.rename(moved)
        flush_folder(moved.parent)
    return moved


def _put_back(folder: RunFolder, half: Path) -> None:
    """Undo what was moved: no later start could move the rest either."""
    for part in _PARTS:
        if os.path.lexists(half / part):
            (half / part).rename(folder.path / part)
    flush_folder(folder.path)
    half.rmdir()
    with suppress(OSError):  # it holds other runs
        half.parent.rmdir()


def _halves(folder: RunFolder) -> Iterator[Path]:
    return (folder.path / _ARCHIVE).glob(f"*{_HALF_ARCHIVED}")
