"""What the dashboard answers, and whom it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
from conftest import ROOT
from datasets import everything
from monitored import SAMPLES, make_run, tell
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message

from synexs_async.dashboard import dashboard_app
from synexs_async.dashboard.runs import MOST_LISTED
from synexs_async.dashboard.stream import MOST_STREAMS
from synexs_async.dashboard.views import schema
from synexs_async.errors import ConfigError
from synexs_async.monitoring.search import read_mission
from synexs_async.monitoring.state import RunState, read_state
from synexs_async.storage.folder import RunFolder

ADDRESS = "http://127.0.0.1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make runs once for all tests."""
    made = tmp_path_factory.mktemp("made")
    make_run(made / "whole")
    tell(make_run(made / "sweep" / "half"), status="interrupted", mission_total=24)
    (made / "notes").mkdir()
    return made


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """Give a folder with a complete run and one that is interrupted, one level deeper."""
    return Path(shutil.copytree(made, tmp_path / "runs"))


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at runs not once a second, but as often as a test that waits for it would have it."""
    for module in ("runs", "stream"):
        monkeypatch.setattr(f"synexs_async.dashboard.{module}.FRESH", 0.02)


@asynccontextmanager
async def client_of(app: Any, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Ask an app without a server."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS, **settings) as client:
        yield client


@pytest.fixture
async def client(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the dashboard of `root`."""
    async with client_of(dashboard_app(root)) as client:
        yield client


async def test_all_runs_are_listed(client: httpx.AsyncClient) -> None:
    """Those at and below the root, with how they stand, as in progress.json."""
    listed = (await client.get("/api/runs")).json()
    assert "runs" == listed["root"]
    assert {"whole": "completed", "sweep~half": "interrupted"} == {
        run["id"]: run["status"] for run in listed["runs"]
    }
    whole = next(run for run in listed["runs"] if run["id"] == "whole")
    assert 12 == whole["progress"]["mission_current"]
    assert ["easy", "medium", "hard", "honeypot"] == list(whole["progress"]["groups"])


async def test_a_root_may_be_a_run_itself(root: Path) -> None:
    """Its folder is given, and it is shown under its own name."""
    async with client_of(dashboard_app(root / "whole")) as client:
        (run,) = (await client.get("/api/runs")).json()["runs"]
        assert "whole" == run["name"]
        assert (
            12
            == (await client.get(f"/api/runs/{run['id']}")).json()["run"]["progress"][
                "mission_total"
            ]
        )


async def test_names_that_no_address_can_hold_have_another_id(root: Path) -> None:
    """A run whose folder has a strange name can be opened like any other."""
    (root / "whole").rename(root / "ünique #1\n")
    async with client_of(dashboard_app(root)) as client:
        runs = (await client.get("/api/runs")).json()["runs"]
        (strange,) = (run for run in runs if run["name"] == "ünique #1\n")
        answer = await client.get(f"/api/runs/{strange['id']}")
        assert "ünique #1\n" == answer.json()["run"]["name"]


async def test_one_run_is_shown_with_its_identity(client: httpx.AsyncClient) -> None:
    """What its data set is a function of stands beside how it stands."""
    shown = (await client.get("/api/runs/sweep~half")).json()
    assert 24 == shown["run"]["progress"]["mission_total"]
    assert 7 == shown["identity"]["seed"]
    assert 0.5 == shown["identity"]["parameters"]["medium"]["share"]


async def test_a_run_that_has_not_told_anything_is_waiting(root: Path) -> None:
    """It is shown all the same, with nothing to see yet."""
    (root / "new").mkdir()
    shutil.copy(root / "whole" / "run.json", root / "new" / "run.json")
    async with client_of(dashboard_app(root)) as client:
        run = (await client.get("/api/runs/new")).json()["run"]
        assert ("waiting", None) == (run["status"], run["progress"])
        assert [] == (await client.get("/api/runs/new/series")).json()["time"]
        assert [] == (await client.get("/api/runs/new/log")).json()["lines"]
        assert [] == (await client.get("/api/runs/new/missions")).json()["missions"]
        assert 'synexs_run_status="waiting"} 1' in (await client.get("/metrics")).text


def spoil_some(root: Path) -> RunFolder:
    """Let files of runs be what they should not; return the run with pipes."""
    make_run(root / "odd", timestamp="soon")
    pipe = make_run(root / "pipe")
    loop = make_run(root / "loop").progress
    loop.unlink()
    loop.symlink_to(loop)
    for path in (root / "whole" / "progress.json", pipe.progress, pipe.series):
        path.unlink()
    (root / "whole" / "progress.json").mkdir()
    os.mkfifo(pipe.progress)
    os.mkfifo(pipe.series)
    (root / "notes" / "run.json").write_text("{")
    return pipe


async def test_one_run_that_is_damaged_hides_no_other(
    client: httpx.AsyncClient, root: Path
) -> None:
    """A folder, pipe or circle in the place of its progress file, or a run.json that is none."""
    pipe = await anyio.to_thread.run_sync(spoil_some, root)
    with pipe.progress.open("r+b", buffering=0):  # nor does a writer that writes nothing
        runs = (await client.get("/api/runs")).json()["runs"]
    expected = {"whole": "waiting", "pipe": "waiting", "odd": "completed"}
    assert {**expected, "sweep~half": "interrupted"} == {run["id"]: run["status"] for run in runs}
    assert [] == (await client.get("/api/runs/pipe/series")).json()["time"]
    assert 'synexs_run_info{run="odd"' in (await client.get("/metrics")).text


async def test_any_name_can_be_told(client: httpx.AsyncClient, root: Path) -> None:
    """A folder's name may be no text at all."""
    path = root / os.fsdecode(b"run\xff")
    await anyio.to_thread.run_sync(make_run, path)
    names = [run["name"] for run in (await client.get("/api/runs")).json()["runs"]]
    assert "run\N{REPLACEMENT CHARACTER}" in names
    assert "run\N{REPLACEMENT CHARACTER}" in (await client.get("/metrics")).text


async def test_what_can_t_be_read_is_told(client: httpx.AsyncClient, root: Path) -> None:
    """A log that is no folder is a problem of that run's, told in one line."""
    shutil.rmtree(root / "whole" / "logs")
    (root / "whole" / "logs").write_text("")
    answer = await client.get("/api/runs/whole/log")
    assert (500, "can't be read: Not a directory") == (answer.status_code, answer.json()["error"])


async def test_a_fault_of_its_own_is_told_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON, like any other problem; what it was is left to the server's log."""

    def fail(folder: Path) -> None:
        raise ValueError(folder)

    monkeypatch.setattr("synexs_async.dashboard.api.read_series", fail)
    transport = httpx.ASGITransport(app=dashboard_app(root), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
        answer = await client.get("/api/runs/whole/series")
    assert (500, "the dashboard failed; its server's log says why") == (
        answer.status_code,
        answer.json()["error"],
    )


async def test_the_series_is_given_in_columns(client: httpx.AsyncClient) -> None:
    """Each of the same length, with the rate since the sample before."""
    series = (await client.get("/api/runs/whole/series")).json()
    assert {SAMPLES} == {len(column) for column in series.values()}
    assert [None, 0.3, 0.3, 0.3, 0.3] == series["rate"]


@pytest.mark.parametrize(
    ("level", "expected"),
    [("DEBUG", ["INFO", "DEBUG", "ERROR"]), ("WARNING", ["ERROR"]), ("CRITICAL", [])],
)
async def test_the_log_s_end_is_given_by_level(
    client: httpx.AsyncClient, level: str, expected: list[str]
) -> None:
    """A traceback belongs to the line that it follows."""
    lines = (await client.get(f"/api/runs/whole/log?level={level}")).json()["lines"]
    assert expected == [line["level"] for line in lines]
    assert all("Traceback" in line["message"] for line in lines if line["level"] == "ERROR")


class TestLog:
    """A log that grows while pages show it."""

    @pytest.fixture(autouse=True)
    def looks_each_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Look at the run whenever somebody asks."""
        monkeypatch.setattr("synexs_async.dashboard.runs.FRESH", 0.0)
        monkeypatch.setattr("synexs_async.dashboard.runs._REST", 0)

    @pytest.fixture
    def log(self, root: Path) -> Path:
        """Give the log of a run, which has two lines of level INFO and up."""
        return root / "whole" / "logs" / "training_20260131_235900.log"

    async def test_it_is_not_read_again(self, client: httpx.AsyncClient, log: Path) -> None:
        """Where lines of a level are few among many, only what is new is looked through."""
        log = await anyio.to_thread.run_sync(self.go_on, log, "one")
        before = await self.messages(client)
        older = log.with_name("training_20260131_235900.log")
        older.write_bytes(older.read_bytes().replace(b"starting", b"changed "))
        write(log, "two")
        assert [*before, "two"] == await self.messages(client)
        assert before[0].startswith("starting")

    @pytest.mark.parametrize("how", ["go_on", "rotate", "copy_and_cut_off"])
    async def test_it_is_followed(self, client: httpx.AsyncClient, log: Path, how: str) -> None:
        """To the file of another session, and through rotation, each line once and in order."""
        write(log, "one")
        before = await self.messages(client)
        assert "one" == before[-1]
        log = await anyio.to_thread.run_sync(getattr(self, how), log, "two")
        assert [*before, "two"] == await self.messages(client)
        write(log, "three")
        assert [*before, "two", "three"] == await self.messages(client)

    @staticmethod
    def go_on(log: Path, message: str) -> Path:
        """Begin another session."""
        return write(log.with_name("training_20260201_000000.log"), message)

    @staticmethod
    def rotate(log: Path, message: str) -> Path:
        """Rename it, and begin it anew."""
        log.rename(f"{log}.1")
        return write(log, message)

    @staticmethod
    def copy_and_cut_off(log: Path, message: str) -> Path:
        """Write to it, copy it, and begin it anew."""
        write(log, message)
        shutil.copy(log, f"{log}.1")
        os.truncate(log, 0)
        return log

    async def test_a_traceback_joins_its_message(
        self, client: httpx.AsyncClient, log: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Which is shown as soon as it is there."""
        monkeypatch.setattr("synexs_async.monitoring.log._SETTLED", 60.0)
        await self.messages(client)
        write(log, "one", "ERROR")
        assert "one" == (await self.messages(client))[-1]
        with log.open("a", encoding="utf-8") as file:
            file.write("Traceback (most recent)\n")
        assert "one\nTraceback (most recent)" == (await self.messages(client))[-1]

    @pytest.mark.skipif(sys.platform != "linux", reason="open files are listed in /proc")
    async def test_a_run_that_is_gone_leaves_no_file_open(
        self, client: httpx.AsyncClient, log: Path
    ) -> None:
        """What is deleted takes no space."""

        def opened() -> list[str]:
            links = map(os.path.realpath, Path("/proc/self/fd").iterdir())
            return [name for name in links if name.startswith(str(log))]

        await self.messages(client)
        shutil.rmtree(log.parent.parent)
        assert [f"{log} (deleted)"] == await anyio.to_thread.run_sync(opened)
        assert 404 == (await client.get("/api/runs/whole")).status_code
        assert [] == await anyio.to_thread.run_sync(opened)

    @pytest.mark.parametrize("become", [lambda logs: logs.rename(logs.parent / "x"), shutil.rmtree])
    async def test_another_run_has_its_own(
        self, client: httpx.AsyncClient, log: Path, become: Callable[[Path], Any]
    ) -> None:
        """Nothing is left of the one that was there before it, moved aside or removed."""
        assert 2 == len(await self.messages(client))
        become(log.parent)
        log.parent.mkdir()
        write(log, "another")
        assert ["another"] == await self.messages(client)

    async def test_a_look_back_has_an_end(
        self, client: httpx.AsyncClient, log: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A log that is too long is not searched to its beginning, which the answer tells."""
        with log.open("a", encoding="utf-8") as file:
            file.writelines(["2026-02-01 00:00:00.000 | DEBUG    | wrote batch 1\n"] * 2000)
        with monkeypatch.context() as hurried:
            hurried.setattr("synexs_async.monitoring.log_end._LONGEST_LOOK", 0.0)
            assert {"lines": [], "more": True} == await self.shown(client)
        write(log, "one")
        shown = await self.shown(client)
        assert (["one"], True) == ([line["message"] for line in shown["lines"]], shown["more"])

    async def test_it_says_whether_there_is_more(self, client: httpx.AsyncClient) -> None:
        """Of three lines two are asked for, or all."""
        for count, more in ((2, True), (3, False)):
            answer = await client.get(f"/api/runs/whole/log?count={count}")
            assert more == answer.json()["more"]

    async def test_a_crowd_leaves_the_host_its_threads(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However many ask for however much of it."""
        monkeypatch.setattr("synexs_async.dashboard.runs.FRESH", 60.0)
        limiter = anyio.to_thread.current_default_thread_limiter()
        taken = [0]

        async def look_on() -> None:
            while True:
                taken.append(limiter.borrowed_tokens)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as lookers:
            lookers.start_soon(look_on)
            async with anyio.create_task_group() as tasks:
                for count in range(1, 51):
                    tasks.start_soon(client.get, f"/api/runs/whole/log?count={count}")
            lookers.cancel_scope.cancel()
        assert max(taken) <= 2  # one that finds the runs, one that looks at this one

    async def messages(self, client: httpx.AsyncClient) -> list[str]:
        """Return what its lines of level INFO and up say."""
        return [line["message"] for line in (await self.shown(client))["lines"]]

    async def shown(self, client: httpx.AsyncClient) -> Any:
        """Ask for its lines of level INFO and up."""
        return (await client.get("/api/runs/whole/log?level=INFO&count=500")).json()


def write(log: Path, message: str, level: str = "INFO") -> Path:
    """Write a line, as a run does."""
    with log.open("a", encoding="utf-8") as file:
        file.write(f"2026-02-01 00:00:00.000 | {level:<8} | {message}\n")
    return log


async def test_missions_are_found_and_shown(client: httpx.AsyncClient, root: Path) -> None:
    """By outcome and group, page after page, and one as its record."""
    page = (await client.get("/api/runs/whole/missions?limit=5")).json()
    assert [11, 10, 9, 8, 7] == [mission["index"] for mission in page["missions"]]
    rest = (await client.get(f"/api/runs/whole/missions?before={page['before']}")).json()
    assert [6, 5, 4, 3, 2, 1, 0] == [mission["index"] for mission in rest["missions"]]
    assert rest["before"] is None
    condition = "outcome=success&group=medium"
    chosen = (await client.get(f"/api/runs/whole/missions?{condition}")).json()["missions"]
    assert chosen
    assert {("success", "medium")} == {(each["outcome"], each["group"]) for each in chosen}
    shown = (await client.get("/api/runs/whole/missions/7")).json()
    expected = await anyio.to_thread.run_sync(read_mission, root / "whole", 7)
    assert expected == shown["record"]
    assert shown["record"]["status"] == shown["summary"]["outcome"]


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [
        ("/api/runs/none", 404, "there is no run 'none'"),
        ("/api/runs/%2e%2e%2fwhole", 404, "Not Found"),
        ("/api/runs/..~..~etc", 404, "there is no run"),
        ("/static/../app.py", 404, "Not Found"),
        ("/static/%2e%2e/app.py", 404, "Not Found"),
        ("/static//etc/passwd", 404, "Not Found"),
        ("/api/runs/whole/missions/12", 404, "does not hold mission 12"),
        ("/api/runs/whole/missions/-1", 400, "expected a number from 0"),
        ("/api/runs/whole/missions/1e9", 400, "expected a number from 0"),
        (f"/api/runs/whole/missions/{'9' * 400}", 400, "expected a number from 0"),
        ("/api/runs/whole/missions/²", 400, "expected a number from 0"),
        ("/api/runs/whole/missions?limit=100000", 400, "limit: expected a number from 1 to 100"),
        ("/api/runs/whole/missions?before=x", 400, "before: expected a number"),
        ("/api/runs/whole/missions?outcome=odd", 400, "outcome: expected one of success, failure"),
        ("/api/runs/whole/log?level=LOUD", 400, "level: expected one of"),
        ("/api/runs/whole/log?count=0", 400, "count: expected a number from 1 to 500"),
    ],
)
async def test_what_can_t_be_answered_is_refused_in_one_line(
    client: httpx.AsyncClient, path: str, status: int, problem: str
) -> None:
    """With what is wrong, as JSON."""
    answer = await client.get(path)
    assert status == answer.status_code
    error = answer.json()["error"]
    assert problem in error
    assert "\n" not in error


async def test_huge_addresses_are_refused(client: httpx.AsyncClient) -> None:
    """Before anything looks at them."""
    assert 414 == (await client.get(f"/api/runs?{'x' * 5000}")).status_code
    assert 414 == (await client.get(f"/{'x' * 5000}")).status_code


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_it_only_shows(client: httpx.AsyncClient, root: Path, method: str) -> None:
    """Nothing can be changed through it, and asking for everything changes nothing."""
    before = everything(root)
    assert 405 == (await client.request(method, "/api/runs/whole")).status_code
    for path in ("", "/series", "/log", "/missions", "/missions/3"):
        assert 200 == (await client.get(f"/api/runs/whole{path}")).status_code
    assert before == everything(root)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("missions", "missions"),
        ("log", "logs"),
        ("log", "logs/training_20260131_235900.log"),
        ("series", "series.jsonl"),
    ],
)
async def test_links_lead_nowhere(
    client: httpx.AsyncClient, root: Path, path: str, part: str
) -> None:
    """A run with a link out of the root shows nothing of what lies there."""
    elsewhere = root.parent / "elsewhere"
    (root / "whole" / part).rename(elsewhere)
    (root / "whole" / part).symlink_to(elsewhere)
    answer = await client.get(f"/api/runs/whole/{path}")
    assert (404, "leads out of the folder that is shown") == (
        answer.status_code,
        answer.json()["error"],
    )


async def test_a_run_that_is_a_link_out_of_the_root_is_not_there(root: Path) -> None:
    """It is neither listed nor found."""
    (root / "whole").rename(root.parent / "secret")
    (root / "linked").symlink_to(root.parent / "secret")
    async with client_of(dashboard_app(root)) as client:
        assert "linked" not in (await client.get("/api/runs")).text
        assert 404 == (await client.get("/api/runs/linked")).status_code


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize("part", ["run.json", "progress.json"])
async def test_a_run_that_others_tell_of_is_not_there(
    client: httpx.AsyncClient, root: Path, part: str
) -> None:
    """Neither before nor after it was found."""
    assert 200 == (await client.get("/api/runs/whole")).status_code
    (root / "whole" / part).rename(root.parent / part)
    (root / "whole" / part).symlink_to(root.parent / part)
    async with client_of(dashboard_app(root)) as client_that_comes_late:
        assert "whole" not in (await client_that_comes_late.get("/api/runs")).text
        assert 404 == (await client_that_comes_late.get("/api/runs/whole")).status_code
    with anyio.fail_after(10):
        while (answer := await client.get("/api/runs/whole")).status_code == 200:
            await anyio.lowlevel.checkpoint()
    assert 404 == answer.status_code


async def test_a_list_has_an_end_and_metrics_have_all(
    client: httpx.AsyncClient, root: Path
) -> None:
    """Of many runs some are listed, and the others counted; no alert loses its run."""

    def make_many() -> None:
        content = (root / "whole" / "run.json").read_bytes()
        for number in range(MOST_LISTED):
            folder = root / f"sweep/{number}"
            folder.mkdir()
            (folder / "run.json").write_bytes(content)

    await anyio.to_thread.run_sync(make_many)
    listed = (await client.get("/api/runs")).json()
    assert (MOST_LISTED, 2) == (len(listed["runs"]), listed["more"])
    metrics = (await client.get("/metrics")).text
    assert MOST_LISTED + 2 == metrics.count("synexs_run_info{")


@pytest.mark.usefixtures("quick_looks")
async def test_a_run_that_is_removed_is_gone(client: httpx.AsyncClient, root: Path) -> None:
    """It is no error of the server's."""
    assert 200 == (await client.get("/api/runs/whole/log")).status_code
    (root / "whole").rename(root.parent / "away")
    with anyio.fail_after(10):
        while (answer := await client.get("/api/runs/whole")).status_code == 200:
            await anyio.lowlevel.checkpoint()
    assert 404 == answer.status_code


async def test_answers_are_as_the_schema_says(client: httpx.AsyncClient) -> None:
    """The schema names every answer and every field in it."""
    definitions = (await client.get("/api/schema.json")).json()["$defs"]
    assert schema()["$defs"] == definitions
    for path, name in {
        "": "RunDetail",
        "/series": "Series",
        "/log": "Log",
        "/missions": "MissionList",
        "/missions/0": "MissionDetail",
    }.items():
        answer = (await client.get(f"/api/runs/whole{path}")).json()
        assert list(answer) == list(definitions[name]["properties"])
    documented = (ROOT / "docs" / "dashboard-api.md").read_text("utf-8")
    for name, definition in definitions.items():
        assert f"`{name}`" in documented
        assert all(f"`{field}`" in documented for field in definition["properties"]), name


async def test_each_answer_forbids_what_a_page_needs_not(client: httpx.AsyncClient) -> None:
    """No other host, no inline script, no frame; the page itself asks for nothing else."""
    for path in ("/", "/api/runs", "/static/js/main.js", "/none"):
        headers = (await client.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "nosniff" == headers["X-Content-Type-Options"]
    page = (await client.get("/")).text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    assert all(re.match(r"static/|api/|#", address) for address in addresses)
    assert "style=" not in page
    for address in (found for found in addresses if found.startswith("static/")):
        assert 200 == (await client.get(f"/{address}")).status_code


class TestToken:
    """A dashboard with a token."""

    TOKEN = "s3cret-token"

    @pytest.fixture
    async def client(self, root: Path) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client that knows nothing yet."""
        async with client_of(dashboard_app(root, token=self.TOKEN)) as client:
            yield client

    @pytest.mark.parametrize("path", ["/", "/api/runs", "/metrics", "/static/js/main.js", "/none"])
    async def test_nothing_is_shown_without_it(self, client: httpx.AsyncClient, path: str) -> None:
        """One line says what is missing."""
        answer = await client.get(path)
        assert 401 == answer.status_code
        assert 1 == answer.text.count("\n")
        assert "?token=TOKEN" in answer.text
        assert "Bearer" == answer.headers["WWW-Authenticate"]

    @pytest.mark.parametrize(
        ("header", "status"),
        [
            (f"Bearer {TOKEN}", 200),
            (f"bearer {TOKEN}", 200),
            ("Bearer another", 401),
            (f"Basic {TOKEN}", 401),
            ("Bearer", 401),
            (f"Bearer {TOKEN}x", 401),
        ],
    )
    async def test_a_program_gives_it_in_a_header(
        self, client: httpx.AsyncClient, header: str, status: int
    ) -> None:
        """As Prometheus does."""
        answer = await client.get("/metrics", headers={"Authorization": header})
        assert status == answer.status_code
        assert "Set-Cookie" not in answer.headers

    async def test_a_browser_gives_it_once(self, client: httpx.AsyncClient) -> None:
        """It becomes a cookie that no script and no other site can use, and does not hold it."""
        assert 401 == (await client.get("/?token=wrong")).status_code
        answer = await client.get(f"/?token={self.TOKEN}")
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert self.TOKEN not in cookie
        assert 200 == (await client.get("/api/runs")).status_code

    async def test_cookies_of_others_do_no_harm(self, client: httpx.AsyncClient) -> None:
        """Another app's on this host, well-formed or not, and another dashboard's."""
        ours = (await client.get(f"/?token={self.TOKEN}")).headers["Set-Cookie"].partition(";")[0]
        async with client_of(dashboard_app("/", "another")) as other:
            theirs = (await other.get("/?token=another")).headers["Set-Cookie"].partition(";")[0]
        assert ours.partition("=")[0] != theirs.partition("=")[0]
        headers = {"Cookie": f'prefs={{"a": 1}}; {ours}; {theirs}'}
        client.cookies.clear()
        assert 200 == (await client.get("/api/runs", headers=headers)).status_code

    @pytest.mark.parametrize("token", ["", "two words", "é"])
    def test_a_token_that_can_t_be_sent_is_refused(self, token: str) -> None:
        """An empty one above all: everybody would know it."""
        with pytest.raises(ConfigError, match="token"):
            dashboard_app(".", token)

    @pytest.mark.parametrize("cookie", ["x", TOKEN, "é", '"', "=;="])
    async def test_a_made_up_cookie_is_none(self, client: httpx.AsyncClient, cookie: str) -> None:
        """Whatever it holds."""
        headers = {b"Cookie": f"synexs_dashboard={cookie}".encode()}
        assert 401 == (await client.get("/api/runs", headers=headers)).status_code

    async def test_whether_it_is_up_is_no_secret(self, client: httpx.AsyncClient) -> None:
        """A health check needs no token, and learns nothing else."""
        assert {"status": "ok"} == (await client.get("/healthz")).json()


async def test_another_site_s_name_is_refused(root: Path) -> None:
    """A name that was made to lead to this machine gets nothing."""
    hosts = ("127.0.0.1", "localhost", "::1")
    async with client_of(dashboard_app(root, hosts=hosts)) as client:
        for host in ("127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:8765"):
            assert 200 == (await client.get("/api/runs", headers={"Host": host})).status_code
        for host in ("evil.example", "127.0.0.1.evil.example:8765", "", "[::2]:8765"):
            assert 421 == (await client.get("/api/runs", headers={"Host": host})).status_code
        client.base_url = httpx.URL("http://[::1]:8765")
        answer = await client.get("/api/runs", headers={"Host": "evil.example"})
        expected = "this server is not 'evil.example': open it as http://[::1]:8765\n"
        assert expected == answer.text


async def test_a_host_may_mount_it(root: Path) -> None:
    """Its pages find their parts and its cookie stays below the path."""
    app = Starlette(routes=[Mount("/monitor", dashboard_app(root, token="open"))])
    async with client_of(app, follow_redirects=True) as client:
        answer = await client.get("/monitor?token=open")
        assert "/monitor/" == answer.url.path
        assert "Path=/monitor/" in answer.headers["Set-Cookie"]
        assert 200 == (await client.get("/monitor/static/js/main.js")).status_code
        assert 2 == len((await client.get("/monitor/api/runs")).json()["runs"])
        assert 200 == (await client.get("/monitor/healthz")).status_code


async def test_a_crowd_costs_one_look_at_the_disk(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred pages of one run are fed by what is read for one."""
    looks = []

    def counted(folder: Path, name: str) -> RunState:
        looks.append(name)
        return read_state(folder, name)

    monkeypatch.setattr("synexs_async.dashboard.runs.read_state", counted)
    monkeypatch.setattr("synexs_async.dashboard.runs.FRESH", 60.0)
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(client.get, "/api/runs/whole")
    assert ["whole"] == looks


def scope_of(path: str) -> dict[str, Any]:
    """Return what a server makes of a request."""
    head = {"type": "http", "method": "GET", "scheme": "http", "http_version": "1.1"}
    return {**head, "path": path, "root_path": "", "query_string": b"", "headers": []}


class Listener:
    """Somebody who listens to an event stream, at the level of ASGI."""

    def __init__(self, path: str, query: bytes = b"") -> None:
        self.scope = scope_of(path) | {"query_string": query}
        self._leaves = anyio.Event()
        self._may_take = anyio.Semaphore(0)
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.has_left = anyio.Event()
        self._sender, self._parts = anyio.create_memory_object_stream[bytes](1000)

    async def listen(self, app: ASGIApp) -> None:
        """Be answered, until `leave`."""
        with self._sender, self._parts:
            await app(self.scope, self._receive, self._send)
        self.has_left.set()

    async def take(self, name: str = "run") -> dict[str, Any]:
        """Take in the next event whose name begins so."""
        self._may_take.release()
        while not (part := await self._parts.receive()).startswith(b"event: " + name.encode()):
            self._may_take.release()
        event: dict[str, Any] = json.loads(part.partition(b"data: ")[2])
        return event

    def leave(self) -> None:
        """Close the connection."""
        self._leaves.set()

    async def _receive(self) -> Message:
        await self._leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        elif message.get("more_body"):
            await self._may_take.acquire()
            await self._sender.send(message["body"])


@pytest.mark.usefixtures("quick_looks")
async def test_pages_are_told_what_changes(root: Path) -> None:
    """The stream of a run tells each change, and that of all runs too; then it ends in order."""
    app = dashboard_app(root)
    one, every = Listener("/api/runs/sweep~half/events"), Listener("/api/events")
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for listener in (one, every):
                tasks.start_soon(listener.listen, app)
            assert "interrupted" == (await one.take())["run"]["status"]
            assert 2 == len((await every.take())["runs"])
            folder = RunFolder(root / "sweep" / "half")
            await anyio.to_thread.run_sync(lambda: tell(folder, status="failed"))
            assert "failed" == (await one.take())["run"]["status"]
            states = {run["id"]: run["status"] for run in (await every.take())["runs"]}
            assert {"whole": "completed", "sweep~half": "failed"} == states
            one.leave()
            every.leave()


@pytest.mark.usefixtures("quick_looks")
async def test_a_stream_shows_that_it_is_alive(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing changes an event says so, which the scripts of a page can hear."""
    monkeypatch.setattr("synexs_async.dashboard.stream._SILENCE", 0.0)
    page = Listener("/api/runs/whole/events")
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(page.listen, dashboard_app(root))
            assert "whole" == (await page.take())["run"]["id"]
            assert {} == await page.take("alive")
            page.leave()


@pytest.mark.usefixtures("quick_looks")
async def test_a_page_learns_that_another_run_took_the_folder(root: Path) -> None:
    """What it shows of the one before is no part of this one."""
    page = Listener("/api/runs/whole/events")
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(page.listen, dashboard_app(root))
            before = await page.take()
            run_file = root / "whole" / "run.json"
            other = run_file.read_text("utf-8").replace('"seed": 7', '"seed": 8')
            run_file.write_text(other, "utf-8")
            after = await page.take()
            assert (7, 8) == (before["run"]["seed"], after["run"]["seed"])
            assert re.fullmatch("[0-9a-f]{8}", before["identity"])
            assert before["identity"] != after["identity"]
            page.leave()


async def test_no_stream_gives_away_another_s_cookie(root: Path) -> None:
    """Only who has just shown the token is given one."""
    app = dashboard_app(root, token="open")
    first, second = (Listener("/api/events", b"token=open") for _ in range(2))
    second.scope |= {"query_string": b"", "headers": [(b"authorization", b"Bearer open")]}
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for listener in (first, second):
                tasks.start_soon(listener.listen, app)
                await listener.take()
                listener.leave()
    assert b"set-cookie" in first.headers
    assert b"set-cookie" not in second.headers


@pytest.mark.usefixtures("quick_looks")
async def test_a_slow_page_skips_to_the_latest_state(root: Path) -> None:
    """What happened while it took in nothing is not kept for it."""
    folder = RunFolder(root / "whole")
    slow, quick = Listener("/api/runs/whole/events"), Listener("/api/runs/whole/events")
    app = dashboard_app(root)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for listener in (slow, quick):
                tasks.start_soon(listener.listen, app)
            for reached in (13, 14, 15):
                await anyio.to_thread.run_sync(partial(tell, folder, mission_current=reached))
                while (await quick.take())["run"]["progress"]["mission_current"] != reached:
                    pass
            seen = [(await slow.take())["run"]["progress"]["mission_current"] for _ in range(1)]
            assert [15] == seen
            slow.leave()
            quick.leave()


@pytest.mark.parametrize("path", ["/api/events", "/static/js/main.js"])
async def test_who_takes_nothing_in_is_dropped(
    root: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The connection is given up, and that is no failure of the server's."""
    monkeypatch.setattr("synexs_async.dashboard.access._PATIENCE", 0.05)
    parts = []

    async def never_gone() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def take_only_the_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()
        parts.append(message)

    with anyio.fail_after(10):
        await dashboard_app(root)(scope_of(path), never_gone, take_only_the_head)
    assert ["http.response.start"] == [part["type"] for part in parts]


async def test_streams_are_not_without_number(root: Path) -> None:
    """One too many is refused, and has its place when another one leaves."""
    app = dashboard_app(root)
    crowd = [Listener("/api/events") for _ in range(MOST_STREAMS)]
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for listener in crowd:
                tasks.start_soon(listener.listen, app)
                await listener.take()
            async with client_of(app) as client:
                assert 503 == (await client.head("/api/events")).status_code  # as a page asks why
                answer = await client.get("/api/events")
                assert 503 == answer.status_code
                assert "10" == answer.headers["Retry-After"]
            crowd[0].leave()
            await crowd[0].has_left.wait()
            another = Listener("/api/events")
            tasks.start_soon(another.listen, app)
            await another.take()
            assert 200 == another.status
            for listener in (*crowd, another):
                listener.leave()


def test_the_documented_programs_run(root: Path) -> None:
    """The examples of docs/monitoring.md about the dashboard and its search, as they stand."""
    (root / "whole").rename(root / "training_logs")
    documented = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    section = documented.partition("\n## Dashboard\n")[2].partition("\n## ")[0]
    programs = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert 2 == len(programs)
    for program in programs:
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={"PYTHONPATH": str(ROOT)},
            check=True,
        )


class TestMetrics:
    """What Prometheus is told."""

    @pytest.fixture
    async def text(self, root: Path) -> str:
        """Give the metrics of two runs, one with a name that has to be escaped."""
        (root / "whole").rename(root / 'a "quoted"\\\nname')
        async with client_of(dashboard_app(root)) as client:
            answer = await client.get("/metrics")
        assert (
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
            == (answer.headers["Content-Type"])
        )
        return answer.text

    async def test_it_follows_the_rules_of_the_format(self, text: str) -> None:
        """Each family is described once, before its samples, and the text ends with EOF."""
        *lines, end, empty = text.split("\n")
        assert ("# EOF", "") == (end, empty)
        families: dict[str, str] = {}
        seen: set[str] = set()
        family = ""
        for line in lines:
            if line.startswith("# "):
                _, what, name, rest = line.split(" ", 3)
                if what == "TYPE":
                    assert name not in families
                    family, families[name] = name, rest
                assert name == family
                assert what in ("TYPE", "UNIT", "HELP")
                assert what != "UNIT" or name.endswith(f"_{rest}")
                continue
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            suffix = {"counter": "_total", "info": "_info"}.get(families[family], "")
            assert f"{family}{suffix}" == sample["name"]
            assert not (families[family] == "stateset" and sample["value"] not in "01")
            assert families[family] not in ("counter", "info") or float(sample["value"]) >= 0
            series = sample["name"] + sample["labels"]
            assert series not in seen
            seen.add(series)

    async def test_it_tells_how_runs_stand(self, text: str) -> None:
        """Status, missions by outcome, and what else is in progress.json."""
        assert 'synexs_run_status{run="sweep~half",synexs_run_status="interrupted"} 1' in text
        assert 'synexs_run_status{run="sweep~half",synexs_run_status="completed"} 0' in text
        assert 'synexs_run_missions_planned{run="sweep~half"} 24' in text
        assert r'name="a \"quoted\"\\\nname"' in text
        counts = re.findall(r'synexs_run_missions_total\{run="sweep~half",.*\} (\d+)', text)
        assert 12 == sum(map(int, counts))


LABEL = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\n"])*"'
SAMPLE = re.compile(
    rf"(?P<name>[a-zA-Z_:][\w:]*)(?P<labels>\{{{LABEL}(?:,{LABEL})*\}}) (?P<value>-?[\d.e+-]+)"
)
