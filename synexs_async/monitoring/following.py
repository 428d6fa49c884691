"""Following a run's folder: look, wait for a change, look again, until the run has ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from synexs_async.errors import FolderError
from synexs_async.monitoring.changes import Changes
from synexs_async.storage.folder import RunFolder, holds_run
from synexs_async.storage.following import Ending

QUIET: Final = 0.1  # seconds without anything new, after which nothing more is under way
_LONGEST_WAIT: Final = 1.0  # seconds: nobody is told of a process that was killed

T = TypeVar("T")


async def follow(
    folder: RunFolder, part: Path, look: Callable[[], Sequence[T] | None], *, keep: bool
) -> AsyncGenerator[T, None]:
    """Give what `look` finds, in a thread, until the run has ended and there is nothing more.

    Args:
        folder: the run's folder; while it holds no run, one is waited for.
        part: the folder in it that is looked at.
        look: returns what is new, not too much of it at once; None where nothing is. When this is
            cancelled it may still be looking, which nobody waits for.
        keep: go on when the run has ended.

    Raises:
        FolderError: the folder is neither a run's nor free to become one's, or can't be read.
    """
    ending: Ending | None = None

    def look_round() -> tuple[Sequence[T] | None, bool]:
        nonlocal ending
        try:
            if ending is None and holds_run(folder):
                ending = Ending(folder)
            found = look()
        except OSError as error:
            raise FolderError(folder.path, f"can't be read: {error.strerror}") from error
        is_over = found is None and not keep and ending is not None and ending.is_reached()
        return found, is_over

    thread = anyio.CapacityLimiter(1)  # the host's own threads stay the host's
    heard = monotonic()
    over_since: float | None = None
    with Changes(folder.path, part) as changes:
        while True:
            began = monotonic()
            found, is_over = await anyio.to_thread.run_sync(
                look_round, abandon_on_cancel=True, limiter=thread
            )
            if found is not None:
                for item in found:
                    yield item
                heard, over_since = monotonic(), None
                continue
            if not is_over:
                over_since = None
            elif over_since is None:
                over_since = monotonic()
            elif began - over_since >= QUIET:
                return
            is_calm = not is_over and began - heard >= QUIET
            await changes.wait(_LONGEST_WAIT if is_calm else QUIET)
