"""Whole files, flushes and atomic replacement: the one place that decides how bytes reach the disk.

After a power cut a renamed file that was not flushed comes out empty, and a flushed one may have
lost its new name. So what must survive is written, flushed, renamed, and its folder flushed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_SMALL: Final = 65536
_LARGEST: Final = 1 << 26  # bytes; no such file comes near it
_SUFFIX: Final = ".tmp"
_TEMPORARY: Final = re.compile(r"\..+\.[0-9a-f]{12}\.tmp")


def temporary_path(path: Path) -> Path:
    """Return a new name beside `path`: unique, as an orphaned process may still write its own."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}{_SUFFIX}")


def temporary_files(folder: Path) -> Iterator[Path]:
    """Find what writers that were killed have left behind."""
    for path in files_like(_TEMPORARY, folder):
        if path.is_file():
            yield path


def remove_temporary_files(folder: Path) -> None:
    """Remove what killed writers have left behind; nobody may be writing in the folder."""
    for path in tuple(temporary_files(folder)):
        path.unlink(missing_ok=True)


def files_like(name: re.Pattern[str], folder: Path) -> Iterator[Path]:
    """Find what bears such a name, in no order; nothing where there is no such folder.

    One by one: `Path.glob` would keep all entries, of which there may be millions.
    """
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if name.fullmatch(entry.name):
                yield Path(entry)


def read_small_file(path: Path) -> bytes:
    """Read a whole file in three system calls, where `Path.read_bytes` takes seven.

    Behind each of them a thread waits for the interpreter again, which a busy event loop gives
    away once a turn. A pipe or a device in its place neither blocks nor fills the memory.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of a pipe, it waits for a writer
    try:
        content = os.pread(descriptor, _SMALL, 0)  # which refuses pipes
        while len(content) % _SMALL == 0 and (more := os.pread(descriptor, _SMALL, len(content))):
            content += more
            if len(content) > _LARGEST:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(descriptor)
    return content


def append_to(descriptor: int, data: bytes, path: Path) -> None:
    """Write every byte, however many calls it takes; `path` is what an error names."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        error.filename = str(path)
        raise


def overwrite_file(path: Path, data: bytes) -> None:
    """Write into a file that is there, which a full disk allows, though not atomically."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def replace_file(path: Path, chunks: bytes | Iterable[bytes], *, durable: bool) -> None:
    """Let `path` appear whole under its name, or not at all.

    With `durable` it outlives a power cut from the moment of the return.
    """
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            file.writelines((chunks,) if isinstance(chunks, bytes) else chunks)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # not every system call tells, and users want to know
        raise
    if durable:
        flush_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, so that they outlive a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        with suppress(PermissionError):  # who may write to the folder above may not read it
            flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class GroupFlush:
    """Flushes many files at once, which costs a fraction of flushing each.

    On Linux this is one syncfs(2) for each file system that the folders are on. It reports the
    write errors that happened since its descriptor was opened (Linux 5.8 and later), so the
    descriptors are kept for the whole run.
    """

    def __init__(self, *folders: Path) -> None:
        by_device: dict[int, Path] = {}
        for folder in folders:
            by_device.setdefault(folder.stat().st_dev, folder)
        self._descriptors = [
            os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in by_device.values()
        ]
        self._syncfs = None
        if sys.platform == "linux":
            self._syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)

    def flush(self, files: Iterable[Path], folders: Iterable[Path]) -> None:
        """Return once `files`, and the names in `folders`, are on disk."""
        if self._flush_all():
            return
        for file in files:
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        for folder in folders:
            flush_folder(folder)

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in self._descriptors:
            os.close(descriptor)

    def _flush_all(self) -> bool:
        """Flush whole file systems; False where the system can't, as some sandboxes can't."""
        for descriptor in self._descriptors:
            if self._syncfs is None:
                return False
            if self._syncfs(descriptor):
                error = ctypes.get_errno()
                if error != errno.ENOSYS:
                    raise OSError(error, os.strerror(error))
                self._syncfs = None
        return self._syncfs is not None
