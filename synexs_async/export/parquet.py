"""Parquet: a row a mission, in shards of one schema, the same bytes for the same run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from synexs_async.export.schema import Kind
from synexs_async.export.source import Part, Source, Told, read_part, survey
from synexs_async.export.target import (
    MANIFEST,
    Exported,
    Manifest,
    check_target,
    digest_of,
    other_run,
    read_manifest,
    run_digest,
    shard_of,
    write_manifest,
)
from synexs_async.storage.files import (
    flush_folder,
    make_folder,
    remove_temporary_files,
    temporary_path,
)

MISSIONS_PER_SHARD: Final = 10_000
_NAME: Final = r"missions-\d{6,}\.parquet"
_ROWS_TOGETHER: Final = 1_000
_BYTES_TOGETHER: Final = 4 << 20  # of JSON, for records that are long
_RUN: Final = b"synexs_run"
_FIRST: Final = b"synexs_first_mission"
_LINES: Final = b"synexs_journal_sha256"
_SCALARS: Final = {
    "null": pa.string(),  # readers differ in what they make of a column of type null
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "json": pa.string(),
}


def export_parquet(
    source: Source, folder: Path, told: Told, missions_per_shard: int = MISSIONS_PER_SHARD
) -> Exported:
    """Export a run, or go on with an export that was interrupted or whose run has grown.

    `told` hears of each mission twice: once when it was surveyed, once when it is in its shard.

    Raises:
        FolderError: the folder holds something else, which was left as it is.
        JournalDamaged: a line of the journal is no record.
    """
    manifest = read_manifest(folder, source)
    count = -(-source.missions // missions_per_shard)
    files = [folder / f"missions-{number:06d}.parquet" for number in range(count)]
    check_target(folder, (file.name for file in files), _NAME)
    run = run_digest(source).encode()
    if any(_run_of(file) not in (run, None) for file in files):
        raise other_run(folder)
    found = survey(source, missions_per_shard, told)
    schema = arrow_schema(found.kind)
    known = {shard.file: shard.sha256 for shard in manifest.shards} if manifest else {}
    make_folder(folder)
    remove_temporary_files(folder)
    shards, written = [], 0
    for file, part in zip(files, found.parts, strict=True):
        metadata = {_RUN: run, _FIRST: b"%d" % part.first, _LINES: part.sha256.encode()}
        wanted = schema.with_metadata(metadata)
        if not _holds(file, wanted, known.get(file.name)):
            (folder / MANIFEST).unlink(missing_ok=True)
            _write(file, wanted, _batches(source, part, found.kind, wanted))
            written += 1
        shards.append(shard_of(file, part))
        told(part.rows)
    complete = Manifest(
        format="parquet",
        identity=msgspec.to_builtins(source.identity),
        missions=source.missions,
        schema={field.name: str(field.type) for field in schema},
        shards=tuple(shards),
    )
    if manifest != complete or written:
        write_manifest(folder, complete)
    return Exported(source.missions, count, written)


def arrow_schema(kind: Kind) -> pa.Schema:
    """Return the columns of records of a kind."""
    return pa.schema([(name, _arrow_type(inner)) for name, inner in kind.fields.items()])


def _arrow_type(kind: Kind) -> pa.DataType:
    if kind.type == "object":
        return pa.struct([(name, _arrow_type(inner)) for name, inner in kind.fields.items()])
    if kind.type == "list":
        return pa.list_(_arrow_type(kind.item))
    return _SCALARS[kind.type]


def _batches(source: Source, part: Part, kind: Kind, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Give a part's rows in groups that fit into memory, whose borders the records decide."""
    fill = _filler(kind)
    rows: list[dict[str, Any]] = []
    size = 0
    for length, record in read_part(source, part):
        if rows and (len(rows) == _ROWS_TOGETHER or size + length > _BYTES_TOGETHER):
            yield pa.RecordBatch.from_pylist(rows, schema=schema)
            rows, size = [], 0
        rows.append(fill(record))
        size += length
    yield pa.RecordBatch.from_pylist(rows, schema=schema)


def _filler(kind: Kind) -> Callable[[Any], Any]:
    """Return what puts JSON's text where a column holds that; nulls stay nulls."""
    if not kind.has_json():
        return lambda value: value
    if kind.type == "json":
        return lambda value: None if value is None else msgspec.json.encode(value).decode()
    if kind.type == "list":
        fill = _filler(kind.item)
        return lambda value: None if value is None else [fill(item) for item in value]
    fillers = {name: _filler(inner) for name, inner in kind.fields.items()}

    def fill_object(value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is None:
            return None
        return {name: fillers[name](inner) for name, inner in value.items()}

    return fill_object


def _write(file: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Let a shard appear whole under its name, or not at all."""
    temporary = temporary_path(file)
    try:
        with temporary.open("xb") as content:
            with pq.ParquetWriter(content, schema, compression="zstd") as writer:
                for batch in batches:
                    writer.write_batch(batch)
            content.flush()
            os.fsync(content.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(file.parent)


def _holds(file: Path, schema: pa.Schema, sha256: str | None) -> bool:
    """Whether a shard is there, of these records, and undamaged as far as is known."""
    there = _schema_of(file)
    if there is None or not there.equals(schema) or there.metadata != schema.metadata:
        return False
    return sha256 is None or digest_of(file) == sha256


def _run_of(file: Path) -> bytes | None:
    """Return the digest of the run that a shard is of, None where it can't be told."""
    schema = _schema_of(file)
    return None if schema is None else (schema.metadata or {}).get(_RUN, b"")


def _schema_of(file: Path) -> pa.Schema | None:
    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowException):  # not there, or no Parquet file any more
        return None
