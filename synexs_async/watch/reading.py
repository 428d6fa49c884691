"""What the live view shows, read from the disk: plain functions, to be called in a thread.

It is read over and over, so only what changed is: a folder is searched for runs every few seconds,
and a series is read again when it has grown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from synexs_async.errors import FolderError
from synexs_async.monitoring.state import RunState, find_runs, rank, read_state
from synexs_async.storage.folder import RunFolder
from synexs_async.storage.progress import Progress
from synexs_async.storage.series import Sample, read_series

_SEARCH_SECONDS: Final = 3.0
_REPORTS: Final = 5  # that the present rate is taken from; they are two seconds apart at most


@dataclass(frozen=True)
class Detail:
    """One run in full.

    Attributes:
        rate: missions a second of late; None before it told of some working time.
    """

    state: RunState
    samples: Sequence[Sample]
    rate: float | None

    @property
    def started(self) -> float:
        """When it began, in seconds since 1970; 0 where it has not told yet."""
        return self.samples[0].time if self.samples else 0.0


@dataclass(frozen=True)
class Page:
    """All that is shown: the runs, and one of them in full; None where there is no run yet."""

    runs: Sequence[RunState]
    detail: Detail | None

    @property
    def folders(self) -> list[Path]:
        """Where the runs lie."""
        return [state.folder for state in self.runs]


class Reader:
    """Reads how the runs below some folders stand."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._runs: list[RunState] = []
        self._searched = 0.0
        self._shown: Path | None = None
        self._signature: object = None
        self._samples: list[Sample] = []
        self._heard: deque[Progress] = deque(maxlen=_REPORTS)
        self._heard_of: object = None

    def read(self, chosen: Path | None) -> Page:
        """Read them all; `chosen` is shown in full.

        Where it is none of them, the one that was shown before is as long as it is at work, then
        the first.
        """
        if not self._runs or monotonic() - self._searched >= _SEARCH_SECONDS:
            found = self._search()
        else:
            found = [state for run in self._runs if (state := _look_again(run))]
        self._runs = sorted(found, key=rank)
        if not self._runs:
            return Page([], None)
        shown = self._choose(chosen)
        self._shown = shown.folder
        return Page(self._runs, self._detail(shown))

    def _choose(self, chosen: Path | None) -> RunState:
        there = {run.folder: run for run in self._runs}
        if chosen in there:
            return there[chosen]
        before = there.get(self._shown) if self._shown else None
        return before if before and before.status == "running" else self._runs[0]

    def _search(self) -> list[RunState]:
        found: dict[Path, RunState] = {}
        for root in self._roots:
            for state in find_runs(root):
                found.setdefault(state.folder.resolve(), state)
        names = [state.name for state in found.values()]
        self._searched = monotonic()
        return [
            state
            if names.count(state.name) == 1
            else msgspec.structs.replace(state, name=str(state.folder))
            for state in found.values()
        ]

    def _detail(self, state: RunState) -> Detail:
        series = RunFolder(state.folder).series
        signature = (series, _signature(series))
        if signature != self._signature:
            self._signature, self._samples = signature, read_series(state.folder)
        return Detail(state, self._samples, self._rate(state))

    def _rate(self, state: RunState) -> float | None:
        progress = state.progress
        session = (state.folder, progress and progress.pid)
        if session != self._heard_of:
            self._heard_of = session
            self._heard.clear()
        if progress is not None and progress not in self._heard:
            self._heard.append(progress)
        if not self._heard:
            return None
        first, last = self._heard[0], self._heard[-1]
        missions = last.mission_current - first.mission_current
        seconds = last.elapsed_seconds - first.elapsed_seconds
        return max(missions, 0) / seconds if seconds > 0 else None


def _look_again(run: RunState) -> RunState | None:
    """Read how a run stands now; None where it is gone."""
    try:
        return read_state(run.folder, run.name)
    except FolderError:
        return None


def _signature(path: Path) -> object:
    """Return what differs once a file was replaced or has grown."""
    try:
        there = path.stat()
    except OSError:
        return None
    return there.st_ino, there.st_size, there.st_mtime_ns
