"""Missions are found in a journal whatever its size, its lines' lengths and its damage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builders import SEED, begun_run, identity_of_tests, new_layout, tell_that_it_is_complete
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from synexs_async.errors import FolderError
from synexs_async.monitoring import backwards, search
from synexs_async.monitoring.search import Found, find_missions, read_mission
from synexs_async.storage.folder import MISSIONS_PER_FILE, RunFile, RunFolder, settle
from synexs_async.storage.progress import read_progress, write_progress

OUTCOMES = ("success", "failure", "aborted", "error")
TIERS = ("low", "high", "7", 'ünique "one"', "")


@dataclass(frozen=True)
class Planned:
    """A mission of a made-up kind; `padding` makes its line longer."""

    outcome: str
    tier: str
    padding: int

    def record(self, index: int) -> dict[str, Any]:
        """Return its record."""
        tier = int(self.tier) if self.tier.isdecimal() else self.tier
        number = {"mission_number": index, "mission_id": f"m{index}"}
        return {
            **number,
            "padding": "failure " * self.padding,
            "tier": tier,
            "status": self.outcome,
        }


plans = st.lists(
    st.builds(Planned, st.sampled_from(OUTCOMES), st.sampled_from(TIERS), st.integers(0, 30)),
    max_size=40,
)


@contextmanager
def journal_of(planned: list[Planned], *, per_file: int = 7, chunk: int = 100) -> Iterator[Path]:
    """Write a run with short journal files, to be read in small parts."""
    with new_layout() as layout, pytest.MonkeyPatch.context() as patch:
        patch.setitem(MISSIONS_PER_FILE, "journal", per_file)
        patch.setattr(backwards, "_FIRST_CHUNK", chunk)
        patch.setattr(backwards, "_LARGEST_CHUNK", 2 * chunk)
        folder = layout.folder
        settle(folder, RunFile(identity_of_tests(), f"team-{SEED}"))
        for first in range(0, len(planned), per_file):
            lines = (
                msgspec.json.encode(mission.record(index)) + b"\n"
                for index, mission in enumerate(planned[first : first + per_file], first)
            )
            folder.journal_file(first).write_bytes(b"".join(lines))
        tell_that_it_is_complete(layout, max(len(planned), 1))
        write_progress(folder.progress, replace(read_progress(folder.path), group_by="tier"))
        yield folder.path


def pages(folder: Path, **conditions: Any) -> Iterator[Found]:
    """Ask for page after page."""
    found = find_missions(folder, **conditions)
    yield found
    while found.before is not None:
        found = find_missions(folder, before=found.before, **conditions)
        yield found


@settings(max_examples=25, deadline=None)
@given(plans)
def test_each_mission_is_found_by_its_number(planned: list[Planned]) -> None:
    """What is read is the record, wherever it lies; behind the last one nothing is found."""
    with journal_of(planned) as folder:
        for index, mission in enumerate(planned):
            assert mission.record(index) == read_mission(folder, index)
        with pytest.raises(FolderError, match="does not hold mission"):
            read_mission(folder, len(planned))


@settings(max_examples=25, deadline=None)
@given(
    plans,
    st.none() | st.sampled_from(OUTCOMES),
    st.none() | st.sampled_from(TIERS),
    st.integers(1, 9),
    st.sampled_from([0.0, 10.0]),
)
def test_pages_together_hold_each_mission_once(
    planned: list[Planned], outcome: str | None, group: str | None, limit: int, seconds: float
) -> None:
    """The newest come first, none is missed, however many fit a page and however little time."""
    expected = [
        mission.record(index)
        for index, mission in enumerate(planned)
        if outcome in (None, mission.outcome) and group in (None, mission.tier)
    ][::-1]
    with journal_of(planned) as folder:
        conditions = {"outcome": outcome, "group": group, "limit": limit, "seconds": seconds}
        found = list(pages(folder, **conditions))
    assert expected == [record for page in found for record in page.missions]
    assert all(len(page.missions) <= limit for page in found)
    assert len(planned) == sum(page.searched for page in found)


@settings(max_examples=25, deadline=None)
@given(plans.filter(bool), st.data())
def test_what_is_no_record_is_passed_over(planned: list[Planned], data: st.DataObject) -> None:
    """A torn last line, and one in the middle that is damaged, hide no other mission."""
    with journal_of(planned) as folder:
        damaged = data.draw(st.integers(0, len(planned) - 1))
        file = RunFolder(folder).journal_file(damaged - damaged % 7)
        lines = file.read_bytes().splitlines(keepends=True)
        no_text = lines[damaged % 7].replace(b'"padding":"', b'"padding":"\xff')
        no_records = [b"\n", b"{}\n", b"[1]\n", b"\xff{\n", no_text]
        lines[damaged % 7] = data.draw(st.sampled_from(no_records))
        file.write_bytes(b"".join(lines))
        last = RunFolder(folder).journal_file((len(planned) - 1) - (len(planned) - 1) % 7)
        with last.open("ab") as journal:
            journal.write(b'{"mission_number":')
        expected = [index for index in range(len(planned)) if index != damaged]
        found = find_missions(folder, limit=100)
        for index in expected:
            assert planned[index].record(index) == read_mission(folder, index)
    assert expected[::-1] == [record["mission_number"] for record in found.missions]


def test_a_line_that_is_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no more memory than any other."""
    monkeypatch.setattr(search, "LONGEST_LINE", 1000)
    planned = [Planned("success", "low", padding) for padding in (0, 0, 500, 0)]
    with journal_of(planned) as folder:
        found = find_missions(folder)
        assert [3, 1, 0] == [record["mission_number"] for record in found.missions]
        assert planned[3].record(3) == read_mission(folder, 3)
        with pytest.raises(FolderError, match="does not hold mission 2"):
            read_mission(folder, 2)


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A journal file that is a link is not read, so that nothing from elsewhere is shown."""
    elsewhere = tmp_path / "elsewhere.jsonl"
    elsewhere.write_bytes(b'{"mission_number":0,"mission_id":"secret","status":"success"}\n')
    with journal_of([Planned("success", "low", 0)]) as folder:
        file = RunFolder(folder).journal_file(0)
        file.unlink()
        file.symlink_to(elsewhere)
        assert [] == find_missions(folder).missions
        with pytest.raises(FolderError, match="does not hold mission 0"):
            read_mission(folder, 0)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_folder_or_a_pipe_holds_no_missions(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    """In the place of a journal file it is as one that is missing."""
    folder = begun_run(tmp_path)
    make(folder / "missions" / "mission_000000000.jsonl")
    assert Found([], None, 0) == find_missions(folder)
    with pytest.raises(FolderError, match="does not hold mission 0"):
        read_mission(folder, 0)


def test_a_kind_without_groups_can_t_be_searched_by_group() -> None:
    """It is said so, instead of finding nothing."""
    with journal_of([Planned("success", "low", 0)]) as folder:
        told = read_progress(folder)
        write_progress(RunFolder(folder).progress, replace(told, group_by=""))
        run_file = RunFolder(folder).run_file
        run_file.write_text(run_file.read_text().replace('"team"', '"coin"'))
        with pytest.raises(FolderError, match="names no field that its missions"):
            find_missions(folder, group="low")


def test_single_files_are_found_too() -> None:
    """A run with a file for each mission is searched like any other."""
    planned = [Planned(OUTCOMES[index % 3], "low", 0) for index in range(9)]
    with journal_of(planned, per_file=1) as folder:
        found = find_missions(folder, outcome="failure", limit=2)
        assert [7, 4] == [record["mission_number"] for record in found.missions]
        assert 4 == found.before
