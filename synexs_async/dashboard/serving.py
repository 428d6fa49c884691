"""The dashboard's own server: uvicorn, with bounds on what connections may cost."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from asyncio import BaseTransport, TimerHandle
from functools import partial
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from synexs_async.dashboard.access import check_token
from synexs_async.dashboard.app import dashboard_app
from synexs_async.dashboard.stream import MOST_STREAMS, Streams
from synexs_async.errors import ConfigError, UsageError

_MOST_CONNECTIONS: Final = 4 * MOST_STREAMS
_NEXT_REQUEST: Final = 10.0  # seconds from a request's first byte, or a connection's, to its last
_NEXT_BYTE: Final = 30.0  # seconds for a client to take something in
_LOCAL_NAMES: Final = ("127.0.0.1", "localhost", "::1")


def listen(
    host: str, port: int, token: str | None, *, patience: float = _NEXT_BYTE
) -> socket.socket:
    """Bind the address that the dashboard is reached under.

    Where the system can, it drops a connection that took nothing in for `patience` seconds, what
    was written for it included.

    Raises:
        UsageError: it can't be had, or others could reach it and need no token.
    """
    check_token(token)
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
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections have it from the listener
            milliseconds = int(1000 * patience)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
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


def serve(
    root: str | os.PathLike[str],
    listener: socket.socket,
    token: str | None,
    *,
    patience: float = _NEXT_REQUEST,
) -> None:
    """Serve until told to stop, by SIGINT or SIGTERM; then open pages are let go at once.

    Who has not asked anything `patience` seconds after beginning to is dropped.
    """
    host = listener.getsockname()[0]
    is_local = ipaddress.ip_address(host).is_loopback
    streams = Streams()
    app = dashboard_app(
        root, token, hosts={*_LOCAL_NAMES, host} if is_local else None, streams=streams
    )
    config = uvicorn.Config(
        app,
        http=partial(_Protocol, patience=patience),  # type: ignore[arg-type]  # it is only called
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
        self._streams.close()
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    """HTTP/1.1, but not with somebody who never gets to the point."""

    def __init__(self, *arguments: Any, patience: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._patience = patience
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._expect_a_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering:
            self._forget_deadline()
        else:
            self._expect_a_request()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_a_request(self) -> None:
        if self._deadline is None:  # however many bytes come until then, one by one
            self._deadline = self.loop.call_later(self._patience, self._give_up)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self._is_answering:
            self.transport.abort()
