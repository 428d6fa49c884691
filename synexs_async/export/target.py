"""The folder that an export fills: whose export it holds, and the manifest that completes it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from synexs_async.errors import FolderError, UsageError
from synexs_async.export.source import Part, Source
from synexs_async.storage.files import replace_file, temporary_files

MANIFEST: Final = "_manifest.json"  # readers of whole folders pass over names with `_`


class Shard(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the export. `sha256` is its own, `journal_sha256` that of the lines it holds."""

    file: str
    first_mission: int
    rows: int
    bytes: int
    sha256: str
    journal_sha256: str


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a complete export holds: written last, so where it is, all is."""

    format: str
    identity: dict[str, Any]
    missions: int
    schema: dict[str, str]
    shards: tuple[Shard, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of an export; `written` files of `files` were not there before."""

    missions: int
    files: int
    written: int


def run_digest(source: Source) -> str:
    """Return the SHA-256 of what the run's data set is a function of."""
    return hashlib.sha256(msgspec.json.encode(source.identity, order="sorted")).hexdigest()


def check_target(folder: Path, names: Iterable[str], pattern: str) -> None:
    """See that a folder is free, or holds an export of a run that is no longer than ours.

    Args:
        folder: the export's folder, there or not.
        names: the files that the export will have, besides the manifest.
        pattern: a regular expression for what any export in this format would name its files.

    Raises:
        FolderError: it is a file, or holds something else.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FolderError(folder, "is a file; choose a folder as --to")
    leftovers = {file.name for file in temporary_files(folder)}
    there = {entry.name for entry in folder.iterdir()} - leftovers - {MANIFEST, *names}
    foreign = sorted(name for name in there if not re.fullmatch(pattern, name))
    if foreign:
        raise FolderError(folder, f"holds {foreign[0]!r}, no export of ours; choose another --to")
    if there:
        raise FolderError(folder, "holds the export of a longer run; choose another --to")


def read_manifest(folder: Path, source: Source) -> Manifest | None:
    """Read the manifest of a complete export, None where there is none that can be read.

    Raises:
        FolderError: it is that of another run.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(content, type=Manifest)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if manifest.identity != msgspec.to_builtins(source.identity):
        raise other_run(folder)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Say that the export is complete."""
    content = msgspec.json.format(msgspec.json.encode(manifest))
    replace_file(folder / MANIFEST, content + b"\n", durable=True)


def other_run(folder: Path) -> UsageError:
    """Make the error that refuses a folder with the export of another run."""
    return FolderError(folder, "holds the export of another run; choose another --to")


def shard_of(file: Path, part: Part) -> Shard:
    """Tell of a file that holds a part of the journal."""
    return Shard(
        file=file.name,
        first_mission=part.first,
        rows=part.rows,
        bytes=file.stat().st_size,
        sha256=digest_of(file),
        journal_sha256=part.sha256,
    )


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
