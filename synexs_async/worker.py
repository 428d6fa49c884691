"""The worker process: it is handed missions and writes them as batches, or checks those there.

It speaks in frames over its standard input and output, and ends when its input does, so that no
worker outlives the process that it works for, however that one ends. It is a program of its own
rather than a child of `multiprocessing`, which would run a host's main module again.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from typing import BinaryIO, Final

from synexs_async.storage.protocol import (
    HEADER_BYTES,
    BatchCheck,
    Broken,
    Checked,
    Refused,
    Reply,
    Request,
    Setup,
    Written,
    decode_request,
    decode_setup,
    frame,
    payload_length,
)

_PR_SET_PDEATHSIG: Final = 1  # of linux/prctl.h


def main() -> None:
    """Serve requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever we work for decides when to stop
    _end_with_parent()
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not speak into the replies
    first = _read(requests)
    if first is None:
        return
    setup = decode_setup(first)
    try:
        while (request := _read(requests)) is not None:
            replies.write(frame(_serve(setup, decode_request(request))))
            replies.flush()
    except OSError:
        os._exit(1)  # nobody is there to listen, and flushing at the exit would fail again


def _end_with_parent() -> None:
    """Let the system kill us when our parent ends, even in the middle of a batch, or stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _serve(setup: Setup, request: Request) -> Reply:
    try:
        from synexs_async.storage import batch  # torch, which takes seconds

        if os.getppid() != setup.parent:
            os._exit(1)  # orphaned: another process may have taken over the folder
        if isinstance(request, BatchCheck):
            return Checked(batch.check_batches(request.rows, setup))
        return Written(batch.write_batches(request, setup), batch.cuda_is_available())
    except OSError as error:
        name = None if error.filename is None else os.fsencode(error.filename)
        return Refused(error.errno or 0, error.strerror or str(error), name)
    except Exception:
        return Broken(traceback.format_exc())


def _read(stream: BinaryIO) -> bytes | None:
    """Read a frame; None where there is no whole one any more."""
    header = stream.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    payload = stream.read(payload_length(header))
    return payload if len(payload) == payload_length(header) else None


if __name__ == "__main__":
    main()
