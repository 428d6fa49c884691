"""Calls in threads of a run's own, which are never left behind.

Those of the event loop may be full of the host's work, and ours must not wait for it. A call is
waited for also when asyncio itself cancels the task (`asyncio.timeout`, `asyncio.TaskGroup`, the
end of `asyncio.run`), which no shield of anyio's keeps off: what a call works at may be given away
only when it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Final, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel

# How many calls there are at once is bounded by the tasks that make them.
_UNBOUNDED: Final = 1 << 16

_executor: Final = anyio.lowlevel.RunVar[ThreadPoolExecutor]("synexs_executor")  # one a loop

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


async def run_in_thread(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Call a function in a thread, and wait until it has ended, whatever is cancelled meanwhile."""
    await anyio.lowlevel.checkpoint_if_cancelled()
    try:
        executor = _executor.get()
    except LookupError:
        executor = ThreadPoolExecutor(_UNBOUNDED, "synexs")
        _executor.set(executor)
    call = partial(function, *arguments)
    future = asyncio.wrap_future(executor.submit(copy_context().run, call))
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled from future.exception()
    return future.result()
