"""The dashboard as an ASGI app: pages, API and what stands in front of them."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from synexs_async.dashboard.access import Guard
from synexs_async.dashboard.api import Api, refuse
from synexs_async.dashboard.runs import Runs
from synexs_async.dashboard.stream import Streams
from synexs_async.errors import UsageError

_STATIC: Final = Path(__file__).parent / "static"


def dashboard_app(
    root: str | os.PathLike[str],
    token: str | None = None,
    *,
    hosts: Collection[str] | None = None,
    streams: Streams | None = None,
) -> ASGIApp:
    """Return the dashboard of the runs at and below `root`, for a server or to be mounted.

    Args:
        root: a folder of runs, or a run's own.
        token: what a page has to know to be answered; None where the host has seen to that.
        hosts: names under which it may be asked, None for any.
        streams: lets the server end event streams; they end with their clients otherwise.
    """
    api = Api(Runs(root), streams or Streams())
    app = Starlette(
        routes=[
            Route("/", _page),
            *api.routes(),
            Mount("/static", _Static(directory=_STATIC)),
        ],
        exception_handlers={HTTPException: refuse, UsageError: refuse},
    )
    return Guard(app, token, hosts)


async def _page(request: Request) -> Response:
    if not request.url.path.endswith("/"):  # mounted, and its own addresses are relative
        return RedirectResponse(request.url.replace(path=f"{request.url.path}/"))
    return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})


class _Static(StaticFiles):
    """Files that a browser asks for again each time, as an update may have changed them."""

    def file_response(
        self, full_path: str, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response
