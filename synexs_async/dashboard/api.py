"""The JSON API: what is asked for is checked here, answers are the types of `views`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from synexs_async.dashboard.metrics import CONTENT_TYPE, metrics_of
from synexs_async.dashboard.runs import Look, Memory, Runs
from synexs_async.dashboard.stream import StateStream, Streams
from synexs_async.dashboard.views import (
    Log,
    MissionDetail,
    MissionList,
    MissionSummary,
    Problem,
    Run,
    RunDetail,
    RunNews,
    Series,
    schema,
)
from synexs_async.errors import FolderError
from synexs_async.monitoring.log import LEVELS
from synexs_async.monitoring.search import Found, find_missions, read_mission
from synexs_async.storage.folder import RunFolder
from synexs_async.storage.progress import OUTCOMES
from synexs_async.storage.series import read_series

_MOST_LINES: Final = 500
_MOST_MISSIONS: Final = 100
_LARGEST_INDEX: Final = 10**15
_SEARCH_SECONDS: Final = 0.3
_READS: Final = 4  # of what a run has written, at once

T = TypeVar("T")
_encode: Final = msgspec.json.Encoder().encode


class Api:
    """Answers requests about the runs below a root."""

    def __init__(self, runs: Runs, streams: Streams) -> None:
        self._runs = runs
        self._streams = streams
        self._memory = Memory()
        self._reads = anyio.CapacityLimiter(_READS)

    def routes(self) -> list[Route]:
        """Return where each answer is found."""
        endpoints: dict[str, Callable[[Request], Awaitable[Any]]] = {
            "/healthz": self.tell_that_it_is_there,
            "/metrics": self.metrics,
            "/api/schema.json": self.show_schema,
            "/api/events": self.stream_runs,
            "/api/runs": self.list_runs,
            "/api/runs/{run}": self.show_run,
            "/api/runs/{run}/events": self.stream_run,
            "/api/runs/{run}/series": self.show_series,
            "/api/runs/{run}/log": self.show_log,
            "/api/runs/{run}/missions": self.find_missions,
            "/api/runs/{run}/missions/{index}": self.show_mission,
        }
        return [Route(path, endpoint) for path, endpoint in endpoints.items()]

    async def tell_that_it_is_there(self, request: Request) -> Response:
        """Answer whoever asks whether the server is up."""
        return Response(b'{"status":"ok"}\n', media_type="application/json")

    async def show_schema(self, request: Request) -> Response:
        """Answer with the schema of all answers."""
        return answer(schema())

    async def metrics(self, request: Request) -> Response:
        """All runs for Prometheus."""
        found = await self._runs.all()

        def write() -> str:
            return metrics_of([Run.of(run_id, state) for run_id, state in found.states.items()])

        return Response(await self._read(write), headers={"Content-Type": CONTENT_TYPE})

    async def list_runs(self, request: Request) -> Response:
        """Answer with a RunList."""
        return _json(await self._list())

    async def show_run(self, request: Request) -> Response:
        """Answer with a RunDetail."""
        run_id, look = await self._look(request)
        return answer(RunDetail(Run.of(run_id, look.state), look.state.identity, look.identity))

    async def show_series(self, request: Request) -> Response:
        """Answer with a Series."""
        run_id, look = await self._look(request)

        def read() -> bytes:
            self._runs.expect_inside(RunFolder(look.state.folder).series)
            return _encode(Series.of(read_series(look.state.folder)))

        make = partial(self._read, read)
        return _json(await self._memory.get((run_id, "series"), look.series, make))

    async def show_log(self, request: Request) -> Response:
        """Answer with a Log."""
        run_id, look = await self._look(request)
        level = _choice(request, "level", LEVELS) or "DEBUG"
        count = _number(request, "count", 1, _MOST_LINES) or 100
        log = self._runs.logs.of(run_id, look.state.folder)

        def read() -> bytes:
            self._expect_log_inside(look.state.folder)
            log.end.read()
            lines = log.end.last(count + 1, level)
            return _encode(Log(lines[-count:], more=len(lines) > count or not log.end.is_whole))

        async def read_in_turn() -> bytes:
            async with log.lock:
                return await self._read(read)

        return _json(await self._memory.get((run_id, "log", count, level), look.log, read_in_turn))

    async def find_missions(self, request: Request) -> Response:
        """Answer with a MissionList."""
        _, look = await self._look(request)
        outcome = _choice(request, "outcome", OUTCOMES)
        group = request.query_params.get("group")
        before = _number(request, "before", 1, _LARGEST_INDEX)
        limit = _number(request, "limit", 1, _MOST_MISSIONS) or 20

        def find(folder: Path) -> Found:
            self._runs.expect_inside(RunFolder(folder).missions)
            return find_missions(
                folder,
                outcome=outcome,
                group=group,
                before=before,
                limit=limit,
                seconds=_SEARCH_SECONDS,
            )

        found = await self._read(find, look.state.folder)
        return answer(MissionList.of(found, _group_by(look)))

    async def show_mission(self, request: Request) -> Response:
        """Answer with a MissionDetail."""
        _, look = await self._look(request)
        index = _whole(request.path_params["index"], "a mission's index", 0, _LARGEST_INDEX)

        def read(folder: Path) -> bytes:
            self._runs.expect_inside(RunFolder(folder).missions)
            record = read_mission(folder, index)
            return _encode(MissionDetail(MissionSummary.of(record, _group_by(look)), record))

        return _json(await self._read(read, look.state.folder))

    async def stream_runs(self, request: Request) -> StateStream:
        """Tell each RunList that is another than the one before."""
        return StateStream("runs", self._list, self._streams)

    async def stream_run(self, request: Request) -> StateStream:
        """Tell each RunNews that is another than the one before."""
        run_id, _ = await self._look(request)

        async def state() -> bytes:
            look = await self._runs.look(run_id)
            run = Run.of(run_id, look.state)
            return _encode(RunNews(run, look.identity, look.series, look.log))

        return StateStream("run", state, self._streams)

    async def _list(self) -> bytes:
        return (await self._runs.all()).listed

    async def _look(self, request: Request) -> tuple[str, Look]:
        run_id = request.path_params["run"]
        try:
            return run_id, await self._runs.look(run_id)
        except KeyError:
            raise HTTPException(404, f"there is no run {run_id!r}; /api/runs lists them") from None

    def _expect_log_inside(self, folder: Path) -> None:
        logs = RunFolder(folder).logs
        if logs.exists():  # else it has not begun
            for path in (logs, *logs.iterdir()):
                self._runs.expect_inside(path)

    async def _read(self, function: Callable[..., T], *arguments: Any) -> T:
        """Read from the disk, a few at once, so that no one's questions take all threads."""
        with _told_of_failures():
            return await anyio.to_thread.run_sync(function, *arguments, limiter=self._reads)


def answer(content: Any, status: int = 200) -> Response:
    """Answer with JSON."""
    return _json(_encode(content), status)


def _json(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="application/json")


async def refuse(request: Request, error: Exception) -> Response:
    """Answer why not, in one line."""
    if isinstance(error, HTTPException):
        return answer(Problem(error.detail), error.status_code)
    text = error.problem if isinstance(error, FolderError) else str(error)
    return answer(Problem(text), 404)


async def tell_of_a_fault(request: Request, error: Exception) -> Response:
    """Answer that the fault is ours; Starlette raises it once more, for the server's log."""
    return answer(Problem("the dashboard failed; its server's log says why"), 500)


@contextmanager
def _told_of_failures() -> Iterator[None]:
    """Make an answer of what the disk has to say."""
    try:
        yield
    except OSError as error:
        raise HTTPException(500, f"can't be read: {error.strerror}") from error


def _group_by(look: Look) -> str:
    return look.state.progress.group_by if look.state.progress else ""


def _choice(request: Request, name: str, values: Collection[str]) -> str | None:
    value = request.query_params.get(name)
    if value is not None and value not in values:
        raise HTTPException(400, f"{name}: expected one of {', '.join(values)}, not {value!r}")
    return value


def _number(request: Request, name: str, least: int, most: int) -> int | None:
    value = request.query_params.get(name)
    return None if value is None else _whole(value, name, least, most)


def _whole(text: str, name: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise HTTPException(400, f"{name}: expected a number from {least} to {most}, not {text!r}")
    return int(text)
