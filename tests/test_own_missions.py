"""Missions of one's own, plain and async: what a run promises for both forms alike."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest
import stamina
from conftest import Command
from datasets import data_set, index_of

from synexs_async import (
    ErrorRecord,
    Mission,
    MissionError,
    MissionFailed,
    RunConfig,
    read_journal,
    run,
    verify_run,
)
from synexs_async.missions.loading import check_mission


@dataclass(frozen=True)
class Form:
    """A form of mission: where missions of it are, and how many are simulated at once.

    Attributes:
        file: has a mission with features, and `journal_only`.
        walk: the mission with features.
        one: options of a run that simulates one after the other.
        many: options of a run that does not.
        missions: as many as take longer than a signal takes to come.
    """

    file: Path
    walk: str
    one: dict[str, Any]
    many: dict[str, Any]
    missions: int

    def config(self, output: Path, missions: int = 100, **options: Any) -> RunConfig:
        """Configure a run of missions with features."""
        return RunConfig(missions=missions, output=output, mission=self.walk, **options)

    @property
    def journal_only(self) -> str:
        """A mission without features: there is no batch, so torch is not waited for."""
        return f"{self.file}:journal_only"


_PLAIN: Final = Path(__file__).with_name("plain_missions.py")
_ASYNC: Final = Path(__file__).with_name("async_missions.py")
PLAIN: Final = Form(
    _PLAIN,
    f"{_PLAIN}:walk",
    {"workers": 1},
    {"workers": 2, "checkpoint_every": 7},
    6_000,
)
ASYNC: Final = Form(
    _ASYNC,
    f"{_ASYNC}:shuffled",
    {"concurrency": 1},
    {"concurrency": 1000, "checkpoint_every": 7},
    30_000,
)


@pytest.fixture(scope="module", params=[PLAIN, ASYNC], ids=["plain", "async"])
def form(request: pytest.FixtureRequest) -> Form:
    """Give a form."""
    found: Form = request.param
    return found


@pytest.fixture(scope="module")
def whole(form: Form, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a run of 100 missions, simulated one after the other."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    anyio.run(run, form.config(folder, **form.one))
    return folder


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Try again at once, and four times."""
    with stamina.set_testing(True, attempts=4):
        yield


async def records_of(folder: Path) -> list[Any]:
    """Read a run's records."""
    return await anyio.to_thread.run_sync(lambda: list(read_journal(folder)))


async def test_the_bytes_are_the_same_however_many_at_once(
    form: Form, whole: Path, tmp_path: Path
) -> None:
    """Where, beside which others and in which order missions ended can't be seen."""
    report = await run(form.config(tmp_path, **form.many))

    assert data_set(whole) == data_set(tmp_path)
    assert index_of(whole)["dataset_sha256"] == report.dataset_sha256


async def test_it_can_be_verified(form: Form, whole: Path) -> None:
    """Each mission is simulated again, each batch made again."""
    report = await verify_run(whole, mission=form.walk, sample=100)

    assert (True, 100) == (report.holds, report.simulated)


async def test_it_grows_and_lost_batches_are_made_again(
    form: Form, whole: Path, tmp_path: Path
) -> None:
    """Extended, with a batch gone, it equals a run that was long from its start."""
    await run(form.config(tmp_path, 70))
    (tmp_path / "batches" / "batch_000001.pt").unlink()
    await run(form.config(tmp_path, 100))

    assert data_set(whole) == data_set(tmp_path)


def test_interrupted_and_gone_on_with_it_is_the_same(
    form: Form, tmp_path: Path, command: Command
) -> None:
    """Nothing is lost and nothing comes twice."""
    options: tuple[object, ...] = (
        *("--mission", form.journal_only, "--missions", form.missions),
        *("--checkpoint-every", form.missions // 60),
    )

    for number, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        with command.start(*options, "--output", tmp_path / "cut") as process:
            assert process.stdout is not None
            next(line for line in process.stdout if "Progress:" in line)
            process.send_signal(number)
            process.communicate(timeout=60)
        assert code == process.returncode
    again = command.run(*options, "--output", tmp_path / "cut")
    whole = command.run(*options, "--output", tmp_path / "whole")

    assert (0, 0) == (again.returncode, whole.returncode), again.stderr + whole.stderr
    assert data_set(tmp_path / "whole") == data_set(tmp_path / "cut")


RAISED: Final = "mission 13 raised"


@pytest.mark.parametrize(
    ("mission", "what", "problem"),
    [
        (PLAIN.walk, "raise", f"{RAISED} ValueError: seven"),
        (PLAIN.walk, "sys.exit", f"{RAISED} SystemExit: 3"),
        (PLAIN.walk, "os._exit", f"{RAISED} ProcessEnded: its worker process ended with exit"),
        (PLAIN.walk, "hang", f"{RAISED} TimeoutError: took longer than 0.5 s"),
        (PLAIN.walk, "object", rf"{RAISED} TypeError: communications\[1\].content.inner\[1\]: "),
        (PLAIN.walk, "metric", f"{RAISED} ValueError: metrics.total: expected a finite number"),
        (PLAIN.walk, "shape", RAISED),
        (PLAIN.walk, "nan", RAISED),
        (ASYNC.walk, "raise", f"{RAISED} ValueError: seven"),
        (ASYNC.walk, "sys.exit", f"{RAISED} SystemExit: 3"),
        (ASYNC.walk, "hang", f"{RAISED} TimeoutError: took longer than 0.5 s"),
        (ASYNC.walk, "cancelled", f"{RAISED} asyncio.exceptions.CancelledError"),
        (ASYNC.walk, "encode", f"{RAISED} ValueError: made in"),
        (ASYNC.walk, "busy", f"{RAISED} .*Busy"),
    ],
)
async def test_a_mission_that_misbehaves_stops_the_run(
    tmp_path: Path, mission: str, what: str, problem: str
) -> None:
    """It is named; all missions before it are in the journal, and the run can go on."""
    parameters = {"at": 13, "what": what}
    asked = RunConfig(
        missions=20, output=tmp_path, mission=mission, parameters=parameters, timeout=0.5
    )

    with pytest.raises(MissionFailed, match=problem):
        await run(asked)

    assert list(range(13)) == [record.mission_number for record in await records_of(tmp_path)]


@pytest.mark.parametrize(
    ("mission", "what", "expected"),
    [
        (PLAIN.journal_only, "os._exit", "ProcessEnded"),
        (PLAIN.journal_only, "hang", "TimeoutError"),
        (ASYNC.journal_only, "sys.exit", "SystemExit"),
        (ASYNC.journal_only, "hang", "TimeoutError"),
    ],
)
async def test_the_run_goes_on_where_errors_are_recorded(
    tmp_path: Path, mission: str, what: str, expected: str
) -> None:
    """Even behind a mission that ended its process, or never ends; it can be verified and mended.

    An error record stands: nobody waits for the mission again.
    """
    parameters = {"at": 13, "what": what}
    options: dict[str, Any] = {"timeout": 0.5, "on_error": "record"}
    report = await run(
        RunConfig(missions=40, output=tmp_path, mission=mission, parameters=parameters, **options)
    )

    error = (await records_of(tmp_path))[13]
    assert isinstance(error, ErrorRecord)
    assert (expected, 1, 40) == (error.error, report.outcomes.error_count, report.missions)

    verification = await verify_run(tmp_path, mission=mission, sample=100)
    assert (True, 39) == (verification.holds, verification.simulated)
    journal = tmp_path / "missions" / "mission_000000000.jsonl"
    before = journal.read_bytes()
    journal.write_bytes(before.replace(b'"timestamp":0.0', b'"timestamp":1.0', 1))
    assert (await verify_run(tmp_path, mission=mission, repair=True)).holds
    assert before == journal.read_bytes()


@pytest.mark.parametrize("member", [name for name in dir(Mission) if not name.startswith("_")])
def test_a_kind_that_lacks_a_member_is_refused_by_its_name(member: str) -> None:
    """Before a run begins, for each that the protocol has; a `source` is asked for by workers."""
    kind = SimpleNamespace(**{name: None for name in dir(Mission) if name != member})
    if member == "source":
        assert kind is check_mission(kind, "kind")
        return
    with pytest.raises(MissionError, match=f"has no {member}$"):
        check_mission(kind, "kind")
