"""The worker process: it simulates missions, writes them as batches, or checks those there.

It speaks in frames over what it is given as standard input and output, and ends when its input
does, so that no worker outlives the process that it works for, however that one ends. It is a
program of its own rather than a child of `multiprocessing`, which would run a host's main module
again.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from io import TextIOWrapper
from typing import BinaryIO, Final

from synexs_async.errors import MissionError
from synexs_async.missions.mission import Block
from synexs_async.missions.simulation import Raised, as_text, read_parts, simulate_parts
from synexs_async.standard_streams import open_missing_streams
from synexs_async.storage.protocol import (
    HEADER_BYTES,
    BatchCheck,
    BatchRows,
    Broken,
    Checked,
    Read,
    Refused,
    Reply,
    Setup,
    Simulate,
    Simulated,
    SimulatedBlock,
    Written,
    decode_request,
    decode_setup,
    frame,
    payload_length,
)

_PR_SET_PDEATHSIG: Final = 1  # of linux/prctl.h
_PIPE_BYTES: Final = 1 << 20  # the most that Linux gives to any user
_MOST_PRINTED: Final = 1000  # bytes a mission
_SIMULATED_TOGETHER: Final = 32  # missions; a block of each would cost a tenth of a short mission
_READ_TOGETHER: Final = 8  # missions; before they are cut their rows may take 100 MB each


def main() -> None:
    """Serve requests until there are no more."""
    open_missing_streams()
    _leave_signals_to_parent()
    _end_with_parent()
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    for stream in (requests, replies):
        _widen(stream)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a program that a mission starts must not read the requests
    os.close(nothing)
    os.dup2(2, 1)  # a library that prints must not speak into the replies
    first = _read(requests)
    if first is None:
        return
    setup = decode_setup(first)
    simulator: Simulator | None = None
    try:
        for number, payload in enumerate(iter(lambda: _read(requests), None)):
            request = decode_request(payload)
            try:
                if isinstance(request, Simulate | Read):
                    simulator = simulator or Simulator(setup)
                    reply: Reply = simulator.serve(request)
                else:
                    reply = _write_or_check(setup, request)
            except OSError as error:
                name = None if error.filename is None else os.fsencode(error.filename)
                reply = Refused(error.errno or 0, error.strerror or str(error), name)
            except Exception:
                reply = Broken(as_text(traceback.format_exc()))
            replies.write(frame(reply))
            replies.flush()
            if number == 0:
                gc.freeze()  # what is loaded by now stays: no need to go through it again and again
    except OSError:
        os._exit(1)  # nobody is there to listen, and flushing at the exit would fail again


def _leave_signals_to_parent() -> None:
    """Do nothing at what asks all processes of a job to stop: who we work for decides when to.

    Processes that missions start, forked ones too, are not to be deaf to it: so it is not ignored,
    as they would inherit that.
    """
    earlier = {
        number: signal.signal(number, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    for number in earlier:
        signal.siginterrupt(number, False)

    def restore() -> None:
        for number, handler in earlier.items():
            signal.signal(number, handler)

    os.register_at_fork(after_in_child=restore)


def _end_with_parent() -> None:
    """Let the system kill us when our parent ends, even in the middle of a batch, or stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _widen(pipe: BinaryIO) -> None:
    """Let a pipe hold a whole frame, so that neither side wakes the other in the middle of it."""
    if sys.platform == "linux":
        with suppress(OSError):  # as much as the system allows
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _write_or_check(setup: Setup, request: BatchRows | BatchCheck) -> Reply:
    from synexs_async.storage import batch  # torch, which takes seconds

    if os.getppid() != setup.parent:
        os._exit(1)  # orphaned while it was imported
    if isinstance(request, BatchCheck):
        return Checked(batch.check_batches(request.rows, setup))
    return Written(batch.write_batches(request, setup), batch.cuda_is_available())


class Simulator:
    """Simulates missions of the one kind that this worker was set up for.

    What they print is caught, as it may come in any order from many workers.
    """

    def __init__(self, setup: Setup) -> None:
        from synexs_async.missions.loading import load_mission

        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - it stays for the process's life
        os.dup2(self._printed.fileno(), 1)
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(write_through=True, errors="backslashreplace")
        self._setup = setup
        self._mission = load_mission(setup.mission, setup.parameters)
        name, version = self._mission.name, self._mission.version
        if (name, version) != (setup.name, setup.version):
            problem = (
                f"expected {setup.name!r}, version {setup.version}, not {name!r}, version {version}"
            )
            raise MissionError(setup.mission, problem)
        self._together = self._mission.block_size
        if setup.timeout is None:
            self._together = max(self._together, _SIMULATED_TOGETHER)

    def serve(self, request: Simulate | Read) -> Simulated:
        """Simulate missions, or read their lines again."""
        if isinstance(request, Read):
            return Simulated([*self._read(request)])
        packed: list[SimulatedBlock | Raised] = []
        printed = {}
        first, end = request.first, request.first + request.count
        while first < end:
            count = min(self._together, end - first)
            simulated = self._simulate(first, count)
            text = self._take_printed()
            if text or len(simulated) > 1:  # such missions are told of one by one
                self._together = self._mission.block_size
            if text and count > self._together:
                continue
            packed += map(self._pack, simulated)
            if text:
                printed[first] = text
            first += count
        return Simulated(packed, printed)

    def _read(self, request: Read) -> Iterator[SimulatedBlock | Raised]:
        for start in range(0, len(request.lines), _READ_TOGETHER):
            lines = request.lines[start : start + _READ_TOGETHER]
            yield from map(self._pack, read_parts(self._mission, request.first + start, lines))

    def _simulate(self, first: int, count: int) -> list[Block | Raised]:
        if self._setup.timeout is not None:
            signal.setitimer(signal.ITIMER_REAL, self._setup.timeout * count)
        parts = list(simulate_parts(self._mission, self._setup.seed, first, count))
        if self._setup.timeout is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return parts

    def _pack(self, part: Block | Raised) -> SimulatedBlock | Raised:
        if isinstance(part, Raised):
            return part
        rows = self._setup.sequence_length + 1  # what lies behind is in no batch
        if part.features.shape[1] > rows:
            part = replace(part, features=part.features[:, :rows])
        return SimulatedBlock.of(part)

    def _take_printed(self) -> str:
        size = os.lseek(1, 0, os.SEEK_CUR)
        if not size:
            return ""
        text = os.pread(1, min(size, _MOST_PRINTED), 0).decode(errors="backslashreplace")
        os.lseek(1, 0, os.SEEK_SET)
        os.ftruncate(1, 0)
        return text


def _read(stream: BinaryIO) -> bytes | None:
    """Read a frame; None where there is no whole one any more."""
    header = stream.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    payload = stream.read(payload_length(header))
    return payload if len(payload) == payload_length(header) else None


if __name__ == "__main__":
    main()
