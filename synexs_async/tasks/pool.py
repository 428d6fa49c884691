"""A pool of worker processes that survives the death of any of them.

Work is handed over with the process that does it, so when one is killed, just its own work is
lost, and given to a fresh one. The workers are in a session of their own: the terminal's Ctrl-C
is not for them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, Self

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from synexs_async.errors import WorkerFailed
from synexs_async.missions.simulation import Raised
from synexs_async.storage.protocol import (
    HEADER_BYTES,
    BatchCheck,
    BatchRows,
    BatchState,
    Broken,
    Checked,
    Read,
    Refused,
    Reply,
    Request,
    Setup,
    Simulate,
    Simulated,
    SimulatedBlock,
    Written,
    decode_reply,
    frame,
    payload_length,
)

CALLS_A_WORKER: Final = 2  # one that it works on, and the next, so that it never waits

_TRIES: Final = 3

_CONNECTION_LOST: Final = (
    OSError,
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)


class WorkerPool:
    """Up to `size` workers, each started when those that there are have enough to do.

    As many as `CALLS_A_WORKER` times `size` calls at a time keep all of them busy. With `patience`
    those that there are must have been busy for so many seconds before another is started.

    Attributes:
        deaths: workers that ended while they were needed; each may have left a temporary file.
    """

    def __init__(
        self, size: int, setup: Setup, warn: Callable[[str], None], *, patience: float = 0.0
    ) -> None:
        self._size = size
        self._setup = setup
        self._warn = warn
        self._patience = patience
        self._busy_since: float | None = None
        self._workers: list[_Worker] = []
        self._starting = anyio.Lock()
        self.deaths = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        with anyio.CancelScope(shield=True):
            for worker in self._workers:
                await worker.kill()  # an idle worker holds nothing that could be lost

    async def write(self, rows: BatchRows) -> Written:
        """Let a worker write batches.

        Raises:
            OSError: the operating system refused to write them.
            WorkerFailed: no worker could do it.
        """
        reply = await self._call(rows)
        assert isinstance(reply, Written)
        return reply

    async def check(self, rows: BatchRows) -> list[BatchState]:
        """Let a worker compare batches with what is in their files; the errors are those above."""
        reply = await self._call(BatchCheck(rows))
        assert isinstance(reply, Checked)
        return reply.states

    async def simulate(self, first: int, count: int) -> Simulated:
        """Let a worker simulate missions `first` to `first + count - 1`.

        A mission that ends its worker three times in a row, or takes longer than the setup's
        timeout once, is told from the others and given as one that raised.

        Raises:
            WorkerFailed: no worker could do it.
        """
        try:
            reply = await self._call(Simulate(first, count), tries=1 if count > 1 else 0)
        except _WorkersEnded as ended:
            if count == 1:
                return Simulated([_ended(first, ended.code, self._setup.timeout)])
        else:
            assert isinstance(reply, Simulated)
            return reply
        parts: list[SimulatedBlock | Raised] = []
        printed: dict[int, str] = {}
        for index in range(first, first + count):
            one = await self.simulate(index, 1)
            parts += one.parts
            printed |= one.printed
        return Simulated(parts, printed)

    async def read(self, first: int, lines: Sequence[bytes]) -> Simulated:
        """Let a worker make the blocks of journal lines again; the errors are those above."""
        reply = await self._call(Read(first, list(lines)))
        assert isinstance(reply, Simulated)
        return reply

    async def _call(self, request: Request, tries: int = 0) -> Written | Checked | Simulated:
        tries = tries or _TRIES
        while tries:
            worker = await self._least_busy()
            try:
                reply = await worker.call(request)
            except _CONNECTION_LOST as error:
                code = await self._bury(worker)
                if isinstance(error, _AnotherCallWasAtWork):
                    continue  # what ended the worker was not this
                tries -= 1
                if isinstance(request, Simulate) and code == -signal.SIGALRM:
                    break  # it will take as long again
                continue
            except BaseException:
                await self._discard(worker)
                raise
            match reply:
                case Written() | Checked() | Simulated():
                    return reply
                case Refused():
                    name = None if reply.filename is None else os.fsdecode(reply.filename)
                    raise OSError(reply.errno, reply.strerror, name)
                case Broken():
                    raise WorkerFailed(f"a worker process can't work:\n{reply.traceback}")
        if isinstance(request, Simulate):
            raise _WorkersEnded(code)
        rows = request.rows if isinstance(request, BatchCheck) else request
        raise WorkerFailed(
            f"{_TRIES} worker processes in a row ended over the missions from {rows.first} on"
        )

    async def _least_busy(self) -> _Worker:
        async with self._starting:
            if self._workers and not self._needs_another():
                return min(self._workers, key=lambda worker: worker.calls)
            self._busy_since = None
            worker = _Worker(await _open_process(), frame(self._setup))
            self._workers.append(worker)
            return worker

    def _needs_another(self) -> bool:
        """Whether those that there are have had enough to do for long enough."""
        if any(worker.calls == 0 for worker in self._workers):
            self._busy_since = None
            return False
        ready = sum(worker.is_ready for worker in self._workers)
        # One that is starting takes seconds to import torch, and may soon be enough.
        starting = len(self._workers) - ready
        if starting >= max(ready, 1) or len(self._workers) == self._size:
            return False
        if self._busy_since is None:
            self._busy_since = monotonic()
        return monotonic() - self._busy_since >= self._patience

    async def _bury(self, worker: _Worker) -> int:
        """Take a worker that ended out of the pool, and return its exit code."""
        if worker not in self._workers:
            return await worker.kill()  # another call to it was first to see
        self._workers.remove(worker)
        self.deaths += 1
        code = await worker.kill()
        ending = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._warn(f"worker process {worker.pid} {ending}; its work is given to another")
        return code

    async def _discard(self, worker: _Worker) -> None:
        """End a worker that is in the middle of a call whose reply nobody waits for any more."""
        if worker in self._workers:
            self._workers.remove(worker)
        with anyio.CancelScope(shield=True):
            await worker.kill()


class _AnotherCallWasAtWork(anyio.BrokenResourceError):
    """The worker ended over the call before this one."""


class _WorkersEnded(Exception):
    """As many workers as were tried ended over the same missions; `code` is the last one's."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _ended(index: int, code: int, timeout: float | None) -> Raised:
    if code == -signal.SIGALRM:
        message = f"took longer than {timeout:g} s" if timeout else "was ended by SIGALRM"
        return Raised(index, "TimeoutError", message, f"TimeoutError: {message}")
    ending = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    message = f"its worker process {ending}, {_TRIES} times in a row"
    return Raised(index, "ProcessEnded", message, f"ProcessEnded: {message}")


class _Worker:
    def __init__(self, process: Process, greeting: bytes) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._requests = process.stdin
        self._replies = BufferedByteReceiveStream(process.stdout)
        self._greeting = greeting
        self._sending = anyio.Lock()
        self._receiving = anyio.Lock()
        self._is_lost = False
        self.calls = 0
        self.is_ready = False

    @property
    def pid(self) -> int:
        return self._process.pid

    async def call(self, request: Request) -> Reply:
        """Hand work over and wait for the reply; the next may be handed over meanwhile."""
        self.calls += 1
        try:
            async with self._sending:
                await self._requests.send(self._greeting + frame(request))
                self._greeting = b""
            async with self._receiving:  # a fair lock: replies come in the order of the calls
                if self._is_lost:
                    raise _AnotherCallWasAtWork
                try:
                    header = await self._replies.receive_exactly(HEADER_BYTES)
                    payload = await self._replies.receive_exactly(payload_length(header))
                except _CONNECTION_LOST:
                    self._is_lost = True
                    raise
        finally:
            self.calls -= 1
        self.is_ready = True
        reply: Reply = decode_reply(payload)
        return reply

    async def kill(self) -> int:
        """End the process, and return its exit code: that of its own end, if it had come."""
        if self._process.returncode is None:
            self._process.kill()
        code = await self._process.wait()
        await self._process.aclose()
        return code


async def _open_process() -> Process:
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return await anyio.open_process(
        [sys.executable, "-P", "-m", "synexs_async.worker"],
        stderr=None,
        start_new_session=True,
        # Whatever order sets of texts have, it must be the same in all of them.
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
    )
