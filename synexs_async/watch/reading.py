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
from synexs_async.monitoring.state import RunState, find_runs, read_state, standing_order
from synexs_async.storage.folder import RunFolder
from synexs_async.storage.progress import Progress
from synexs_async.storage.series import Sample, read_series

_SEARCH_SECONDS: Final = 3.0
_READS_OF_RATE: Final = 8


@dataclass(frozen=True)
class Detail:
    """One run in full; `rate` is that of the last seconds, in missions a second."""

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
        self._shown: Path | None = None
        self._told: deque[tuple[float, int]] = deque(maxlen=_READS_OF_RATE)
        self._searched = 0.0
        self._signature: object = None
        self._samples: list[Sample] = []

    def read(self, chosen: Path | None) -> Page:
        """Read them all, and `chosen` in full.

        Where that is none of them, the one that was shown before, as long as it is at work; then
        the first at work.
        """
        if not self._runs or monotonic() - self._searched >= _SEARCH_SECONDS:
            self._search()
        else:
            self._runs = [state for run in self._runs if (state := _look_again(run))]
        if not self._runs:
            return Page([], None)
        at_work = [run for run in self._runs if run.status == "running"]
        before = [run for run in at_work if run.folder == self._shown]
        asked = [run for run in self._runs if run.folder == chosen]
        return Page(self._runs, self._detail([*asked, *before, *at_work, *self._runs][0]))

    def _search(self) -> None:
        found: dict[Path, RunState] = {}
        for root in self._roots:
            for state in find_runs(root):
                found.setdefault(state.folder.resolve(), state)
        names = [state.name for state in found.values()]
        self._runs = [
            state
            if names.count(state.name) == 1
            else msgspec.structs.replace(state, name=str(state.folder))
            for state in sorted(found.values(), key=standing_order)
        ]
        self._searched = monotonic()

    def _detail(self, state: RunState) -> Detail:
        if state.folder != self._shown:
            self._shown = state.folder
            self._told.clear()
        series = RunFolder(state.folder).series
        signature = (series, _signature(series))
        if signature != self._signature:
            self._signature, self._samples = signature, read_series(state.folder)
        return Detail(state, self._samples, self._rate(state.progress))

    def _rate(self, progress: Progress | None) -> float | None:
        """Return missions a second between the last few times that the run told how it stands."""
        if progress is None:
            return None
        told = (progress.elapsed_seconds, progress.mission_current)
        if self._told and min(told[0] - self._told[-1][0], told[1] - self._told[-1][1]) < 0:
            self._told.clear()  # another run, or another session of this one
        if not self._told or told[0] > self._told[-1][0]:
            self._told.append(told)
        seconds, missions = (now - then for now, then in zip(told, self._told[0], strict=True))
        return missions / seconds if seconds else None


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
