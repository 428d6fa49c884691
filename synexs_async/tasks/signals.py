"""Signals: the first asks for an orderly stop, each later one gives up waiting for it.

Only the command line turns this on; a library has no business with its host's signals.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio
from anyio.abc import TaskStatus


async def watch_signals(
    stop: Callable[[int], None],
    give_up: Callable[[], None],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Call `stop` with the number of the first signal, then `give_up` at each later one.

    A SIGHUP that was ignored from the start, as under `nohup`, stays so.
    """
    wanted = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        wanted.append(hangup)
    with anyio.open_signal_receiver(*wanted) as signals:
        task_status.started()
        stop(int(await anext(signals)))
        async for _ in signals:
            give_up()
