"""One mission simulated again: readable, as JSON, and held against a run's journal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from builders import (
    identity_of_tests,
    layout_in,
    missions,
    missions_with_errors,
    nothing_changes,
    write_run,
)
from conftest import ROOT, Command
from hypothesis import given
from hypothesis import strategies as st

from synexs_async import MissionRecord, default_scenario, simulate_mission
from synexs_async.missions.telling import tell
from synexs_async.storage.folder import RunFile
from synexs_async.storage.journal import Layout
from synexs_async.verification.differences import first_difference

MISSION = 11

documents = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Give the folder of an interrupted run of 27 missions."""
    layout = layout_in(tmp_path / "run", missions_per_file=10_000)
    write_run(layout, 27, 20)
    content = msgspec.json.encode(RunFile(identity_of_tests(), "team"))
    layout.folder.run_file.write_bytes(content)
    return layout


@given(st.integers(0, 2**64 - 1), st.integers(0, 10**9 - 1))
def test_a_mission_is_told_in_the_order_of_its_clock(seed: int, index: int) -> None:
    """Each message and decision stands there with its second, and the seconds never go back."""
    record = simulate_mission(default_scenario(), seed, index)
    lines = list(tell(record))
    timed = [line for line in lines if line[:9].strip().replace(".", "").isdigit()]
    seconds = [float(line[:9]) for line in timed]
    assert sorted(seconds) == seconds
    assert f"{record.duration:.3f}" == f"{seconds[-1]:.3f}"
    assert len(record.communications) == sum("sends " in line for line in timed)
    assert len(record.decisions) == sum("decides: " in line for line in timed)
    text = "\n".join(lines)
    for decision in record.decisions:
        assert decision.rationale in text
    assert f"outcome      {record.status}" in text


@given(documents, documents)
def test_the_first_difference_of_documents(one: object, other: object) -> None:
    """There is none exactly where both are written alike, and it can be found by its path."""
    difference = first_difference(one, other)
    assert (msgspec.json.encode(one) == msgspec.json.encode(other)) == (difference is None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d["communications"][1].update(latency_ms=1), "communications[1].latency_ms"),
        (lambda d: d["environment"]["topology"].pop("hosts"), "environment.topology.hosts"),
        (lambda d: d["decisions"].pop(), "decisions"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.update(timestamp=0), "timestamp"),
    ],
)
def test_the_first_differing_field_is_named(
    change: Callable[[dict[str, object]], object], expected: str
) -> None:
    """By the path that a person would write."""
    (line,) = missions(3, 4).lines
    found = json.loads(line)
    change(found)
    difference = first_difference(json.loads(line), found)
    assert difference is not None
    assert expected == difference[0]


def test_the_command_prints_a_mission(command: Command) -> None:
    """Readably by default, and as exactly the journal's line with `--json`."""
    finished = command.run("replay", MISSION, "--seed", 7)
    assert (0, "") == (finished.returncode, finished.stderr)
    record = simulate_mission(default_scenario(), 7, MISSION)
    assert "\n".join(tell(record)) + "\n" == finished.stdout

    finished = command.run("replay", MISSION, "--seed", 7, "--json")
    assert msgspec.json.encode(record).decode() + "\n" == finished.stdout


def test_a_scenario_of_one_s_own(command: Command, tmp_path: Path) -> None:
    """`--scenario` is read as a run reads it."""
    file = tmp_path / "mine.toml"
    file.write_text(command.run("scenario").stdout.replace("share = 0.5", "share = 0.4"), "utf-8")
    finished = command.run("replay", 0, "--scenario", file)
    assert 2 == finished.returncode
    assert "expected shares that sum to 1" in finished.stderr


def test_a_mission_of_a_run_is_held_against_its_journal(command: Command, layout: Layout) -> None:
    """Exit code 0 where the line is the same or not there yet, 1 where it is another."""
    folder = layout.folder.path
    with nothing_changes(folder):
        finished = command.run("replay", MISSION, "--output", folder)
        assert 0 == finished.returncode
        place = f"missions/mission_000000000.jsonl, line {MISSION + 1}"
        assert finished.stdout.endswith(f"{place}: the same record, byte for byte\n")

        finished = command.run("replay", 27, "--output", folder, "--json")
        assert (0, missions(27, 28).lines[0].decode()) == (finished.returncode, finished.stdout)

    lines = [*missions(0, MISSION).lines, *missions_with_errors(MISSION, 13, [MISSION]).lines]
    layout.file(0).write_bytes(b"".join(lines))
    finished = command.run("replay", MISSION, "--output", folder, "--json")
    assert (1, missions(MISSION, 12).lines[0].decode()) == (finished.returncode, finished.stdout)
    assert f"{place}, timestamp: expected 0.0, found nothing" in finished.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("replay",), "INDEX"),
        (("replay", "-1"), "INDEX: expected a whole number from 0"),
        (("replay", "one"), "INDEX: invalid int value: 'one'"),
        (("replay", 1, "--seed", -1), "--seed: expected a whole number"),
        (("replay", 1, "--output", "nowhere"), "nowhere: holds no run"),
        (("replay", 1, "--output", "x", "--seed", 1), "has its own seed and scenario"),
    ],
)
def test_bad_input_is_one_line(options: tuple[object, ...], problem: str, command: Command) -> None:
    """Exit code 2, and what to do."""
    finished = command.run(*options)
    assert (2, "") == (finished.returncode, finished.stdout)
    (line,) = finished.stderr.splitlines()
    assert problem in line


@pytest.mark.parametrize("name", ["replay", "digest"])
def test_it_starts_without_torch(name: str, layout: Layout) -> None:
    """Only worker processes import torch."""
    arguments = {"replay": ["replay", "1"], "digest": ["digest", str(layout.folder.path)]}[name]
    program = (
        "import sys; from synexs_async.cli import main\n"
        f"main({arguments!r})\n"
        "print('torch' in sys.modules)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "False" == finished.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", ["verify", "replay", "digest", "scenario"])
def test_each_command_has_its_own_help(name: str, command: Command) -> None:
    """`--help` lists the commands, and each explains itself with an example, at once."""
    assert f"\n  {name} " in command.run("--help").stdout
    text = command.run(name, "--help").stdout
    assert text.startswith(f"usage: python -m synexs_async {name}")
    assert "examples:" in text
    program = (
        "import sys; from synexs_async.cli import main\n"
        f"try: main([{name!r}, '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'asyncio', 'rich'} & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "[]" == finished.stdout.splitlines()[-1]


def test_a_record_is_told_whole() -> None:
    """An aborted mission ends with the analyzer's decision."""
    record = next(
        record
        for index in range(200)
        if (record := simulate_mission(default_scenario(), 0, index)).status == "aborted"
    )
    assert isinstance(record, MissionRecord)
    told = "\n".join(tell(record))
    assert "analyzer     decides: abort (confidence" in told
    assert "analyzer     ends, and the mission with it: aborted" in told
