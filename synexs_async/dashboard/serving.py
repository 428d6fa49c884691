"""The dashboard's own server: uvicorn, with bounds on what connections may cost."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from asyncio import BaseTransport, TimerHandle
from typing import Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from synexs_async.dashboard.app import dashboard_app
from synexs_async.dashboard.stream import MOST_STREAMS, Streams
from synexs_async.errors import ConfigError, UsageError

_MOST_CONNECTIONS: Final = 4 * MOST_STREAMS
_FIRST_WORD: Final = 10.0  # seconds until a connection has to have asked something
_LOCAL_NAMES: Final = ("127.0.0.1", "localhost", "::1")


def listen(host: str, port: int, token: str | None) -> socket.socket:
    """Bind the address that the dashboard is reached under.

    Raises:
        UsageError: it can't be had, or others could reach it and need no token.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError("host", host, "a name or an address of this machine") from error
    if token is None and not ipaddress.ip_address(address[0]).is_loopback:
        problem = f"{host}: whoever reaches this address could look at your runs"
        raise UsageError(f"{problem}; add --token TOKEN, a text that only you know")
    server = socket.socket(family, kind)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen()
    except OSError as error:
        server.close()
        reason = error.strerror or str(error)
        problem = f"port {port} of {host} can't be had: {reason[0].lower()}{reason[1:]}"
        raise UsageError(
            f"{problem}; choose another with --port, 0 for any that is free"
        ) from error
    return server


def serve(root: str | os.PathLike[str], listener: socket.socket, token: str | None) -> None:
    """Serve until told to stop, by SIGINT or SIGTERM; then open pages are let go at once."""
    host = listener.getsockname()[0]
    is_local = ipaddress.ip_address(host).is_loopback
    streams = Streams()
    app = dashboard_app(
        root, token, hosts={*_LOCAL_NAMES, host} if is_local else None, streams=streams
    )
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn raises what it got again
    try:
        _Server(config, streams).run([listener])
    except KeyboardInterrupt:
        pass


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.closing.set()
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    """HTTP/1.1, but not with somebody who never gets to the point."""

    _deadline: TimerHandle

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._deadline = self.loop.call_later(_FIRST_WORD, self._expect_a_request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def _expect_a_request(self) -> None:
        if self.cycle is None:
            self.transport.close()
