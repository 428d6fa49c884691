"""Signals: the first asks for an orderly stop, each later one gives up waiting for it.

Only the command line turns this on; a library has no business with its host's signals.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def watch_signals(stop: Callable[[int], None], give_up: Callable[[], None]) -> Iterator[None]:
    """Call `stop` with the number of the first signal, then `give_up` at each later one.

    Both are called on the event loop that runs. A SIGHUP that was ignored from the start, as under
    `nohup`, stays so.

    The handlers stay behind the block, and do nothing: there the exit code is known, and one more
    Ctrl-C would be raised in the middle of the loop's end. That is also why these are not the
    loop's own handlers (`anyio.open_signal_receiver`), which it takes away before it ends.
    """
    loop = asyncio.get_running_loop()
    is_first, is_over = True, False

    def take(number: int, _: FrameType | None) -> None:
        if not is_over:
            loop.call_soon_threadsafe(tell, number)

    def tell(number: int) -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            stop(number)
        else:
            give_up()

    wanted = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        wanted.append(hangup)
    for number in wanted:
        signal.signal(number, take)
    try:
        yield
    finally:
        is_over = True
