"""The ends of the runs' logs, each read once for all pages that show it."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Final

import anyio

from synexs_async.monitoring.log_end import LogEnd

_REMEMBERED: Final = 64  # each holds its files open


class Logs:
    """The logs of the runs that were asked for lately, by the runs' ids."""

    def __init__(self) -> None:
        self._logs: OrderedDict[str, SharedLog] = OrderedDict()

    def of(self, run_id: str, folder: Path) -> SharedLog:
        """Return a run's."""
        log = self._logs.get(run_id) or self._logs.setdefault(run_id, SharedLog(folder))
        self._logs.move_to_end(run_id)
        if len(self._logs) > _REMEMBERED:
            self._logs.popitem(last=False)
        return log

    def forget(self, run_id: str) -> None:
        """Keep nothing of a run that is gone; who reads its log just now may do so."""
        self._logs.pop(run_id, None)


class SharedLog:
    """The end of a log, and the lock under which it is read."""

    def __init__(self, folder: Path) -> None:
        self.end = LogEnd(folder)
        self.lock = anyio.Lock()
