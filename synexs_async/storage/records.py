"""A run's records, for any program: the journal's lines in the types of their mission kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from synexs_async.errors import JournalDamaged
from synexs_async.missions.context import Record
from synexs_async.missions.failed import decode_error, is_error
from synexs_async.missions.loading import BUILT_IN, load_mission
from synexs_async.storage.folder import Identity, RunFolder, read_run_file
from synexs_async.storage.journal import Extent, Layout, decode_head, walk


def read_journal(folder: str | os.PathLike[str]) -> Iterator[Any]:
    """Read the committed records of a run, in index order.

    Of the team mission they are MissionRecords, of plain missions Records, of other kinds the
    types of JSON; missions that raised are ErrorRecords.

    It may be read while the run is going on: a last line that is not whole yet is left out.

    Raises:
        FolderError: the folder holds no run.
        JournalDamaged: a line in the middle is no record.
    """
    run_folder = RunFolder(Path(folder))
    identity = read_run_file(run_folder).identity
    layout = Layout.of(run_folder, identity, has_batches=True)
    decode = _decoder_of(identity)
    lines = walk(layout, 0, 0)
    while True:
        try:
            line = next(lines)
        except StopIteration as end:
            extent: Extent = end.value
            break
        try:
            yield decode_error(line) if is_error(line) else decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            number = decode_head(line).mission_number
            place = number - layout.file_start(number) + 1
            problem = f"the line is no record of the run's mission: {error}"
            raise JournalDamaged(layout.file(number), place, problem) from error
    if extent.valid_follows:
        raise JournalDamaged(layout.file(extent.missions), extent.line, extent.problem)


def _decoder_of(identity: Identity) -> Callable[[bytes], Any]:
    """Return what makes a record of a line, for a run whose kind may not be at hand."""
    if identity.mission in BUILT_IN:
        return load_mission(identity.mission).decode
    record, document = msgspec.json.Decoder(Record).decode, msgspec.json.Decoder().decode

    def decode(line: bytes) -> Any:
        try:
            return record(line)
        except msgspec.ValidationError:
            return document(line)

    return decode
