"""A web service that starts missions, tells of them and stops them, and answers all the while.

pip install -e '.[dashboard]' -c constraints.txt
python examples/web_service.py --root runs/service --port 8000

curl --json '{"name": "seven", "missions": 1000000, "seed": 7}' localhost:8000/runs
curl localhost:8000/runs
curl localhost:8000/runs/seven
curl -N localhost:8000/runs/seven/events
curl -X DELETE localhost:8000/runs/seven

and http://localhost:8000/dashboard/ shows them in a browser.

A run's name is its folder under the root, and the folders are all that the service remembers: it
may be stopped at any moment (Ctrl-C stops its runs in order), and a run that is asked for again
goes on. What to run is the service's own choice, not the request's: a mission kind is code.

It knows no users: whoever is on this machine may ask. A page of another site that one of them looks
at meanwhile may not: a browser lets it send no JSON, and asks under the name of that site.

Answers are made from memory. One task looks at the folders now and then: beside a run at full speed
a thread that reads files waits for Python's lock at each of its system calls.
"""

import re
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from socket import socket
from typing import Any

import anyio
import msgspec
import uvicorn
from anyio.abc import TaskGroup, TaskStatus
from loguru import logger
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from synexs_async import (
    FolderError,
    FolderInUse,
    IdentityMismatch,
    LiveRun,
    Progress,
    RunConfig,
    RunFailed,
    UsageError,
    find_runs,
    open_run,
)
from synexs_async.dashboard import Streams, dashboard_app

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
HOSTS = ("127.0.0.1", "localhost")
SECONDS_FOR_SLOW_CLIENTS = 5
SECONDS_BETWEEN_LOOKS = 1.0


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What a client asks for."""

    name: str
    missions: int
    seed: int = 0


class Standing(msgspec.Struct):
    """How a run stands: "running" until its folder is free again, then how it ended."""

    name: str
    status: str
    progress: Progress | None


class Json(Response):
    """Answers with what msgspec can encode."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return msgspec.json.encode(content)


class Runs:
    """The runs under a folder, some of them going on here; `watchers` look at them in a browser."""

    def __init__(self, root: Path, at_once: int) -> None:
        self.root = root
        self.watchers = Streams()
        self._at_once = at_once
        self._free = anyio.Semaphore(at_once)
        self._live: dict[str, LiveRun] = {}
        self._found: dict[str, Standing] = {}
        self._looking = anyio.Lock()

    async def keep_looking(self) -> None:
        """Look at the folders now and then, as other programs run there too."""
        took = 0.0
        while True:
            await anyio.sleep(max(SECONDS_BETWEEN_LOOKS, 20 * took))  # however many there are
            began = anyio.current_time()
            await self.look()
            took = anyio.current_time() - began

    async def look(self) -> None:
        """Find out how the runs stand by their folders."""
        async with self._looking:  # what was seen later is not overwritten by what was earlier
            states = await anyio.to_thread.run_sync(find_runs, self.root)
            self._found = {
                state.name: Standing(state.name, state.status, state.progress) for state in states
            }

    async def go_on(
        self, order: Order, *, task_status: TaskStatus[Standing] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Carry out an order, from where its folder stands to the end.

        What keeps it from beginning is raised before `task_status` is told. What stops it later
        is in its log and its progress, and is nothing that the other runs should suffer from.
        """
        config = RunConfig(output=self.folder(order.name), missions=order.missions, seed=order.seed)
        if order.name in self._live:
            raise HTTPException(409, "a run of this name is going on")
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            wait = f"{self._at_once} runs are going on; try again when one has ended"
            raise HTTPException(429, wait) from None
        begun = False
        try:
            async with open_run(config) as live:
                begun = True
                self._live[order.name] = live
                task_status.started(Standing(order.name, "running", live.progress))
        except RunFailed:
            if not begun:
                raise
        finally:
            if begun:
                with anyio.CancelScope(shield=True):
                    await self.look()
                del self._live[order.name]
            self._free.release()

    def live(self, name: str) -> LiveRun:
        """Return a run that is going on."""
        if name not in self._live:
            raise HTTPException(404, f"no run {name!r} is going on")
        return self._live[name]

    def stop(self) -> None:
        """Let all runs end in order, and pages of the dashboard wait no longer."""
        self.watchers.close()
        for live in self._live.values():
            live.stop()

    def standing(self, name: str) -> Standing:
        """Tell how a run stands; of one that has ended, how it did."""
        if name in self._live:
            return Standing(name, "running", self._live[name].progress)
        if name not in self._found:
            raise HTTPException(404, f"there is no run {name!r}")
        return self._found[name]

    def all(self) -> list[Standing]:
        """Tell how each run stands, first those that go on here, then by when they told last."""
        return [self.standing(name) for name in {**self._live, **self._found}]

    def folder(self, name: str) -> Path:
        """Return the folder of a run; no name leads out of the root."""
        if not NAME.fullmatch(name):
            raise HTTPException(400, f"name: expected a-z, 0-9, _ and -, not {name!r}")
        return self.root / name


def make_app(runs: Runs) -> Starlette:
    """Make the service; its runs live as long as it does, and are stopped in order at its end."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, TaskGroup]]:
        async with anyio.create_task_group() as tasks:
            await runs.look()
            tasks.start_soon(runs.keep_looking)
            yield {"tasks": tasks}
            tasks.cancel_scope.cancel()

    async def start(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "content-type: expected application/json")
        order = msgspec.json.decode(await request.body(), type=Order)
        begun = await request.state.tasks.start(runs.go_on, order)
        return Json(begun, 201, {"Location": f"/runs/{order.name}"})

    async def list_runs(_: Request) -> Response:
        return Json(runs.all())

    async def tell(request: Request) -> Response:
        return Json(runs.standing(request.path_params["name"]))

    async def stop(request: Request) -> Response:
        name = request.path_params["name"]
        runs.live(name).stop()
        return Json(runs.standing(name), 202)

    async def follow(request: Request) -> Response:
        live = runs.live(request.path_params["name"])
        return StreamingResponse(server_sent(live), media_type="text/event-stream")

    return Starlette(
        routes=[
            Route("/runs", start, methods=["POST"]),
            Route("/runs", list_runs),
            Route("/runs/{name}", tell),
            Route("/runs/{name}", stop, methods=["DELETE"]),
            Route("/runs/{name}/events", follow),
            Mount("/dashboard", dashboard_app(runs.root, streams=runs.watchers)),
        ],
        exception_handlers={
            HTTPException: refuse,
            UsageError: refuse,
            msgspec.DecodeError: refuse,
            UnicodeDecodeError: refuse,
        },
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)],
        lifespan=lifespan,
    )


async def server_sent(live: LiveRun) -> AsyncIterator[bytes]:
    """Give a run's events as a browser's EventSource reads them; those of slow ones are dropped."""
    async with aclosing(live.events()) as events:
        async for event in events:
            yield b"event: %b\ndata: %b\n\n" % (
                type(event).__name__.encode(),
                msgspec.json.encode(event),
            )


async def refuse(_: Request, error: Exception) -> Response:
    """Say in one line why not."""
    match error:
        case HTTPException():
            status, reason = error.status_code, error.detail
        case FolderInUse():
            status, reason = 409, "another program runs in the folder of this name"
        case IdentityMismatch():
            there = (f"{field} {value!r}" for field, (value, _) in error.differences.items())
            status, reason = 409, f"a run of this name has {', '.join(there)}"
        case FolderError():
            status, reason = 409, str(error)
        case _:
            status, reason = 400, str(error)
    return Json({"error": reason}, status)


class Server(uvicorn.Server):
    """Stops the runs first: streams of their events end with them, and so do their connections."""

    def __init__(self, config: uvicorn.Config, runs: Runs) -> None:
        super().__init__(config)
        self._runs = runs

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop in order."""
        self._runs.stop()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until stopped."""
    parser = ArgumentParser(description="Run missions at the request of web clients.")
    parser.add_argument("--root", type=Path, default=Path("runs/service"))
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free")
    parser.add_argument("--at-once", type=int, default=2, help="runs that may go on at once")
    options = parser.parse_args()

    logger.remove()  # each run keeps a log of its own; here we want what matters to the service
    logger.add(sys.stderr, level="WARNING")
    runs = Runs(options.root, options.at_once)
    config = uvicorn.Config(
        make_app(runs),
        port=options.port,
        access_log=False,
        timeout_graceful_shutdown=SECONDS_FOR_SLOW_CLIENTS,
    )
    try:
        Server(config, runs).run()
    except KeyboardInterrupt:
        pass  # uvicorn raises it again when all is done


if __name__ == "__main__":
    main()
