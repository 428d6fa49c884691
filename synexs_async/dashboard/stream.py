"""Server-sent events: whoever listens is told the latest state, and never what lies behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from synexs_async.dashboard.runs import FRESH

MOST_STREAMS: Final = 64
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),  # a proxy that collects events would delay them
]
_RETRY: Final = b"retry: 2000\n\n"  # milliseconds until a browser asks again
_ALIVE: Final = b"event: alive\ndata: {}\n\n"
_SILENCE: Final = 15.0  # seconds; then a sign of life: each side learns whether the other is there


class Streams:
    """The event streams of a server: not too many, and all end when it does.

    A server waits for open connections when it ends, and a page keeps its stream open for ever: so
    close them first.
    """

    def __init__(self) -> None:
        self.places = anyio.CapacityLimiter(MOST_STREAMS)
        self.closing = anyio.Event()

    def close(self) -> None:
        """End those that are open, and any that is opened from now on."""
        self.closing.set()


class StateStream:
    """An answer that goes on for as long as it is listened to.

    There is no queue: when a client has taken in an event, it gets what is the state by then.

    Args:
        event: its name.
        state: gives the state, encoded; KeyError ends the stream.
        streams: those of the server.
    """

    def __init__(self, event: str, state: Callable[[], Awaitable[bytes]], streams: Streams) -> None:
        self._event = event.encode()
        self._state = state
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client is gone, or the server ends."""
        try:
            self._streams.places.acquire_on_behalf_of_nowait(self)
        except anyio.WouldBlock:
            text = f"{MOST_STREAMS} pages are open already: close one\n"
            await PlainTextResponse(text, 503, {"Retry-After": "10"})(scope, receive, send)
            return
        try:
            await self._answer(scope, receive, send)
        finally:
            self._streams.places.release_on_behalf_of(self)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if scope["method"] != "HEAD":
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_end_with_client, receive, tasks.cancel_scope)
                tasks.start_soon(_end_with_server, self._streams.closing, tasks.cancel_scope)
                await self._tell(send)
                tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _tell(self, send: Send) -> None:
        await _send(send, _RETRY)
        last, silent_since = b"", anyio.current_time()
        while True:
            try:
                state = await self._state()
            except KeyError:
                return  # the run is gone
            if state != last:
                await _send(send, b"event: %b\ndata: %b\n\n" % (self._event, state))
                last, silent_since = state, anyio.current_time()
            elif anyio.current_time() - silent_since > _SILENCE:
                await _send(send, _ALIVE)
                silent_since = anyio.current_time()
            await anyio.sleep(FRESH)


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _end_with_client(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _end_with_server(closing: anyio.Event, scope: anyio.CancelScope) -> None:
    await closing.wait()
    scope.cancel()
