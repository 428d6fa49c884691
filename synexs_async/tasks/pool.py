"""A pool of worker processes that survives the death of any of them.

Work is handed over with the process that does it, so when one is killed, just its own work is
lost, and given to a fresh one. The workers are in a session of their own: the terminal's Ctrl-C
is not for them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from synexs_async.errors import WorkerFailed
from synexs_async.protocol import (
    HEADER_BYTES,
    BatchRows,
    Broken,
    Refused,
    Reply,
    Setup,
    Written,
    decode_reply,
    frame,
    payload_length,
)

_TRIES: Final = 3

_CONNECTION_LOST: Final = (
    OSError,
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)


class WorkerPool:
    """As many workers as there are calls at a time, each started when it is first needed."""

    def __init__(self, setup: Setup, warn: Callable[[str], None]) -> None:
        self._setup = setup
        self._warn = warn
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            for worker in self._all:
                await worker.kill()  # an idle worker holds nothing that could be lost

    async def write(self, rows: BatchRows) -> Written:
        """Let a worker write batches.

        Raises:
            OSError: the operating system refused to write them.
            WorkerFailed: no worker could do it.
        """
        for remaining in reversed(range(_TRIES)):
            worker = self._idle.pop() if self._idle else await self._start()
            try:
                reply = await worker.call(rows)
            except _CONNECTION_LOST:
                ending = await self._bury(worker)
                again = "its work is given to a new one" if remaining else "giving up"
                self._warn(f"worker process {worker.pid} {ending}; {again}")
                continue
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._bury(worker)  # in the middle of a call, so of no more use
                raise
            self._idle.append(worker)
            match reply:
                case Written():
                    return reply
                case Refused():
                    raise OSError(reply.errno, reply.strerror, reply.filename)
                case Broken():
                    raise WorkerFailed(f"a worker process can't work:\n{reply.traceback}")
        raise WorkerFailed(
            f"{_TRIES} worker processes in a row ended over the missions from {rows.first} on"
        )

    async def _start(self) -> _Worker:
        worker = _Worker(await _open_process())
        self._all.add(worker)
        try:
            await worker.send(self._setup)
        except _CONNECTION_LOST:
            pass  # the first call will find out
        return worker

    async def _bury(self, worker: _Worker) -> str:
        self._all.discard(worker)
        code = await worker.kill()
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


class _Worker:
    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._requests = process.stdin
        self._replies = BufferedByteReceiveStream(process.stdout)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def send(self, message: Setup | BatchRows) -> None:
        await self._requests.send(frame(message))

    async def call(self, rows: BatchRows) -> Reply:
        await self.send(rows)
        header = await self._replies.receive_exactly(HEADER_BYTES)
        reply: Reply = decode_reply(await self._replies.receive_exactly(payload_length(header)))
        return reply

    async def kill(self) -> int:
        """End the process, and return its exit code: that of its own end, if it had come."""
        if self._process.returncode is None:
            self._process.kill()
        code = await self._process.wait()
        await self._process.aclose()
        return code


async def _open_process() -> Process:
    return await anyio.open_process(
        [sys.executable, "-P", "-m", "synexs_async.worker"],
        stderr=None,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
