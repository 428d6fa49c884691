"""The dashboard as an ASGI app: pages, API and what stands in front of them."""

from __future__ import annotations

import os
from collections.abc import Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from synexs_async.dashboard.access import Guard
from synexs_async.dashboard.api import Api, refuse, tell_of_a_fault
from synexs_async.dashboard.pages import show_page, show_part
from synexs_async.dashboard.runs import Runs
from synexs_async.dashboard.stream import Streams
from synexs_async.errors import UsageError


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
        streams: lets the host `close()` what open pages listen to, before its server waits for
            them at its end; they end with their clients otherwise.

    Raises:
        ConfigError: the token can't be sent as it is, or is empty.
    """
    api = Api(Runs(root), streams or Streams())
    app = Starlette(
        routes=[
            Route("/", show_page),
            Route("/static/{name:path}", show_part),
            *api.routes(),
        ],
        exception_handlers={HTTPException: refuse, UsageError: refuse, Exception: tell_of_a_fault},
    )
    return Guard(app, token, hosts)
