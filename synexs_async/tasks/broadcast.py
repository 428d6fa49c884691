"""Telling events to any number of listeners, each with a bounded queue of its own.

A listener that lags misses the oldest events, which are counted, or lets the teller wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import anyio
import anyio.lowlevel

from synexs_async.events import Event, OnLag

_CAPACITY: Final = 1024


class EventStream:
    """The events of a run from the moment that it was made, to iterate over.

    The iteration ends after `Finished`. Close the stream to end it before.

    Attributes:
        dropped: how many events were missed, because nobody took them in time.
    """

    def __init__(self, on_lag: OnLag, forget: Callable[[EventStream], None]) -> None:
        self._may_drop = on_lag == "drop"
        self._forget = forget
        self._queue: deque[Event] = deque()
        self._changed = anyio.Event()
        self._ended = False
        self.dropped = 0

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event."""
        await anyio.lowlevel.checkpoint()
        while not self._queue:
            if self._ended:
                raise StopAsyncIteration
            await self._changed.wait()
        event = self._queue.popleft()
        self._notify()
        return event

    async def aclose(self) -> None:
        """Listen no longer."""
        self._queue.clear()
        self.end()
        self._forget(self)

    def put(self, event: Event) -> None:
        """Take an event in; where there is no room and some may be missed, the oldest one goes."""
        if self._may_drop and len(self._queue) >= _CAPACITY:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(event)
        self._notify()

    async def room(self) -> None:
        """Wait until an event can be taken in, unless some may be missed."""
        while len(self._queue) >= _CAPACITY and not (self._may_drop or self._ended):
            await self._changed.wait()

    def release(self) -> None:
        """Let nobody wait any longer."""
        self._may_drop = True
        self._notify()

    def end(self) -> None:
        """End the iteration behind what is in the queue."""
        self._ended = True
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Broadcast:
    """Tells a session's events to those who listen."""

    def __init__(self) -> None:
        self._streams: set[EventStream] = set()
        self._waits = True
        self._last: Event | None = None

    def listen(self, on_lag: OnLag) -> EventStream:
        """Give a stream of the events from now on; of the last one, where that was told."""
        stream = EventStream(on_lag if self._waits else "drop", self._streams.discard)
        self._streams.add(stream)
        if self._last is not None:
            stream.put(self._last)
            stream.end()
        return stream

    async def tell(self, event: Event) -> None:
        """Tell an event; wait for listeners that want to miss none."""
        for stream in tuple(self._streams):
            await stream.room()
            stream.put(event)

    def tell_at_once(self, event: Event) -> None:
        """Tell an event, whoever lags: the run is ending, and waits for nobody."""
        for stream in self._streams:
            stream.put(event)

    def release(self) -> None:
        """Wait for no listener from now on."""
        self._waits = False
        for stream in self._streams:
            stream.release()

    def end(self, last: Event) -> None:
        """Tell the last event, and end all streams behind it."""
        self._last = last
        self.tell_at_once(last)
        for stream in self._streams:
            stream.end()
