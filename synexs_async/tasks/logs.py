"""Logs: loguru in front, one bounded queue, one writer behind.

A run's lines go to its own file only by a filter on its own mark, so that the host program's
handlers, and other runs beside it, stay as they are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import aiofiles
import anyio
from loguru import logger

if TYPE_CHECKING:
    from loguru import Logger

LINE_FORMAT: Final = "{time:YYYY-MM-DD HH:mm:ss.SSS} | {level: <8} | {message}"
_QUEUE_LIMIT: Final = 10_000
_MARK: Final = "synexs_run"

T = TypeVar("T")


class LineQueue(Generic[T]):
    """Lines from any thread to one task of the running event loop, in order, without waiting."""

    def __init__(self) -> None:
        self._lines: deque[T] = deque()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._abandoned = False
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self.dropped = 0

    def put(self, line: T) -> None:
        """Take a line; one too many is dropped, and counted."""
        if self._abandoned:
            return
        if len(self._lines) < _QUEUE_LIMIT:
            self._lines.append(line)
        else:
            self.dropped += 1
        self._at_rest.clear()
        self._loop.call_soon_threadsafe(self._wake.set)

    def close(self) -> None:
        """Say that no more lines will come."""
        self._closed = True
        self._wake.set()

    async def take(self) -> list[T]:
        """Wait for lines and take all; none when there will be no more."""
        while not self._lines and not self._closed:
            self._at_rest.set()
            self._wake.clear()
            await self._wake.wait()
        if not self._lines:
            self._at_rest.set()
        return [self._lines.popleft() for _ in range(len(self._lines))]

    async def settled(self) -> None:
        """Wait until who takes the lines has come back for more, and there are none."""
        await self._at_rest.wait()

    def abandon(self) -> None:
        """Say that nobody takes lines any more."""
        self._abandoned = True
        self._at_rest.set()


@asynccontextmanager
async def log_to_file(
    path: Path, level: str
) -> AsyncIterator[tuple[Logger, Callable[[], Awaitable[None]]]]:
    """Give a logger whose lines go to a file too; none of them is lost at the block's end.

    A file that can't be written to stops nothing: the other handlers are told of the first error.

    Yields:
        The logger, and what waits until all that this thread has logged is in the file.
    """
    run = object()
    log = logger.bind(**{_MARK: run})
    lines: LineQueue[str] = LineQueue()
    handler = logger.add(
        lambda message: lines.put(str(message)),
        level=level,
        format=LINE_FORMAT,
        filter=lambda record: record["extra"].get(_MARK) is run,
        diagnose=False,  # values of variables do not belong into a log that people pass on
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_write, path, lines, log)
        try:
            yield log, lines.settled
        finally:
            lines.close()
            with suppress(ValueError):  # the host took all handlers away, and ours with them
                logger.remove(handler)


async def _write(path: Path, lines: LineQueue[str], log: Logger) -> None:
    """Write lines until there will be no more of them, also while everything else is cancelled."""
    # Its own thread: the event loop's may be full of the host's work, and ours must not wait.
    thread = ThreadPoolExecutor(1, "log")
    with anyio.CancelScope(shield=True):
        try:
            async with aiofiles.open(
                path, "a", encoding="utf-8", errors="backslashreplace", executor=thread
            ) as file:
                while taken := await lines.take():
                    if lines.dropped:
                        taken.append(f"{lines.dropped} lines are missing: too many came at once\n")
                        lines.dropped = 0
                    await file.write("".join(taken))
                    await file.flush()
        except OSError as error:
            log.warning(f"the log {path} can't be written: {error.strerror}")
        finally:
            lines.abandon()
            thread.shutdown(wait=False)  # it has nothing left to do
