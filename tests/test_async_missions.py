"""Missions of one's own, as async functions: what is theirs alone (see test_own_missions.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import stamina
from conftest import Command

from synexs_async import MissionError, RunConfig, mission, read_journal, run

SHUFFLED = f"{Path(__file__).with_name('async_missions.py')}:shuffled"


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Try again at once, and four times."""
    with stamina.set_testing(True, attempts=4):
        yield


async def records_of(folder: Path) -> list[Any]:
    """Read a run's records."""
    return await anyio.to_thread.run_sync(lambda: list(read_journal(folder)))


async def test_an_error_that_passes_is_tried_again(tmp_path: Path) -> None:
    """The second try begins anew, so the record is as if there had been no first one."""
    parameters = {"at": 14, "what": "busy once"}
    await run(RunConfig(missions=20, output=tmp_path, mission=SHUFFLED, parameters=parameters))

    assert 20 == len(await records_of(tmp_path))


def test_nothing_is_said_of_tries(command: Command, tmp_path: Path) -> None:
    """There may be thousands, and it went well."""
    options = ("--missions", 20, "--output", tmp_path, "--param=at=14", "--param=what=busy twice")
    finished = command.run("--mission", SHUFFLED, *options)
    assert (0, "") == (finished.returncode, finished.stderr)
    assert "stamina" not in finished.stdout


def test_a_plain_mission_is_not_tried_again() -> None:
    """It waits for nothing that could pass."""
    with pytest.raises(MissionError, match="only an async mission is tried again"):
        mission(transient=(OSError,))(lambda ctx: "success")
