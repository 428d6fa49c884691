"""Missions of one's own, as async functions: many at once, committed in their order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import stamina
from conftest import Command
from datasets import data_set

from synexs_async import (
    ErrorRecord,
    MissionError,
    MissionFailed,
    RunConfig,
    mission,
    read_journal,
    run,
    verify_run,
)

FILE = str(Path(__file__).with_name("async_missions.py"))
SHUFFLED = f"{FILE}:shuffled"
JOURNAL_ONLY = f"{FILE}:journal_only"


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Try again at once, and four times."""
    with stamina.set_testing(True, attempts=4):
        yield


def config(output: Path, missions: int = 100, **options: Any) -> RunConfig:
    """Configure a run of async missions."""
    return RunConfig(**{"missions": missions, "output": output, "mission": SHUFFLED, **options})


async def records_of(folder: Path) -> list[Any]:
    """Read a run's records."""
    return await anyio.to_thread.run_sync(lambda: list(read_journal(folder)))


class TestRuns:
    """A run of async missions keeps what any run promises."""

    @pytest.mark.parametrize("concurrency", [2, 7, 1000])
    async def test_the_bytes_are_the_same_for_any_concurrency(
        self, tmp_path: Path, concurrency: int
    ) -> None:
        """In which order they ended can't be seen."""
        await run(config(tmp_path / "one", concurrency=1))
        await run(config(tmp_path / "many", concurrency=concurrency, checkpoint_every=7))

        assert data_set(tmp_path / "one") == data_set(tmp_path / "many")
        assert (await verify_run(tmp_path / "many", mission=SHUFFLED, sample=100)).holds

    async def test_it_grows_and_lost_batches_are_made_again(self, tmp_path: Path) -> None:
        """Extended, with a batch gone, it equals a run that was long from its start."""
        await run(config(tmp_path / "grown", 70))
        (tmp_path / "grown" / "batches" / "batch_000001.pt").unlink()
        await run(config(tmp_path / "grown", 100))
        await run(config(tmp_path / "whole", 100))

        assert data_set(tmp_path / "whole") == data_set(tmp_path / "grown")

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_interrupted_and_gone_on_with_it_is_the_same(
        self, tmp_path: Path, command: Command, number: signal.Signals
    ) -> None:
        """Nothing is lost and nothing comes twice."""
        arguments = ("--mission", JOURNAL_ONLY, "--missions", 30_000, "--checkpoint-every", 500)
        with command.start(*arguments, "--output", tmp_path / "cut") as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "Progress:" in line:
                    break
            process.send_signal(number)
            process.communicate(timeout=60)
        assert process.returncode != 0

        again = command.run(*arguments, "--output", tmp_path / "cut")
        whole = command.run(*arguments, "--output", tmp_path / "whole")

        assert (0, 0) == (again.returncode, whole.returncode)
        assert data_set(tmp_path / "whole") == data_set(tmp_path / "cut")


class TestMissionsThatMisbehave:
    """A mission's fault is told with its index; what was committed before it is kept."""

    @pytest.mark.parametrize(
        ("what", "problem"),
        [
            ("raise", "mission 13 raised ValueError: seven"),
            ("hang", "mission 13 raised TimeoutError: took longer than 0.5 s"),
            ("encode", "mission 13 raised ValueError: made in"),
            ("busy", "mission 13 raised .*Busy"),
        ],
    )
    async def test_the_run_stops_there(self, tmp_path: Path, what: str, problem: str) -> None:
        """All missions before it are in the journal, and the run can go on."""
        asked = config(tmp_path, 40, parameters={"at": 13, "what": what}, timeout=0.5)

        with pytest.raises(MissionFailed, match=problem):
            await run(asked)

        assert list(range(13)) == [record.mission_number for record in await records_of(tmp_path)]

    async def test_the_run_goes_on_where_errors_are_recorded(self, tmp_path: Path) -> None:
        """The missions around it are committed."""
        parameters = {"at": 13, "what": "hang"}
        report = await run(
            config(tmp_path, 40, parameters=parameters, timeout=0.5, on_error="record")
        )

        error = (await records_of(tmp_path))[13]
        assert isinstance(error, ErrorRecord)
        assert ("TimeoutError", 1) == (error.error, report.outcomes.error_count)

    async def test_an_error_that_passes_is_tried_again(self, tmp_path: Path) -> None:
        """The second try begins anew, so the record is as if there had been no first one."""
        await run(config(tmp_path, 40, parameters={"at": 14, "what": "busy once"}))

        assert 40 == len(await records_of(tmp_path))

    def test_a_plain_mission_is_not_tried_again(self) -> None:
        """It waits for nothing that could pass."""
        with pytest.raises(MissionError, match="only an async mission is tried again"):
            mission(transient=(OSError,))(lambda ctx: "success")
