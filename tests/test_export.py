"""A run as Parquet: typed, whole, the same bytes every time, and resumed where it was interrupted.

Shards have 40 missions here, so that a run of 100 has two whole ones and a short one.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from builders import identity_of_tests, layout_in, missions, missions_with_errors, nothing_changes
from conftest import ROOT, Command
from datasets import everything, read_json
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async.errors import FolderError, JournalDamaged
from synexs_async.export.parquet import export_parquet
from synexs_async.export.schema import MOST_FIELDS, Kind
from synexs_async.export.source import open_source
from synexs_async.export.target import Exported
from synexs_async.storage.folder import Identity, RunFile, settle
from synexs_async.storage.journal import Layout

SHARD = 40
MISSIONS = 100

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.text(max_size=3)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def run_in(path: Path, lines: Sequence[bytes], identity: Identity | None = None) -> Layout:
    """Leave a run whose journal has these lines."""
    layout = layout_in(path, missions_per_file=10_000)
    settle(layout.folder, RunFile(identity or identity_of_tests(), "tests"))
    layout.file(0).write_bytes(b"".join(lines))
    return layout


def export(run: Path, folder: Path) -> Exported:
    """Export it in short shards."""
    return export_parquet(open_source(run), folder, lambda missions: None, SHARD)


def lines_of(values: Sequence[Any]) -> list[bytes]:
    """Make journal lines of a record with one value each."""
    return [
        msgspec.json.encode(
            {"mission_id": f"{number:024x}", "mission_number": number, "status": "x", "it": value}
        )
        + b"\n"
        for number, value in enumerate(values)
    ]


def without_nulls(value: Any) -> Any:
    """Leave out the members that are null: a column does not tell those from ones not there."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def read_back(value: Any, kind: Kind) -> Any:
    """Return a column's value as JSON has it: JSON's text decoded, nulls left out."""
    if value is None:
        return None
    if kind.type == "json":
        return without_nulls(json.loads(value))
    if kind.type == "list":
        return [read_back(item, kind.item) for item in value]
    if kind.type == "object":
        members = {name: read_back(value[name], inner) for name, inner in kind.fields.items()}
        return {name: member for name, member in members.items() if member is not None}
    return value


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Leave an interrupted run of team missions, one of which raised, with a torn last line."""
    lines = [*missions_with_errors(0, MISSIONS, [41]).lines, missions(100, 101).lines[0][:-9]]
    return run_in(tmp_path / "run", lines).folder.path


def test_each_record_is_a_typed_row(run: Path, tmp_path: Path) -> None:
    """In order, all of them, over all shards; what a record lacks is null."""
    with nothing_changes(run):
        assert Exported(MISSIONS, 3, 3) == export(run, tmp_path / "out")
    table = ds.dataset(tmp_path / "out", format="parquet").to_table()
    journal = (run / "missions" / "mission_000000000.jsonl").read_bytes()
    records = [json.loads(line) for line in journal.splitlines()[:MISSIONS]]
    assert [without_nulls(record) for record in records] == without_nulls(table.to_pylist())
    assert pa.int64() == table.schema.field("training_label").type
    assert pa.struct([("hosts", pa.int64()), ("subnets", pa.int64())]) == (
        table.schema.field("environment").type.field("topology").type
    )
    assert pa.types.is_struct(table.schema.field("communications").type.value_type)
    errors = table.column("error").to_pylist()
    assert [None] * 41 + ["ValueError"] + [None] * 58 == errors


def test_the_manifest_tells_what_is_there(run: Path, tmp_path: Path) -> None:
    """Whose run it is, and each shard with its rows and digests."""
    export(run, tmp_path / "out")
    manifest = read_json(tmp_path / "out" / "_manifest.json")
    assert identity_of_tests() == msgspec.convert(manifest["identity"], Identity)
    assert MISSIONS == manifest["missions"]
    assert [(0, 40), (40, 40), (80, 20)] == [
        (shard["first_mission"], shard["rows"]) for shard in manifest["shards"]
    ]
    for shard in manifest["shards"]:
        assert shard["rows"] == pq.read_metadata(tmp_path / "out" / shard["file"]).num_rows


def test_an_export_goes_on_where_it_was_interrupted(run: Path, tmp_path: Path) -> None:
    """With the shards that are missing, to the same bytes; a whole one is left alone."""
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    export(run, whole)
    for folder in (whole, torn):
        export(run, folder)
    (torn / "_manifest.json").unlink()
    (torn / "missions-000001.parquet").unlink()
    (torn / "missions-000002.parquet").write_bytes(b"PAR1")
    (torn / ".missions-000001.parquet.0123456789ab.tmp").write_bytes(b"PAR1")
    assert Exported(MISSIONS, 3, 2) == export(run, torn)
    assert everything(whole) == everything(torn)
    with nothing_changes(whole):
        assert Exported(MISSIONS, 3, 0) == export(run, whole)


@pytest.mark.parametrize("moment", range(1, 7))
def test_ctrl_c_leaves_an_export_that_goes_on(run: Path, tmp_path: Path, moment: int) -> None:
    """At any of its steps: what is there is whole, and the same command makes the same bytes."""
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    export(run, whole)
    steps = iter(range(1, moment))

    def told(missions: int) -> None:
        if next(steps, None) is None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        export_parquet(open_source(run), torn, told, SHARD)

    there = everything(torn)
    assert there.items() < everything(whole).items()
    assert Exported(MISSIONS, 3, 3 - len(there)) == export(run, torn)
    assert everything(whole) == everything(torn)


def test_a_damaged_shard_is_written_again(run: Path, tmp_path: Path) -> None:
    """The manifest's digest finds one byte that has changed."""
    export(run, tmp_path / "out")
    before = everything(tmp_path / "out")
    file = tmp_path / "out" / "missions-000000.parquet"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    assert Exported(MISSIONS, 3, 1) == export(run, tmp_path / "out")
    assert before == everything(tmp_path / "out")


def test_an_export_follows_a_run_that_has_grown(run: Path, tmp_path: Path) -> None:
    """The same bytes as if it had been exported then at first."""
    export(run, tmp_path / "out")
    run_in(run, missions_with_errors(0, 130, [41]).lines)
    assert Exported(130, 4, 2) == export(run, tmp_path / "out")
    export(run, tmp_path / "new")
    assert everything(tmp_path / "new") == everything(tmp_path / "out")


def test_what_a_run_going_on_adds_is_left_out(run: Path, tmp_path: Path) -> None:
    """An export holds what was committed when it began."""
    source = open_source(run)
    run_in(run, missions_with_errors(0, 130, [41]).lines)
    done = export_parquet(source, tmp_path / "out", lambda missions: None, SHARD)
    assert Exported(MISSIONS, 3, 3) == done


def test_a_run_with_a_file_a_mission_is_exported_alike(run: Path, tmp_path: Path) -> None:
    """The shards' rows do not depend on the journal's files."""
    identity = msgspec.structs.replace(identity_of_tests(), mission_files="single")
    layout = layout_in(tmp_path / "single", missions_per_file=1)
    settle(layout.folder, RunFile(identity, "tests"))
    for number, line in enumerate(missions_with_errors(0, MISSIONS, [41]).lines):
        layout.file(number).write_bytes(line)
    tables = []
    for path in (run, layout.folder.path):
        assert Exported(MISSIONS, 3, 3) == export(path, tmp_path / f"{path.name}-out")
        tables.append(pq.read_table(tmp_path / f"{path.name}-out" / "missions-000002.parquet"))
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("has_manifest", [True, False])
def test_a_folder_with_another_export_is_refused(
    run: Path, tmp_path: Path, has_manifest: bool
) -> None:
    """Complete or not, of another run or of a longer one."""
    target = tmp_path / "out"
    export(run, target)
    if not has_manifest:
        (target / "_manifest.json").unlink()
    other = msgspec.structs.replace(identity_of_tests(), seed=8)
    run_in(tmp_path / "other", missions(0, MISSIONS).lines, other)
    run_in(tmp_path / "shorter", missions(0, 9).lines)
    for name, problem in (("other", "another run"), ("shorter", "a longer run")):
        with nothing_changes(target), pytest.raises(FolderError, match=problem):
            export(tmp_path / name, target)


def test_a_folder_with_something_else_is_refused(run: Path, tmp_path: Path) -> None:
    """A run's own folder too; so is a file."""
    with nothing_changes(run), pytest.raises(FolderError, match="no export of ours"):
        export(run, run)
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="is a file"):
        export(run, tmp_path / "file")


def test_a_journal_that_is_damaged_is_refused(tmp_path: Path) -> None:
    """A line in the middle that is no record; no folder is made."""
    lines = list(missions(0, 9).lines)
    lines[4] = b"{}\n"
    layout = run_in(tmp_path / "run", lines)
    with pytest.raises(JournalDamaged, match="line 5"):
        export(layout.folder.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_without_missions_is_refused(tmp_path: Path) -> None:
    """There is no schema for nothing."""
    layout = run_in(tmp_path / "run", [])
    with pytest.raises(FolderError, match="no mission to export yet"):
        open_source(layout.folder.path)


@settings(max_examples=40, deadline=None)
@given(values=st.lists(documents, min_size=1, max_size=6))
def test_any_json_comes_back(values: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever stands in the records, of however mixed kinds, one schema holds it."""
    path = tmp_path_factory.mktemp("any")
    run_in(path / "run", lines_of(values))
    export(path / "run", path / "out")
    kind = Kind()
    for value in values:
        kind.see(value)
    column = pq.read_table(path / "out" / "missions-000000.parquet").column("it").to_pylist()
    assert [without_nulls(value) for value in values] == [read_back(it, kind) for it in column]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, 1], "int"),
        ([1, 2.5], "float"),
        ([1 << 60, 1], "int"),
        ([1 << 60, 2.5], "json"),  # a float would round it
        ([1 << 70], "json"),
        ([True, 1], "json"),
        (["a", 1], "json"),
        ([[], {}], "json"),
        ([{}], "json"),
        ([{}, {"a": 1}], "object"),
        ([{str(key): 1} for key in range(MOST_FIELDS)], "object"),
        ([{str(key): 1} for key in range(MOST_FIELDS + 1)], "json"),
        ([[None]], "list"),
        ([None], "null"),
    ],
)
def test_a_kind_holds_all_that_was_seen(values: list[Any], expected: str) -> None:
    """In whichever order."""
    for order in (values, values[::-1]):
        kind = Kind()
        for value in order:
            kind.see(value)
        assert expected == kind.type


def test_a_record_of_many_keys_has_as_many_columns(tmp_path: Path) -> None:
    """A key of a record is a column, however many there are."""
    record = {"mission_id": "0", "mission_number": 0, "status": "x"}
    record |= {f"value {number}": number for number in range(MOST_FIELDS)}
    run_in(tmp_path / "run", [msgspec.json.encode(record) + b"\n"])
    export(tmp_path / "run", tmp_path / "out")
    assert [record] == pq.read_table(tmp_path / "out" / "missions-000000.parquet").to_pylist()


def test_the_command_exports(command: Command, run: Path, tmp_path: Path) -> None:
    """Into a folder beside the run's, once; the second call says that all is there."""
    with nothing_changes(run):
        for state in ("1 written now", "there already"):
            finished = command.run("export", run, "--format", "parquet")
            assert (0, "") == (finished.returncode, finished.stderr)
            said = f"{run}-parquet: complete, 100 missions in 1 file, {state}\n"
            assert said == finished.stdout
    assert MISSIONS == pq.read_table(f"{run}-parquet/missions-000000.parquet").num_rows


@pytest.mark.parametrize("part", ["missions", "missions/mission_000000000.jsonl"])
def test_a_journal_that_can_t_be_read_is_told_in_a_line(
    command: Command, tmp_path: Path, part: str
) -> None:
    """A file where a folder should be, or a folder in the place of a file."""
    run = run_in(tmp_path / "run", lines_of([1])).folder.path
    moved = (run / part).rename(tmp_path / "moved")
    (run / part).write_text("", "utf-8") if moved.is_dir() else (run / part).mkdir()
    finished = command.run("export", run, "--format", "parquet")
    assert 1 == finished.returncode, finished.stderr
    assert 1 == finished.stderr.count("\n")
    assert str(run / "missions") in finished.stderr


def test_without_the_extra_the_command_says_what_to_install(run: Path) -> None:
    """In one line; nothing else needs it."""
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from synexs_async.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, "export", run, "--format", "parquet"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == finished.returncode
    assert finished.stderr.endswith("needs more: pip install 'synexs-async[export]'\n")
    assert not Path(f"{run}-parquet").exists()
