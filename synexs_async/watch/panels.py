"""The parts of a run's page, each a widget that draws one thing anew when it has changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from synexs_async.errors import FolderError
from synexs_async.monitoring.log import LogLine, follow_log
from synexs_async.monitoring.state import MonitoredStatus, RunState
from synexs_async.storage.progress import Progress
from synexs_async.watch.drawing import (
    Part,
    bar,
    duration,
    in_columns,
    line,
    mean_slopes,
    memory,
    per_second,
    percent,
    sparkline,
    stacked_bar,
)
from synexs_async.watch.reading import Detail

ROWS_OF_RATE: Final = (2, 5)  # at least, at most

STATUSES: Final[dict[MonitoredStatus, Part]] = {
    "waiting": ("○", "$warning"),
    "running": ("▶", "$secondary"),
    "completed": ("✓", "$success"),
    "interrupted": ("■", "$warning"),
    "failed": ("✗", "$error"),
    "lost": ("?", "$error"),
}
_ADVICE: Final[dict[MonitoredStatus, str]] = {
    "waiting": "it has not told anything yet",
    "interrupted": "the same command goes on from here",
    "failed": "the log says why; the same command goes on from here",
    "lost": "nothing was heard since {told}; the same command goes on from here",
}
_OUTCOMES: Final = (  # name, the sign of its part of a bar, style
    ("success", "█", "$success"),
    ("failure", "▓", "$warning"),
    ("aborted", "▒", "$secondary"),
    ("error", "░", "$error"),
)
_LEVELS: Final = {"WARNING": "$warning", "ERROR": "$error", "CRITICAL": "$error"}
_WARNINGS: Final = 5
_LABEL: Final = "bold"
_QUIET: Final = "dim"
_CURVE: Final = "$secondary"
_SHORTEST_BAR: Final = 8
_FEWEST_SAMPLES: Final = 3  # that make a curve
_ROOM_FOR_A_LINE: Final = 50


class Panel(Widget):
    """Draws lines of what it is shown, as wide as it is.

    Attributes:
        height: how many lines that is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._detail: Detail | None = None
        self._facts: object = None
        self._lines: list[Content] = []
        self._width = 0
        self.height = 0

    def facts(self, detail: Detail) -> object:
        """Return what the panel draws; it is drawn anew when this has changed."""
        raise NotImplementedError

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """Draw it; the number of lines is the same for each width."""
        raise NotImplementedError

    def show(self, detail: Detail) -> None:
        """Show this from now on."""
        facts = self.facts(detail)
        if facts != self._facts:
            self._detail, self._facts = detail, facts
            self.draw()

    def hide(self) -> None:
        """Show nothing."""
        self._detail = self._facts = None
        self.draw()

    def draw(self) -> None:
        """Draw it anew."""
        self._width = self.size.width
        self._lines = list(self.lines(self._detail, self._width)) if self._detail else []
        self.display = bool(self._lines)
        self.refresh(layout=len(self._lines) != self.height)
        self.height = len(self._lines)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Say how high it is."""
        return self.height

    def render(self) -> Content:
        """Give all lines, for the width that it has now."""
        if self.size.width != self._width:
            self.draw()
        return Content("\n").join(self._lines)


class Head(Panel):
    """What run it is, how it stands, and how far it got."""

    def facts(self, detail: Detail) -> object:
        """See `Panel`."""
        return detail.state, detail.started

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """See `Panel`."""
        state, identity = detail.state, detail.state.identity
        sign, style = STATUSES[state.status]
        yield line((state.name, _LABEL), width=width, right=[(f"{sign} {state.status}", style)])
        kind = f"{identity.mission} v{identity.mission_version} · seed {identity.seed}"
        started = f" · started {_moment(detail.started)}" if detail.started else ""
        yield line((kind + started, _QUIET), width=width)
        if state.progress is not None:
            yield from _progress(state, state.progress, style, width)
        if advice := _ADVICE.get(state.status):
            yield line((advice.format(told=_moment(state.told)), style), width=width)


class Outcomes(Panel):
    """How many missions came out how, in all and by group."""

    def facts(self, detail: Detail) -> object:
        """See `Panel`."""
        progress = detail.state.progress
        return progress and (progress.group_by, progress.stats, progress.groups)

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """See `Panel`."""
        progress = detail.state.progress
        if progress is None:
            return
        field = progress.group_by.rpartition(".")[2]
        title = f"By {field}" if field else "Outcomes"
        rows = [("all", progress.stats)]  # a group may bear this name too
        rows += [(name or "(none)", counts) for name, counts in progress.groups.items()]
        longest = max(len(title), *(len(name) for name, _ in rows))
        names = min(longest, max(width // 4, len("Outcomes")))
        missions = max(len("missions"), len(f"{progress.mission_current:,}")) + 1
        column = len("  █ success")
        bars = width - names - missions - column * len(_OUTCOMES) - len("  ")
        if bars < _SHORTEST_BAR:
            column, bars = len(" success"), 0

        head = [(line(title, width=names, pad=True).plain, _LABEL)]
        head.append(("missions".rjust(missions), _QUIET))
        for name, sign, style in _OUTCOMES:
            head.append(((f"{sign} {name}" if bars else name).rjust(column), style))
        yield line(*head, width=width)
        for name, counts in rows:
            numbers = msgspec.structs.astuple(counts)
            total = sum(numbers)
            row: list[str | Part] = [line(name, width=names, pad=True).plain]
            row.append((f"{total:,}".rjust(missions), _QUIET))
            row += [
                (percent(number, total).rjust(column), "" if number else _QUIET)
                for number in numbers
            ]
            if bars:
                pieces = stacked_bar(numbers, [sign for _, sign, _ in _OUTCOMES], bars)
                styles = [style for *_, style in _OUTCOMES]
                row += ["  ", *zip(pieces, styles, strict=True)]
            yield line(*row, width=width)


class Rate(Panel):
    """Missions a second over working time, from the run's beginning to now."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = ROWS_OF_RATE[0]

    def make_rows(self, rows: int) -> None:
        """Draw the curve so many lines high."""
        if rows != self.rows:
            self.rows = rows
            self.draw()

    def facts(self, detail: Detail) -> object:
        """See `Panel`."""
        progress = detail.state.progress
        average = progress and progress.rate_missions_per_sec
        return detail.samples[-1:], average, detail.rate, detail.state.status

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """See `Panel`."""
        samples, progress = detail.samples, detail.state.progress
        if progress is None:
            return
        elapsed = [sample.elapsed_seconds for sample in samples]
        columns: list[float] = []
        if len(samples) >= _FEWEST_SAMPLES:
            columns = mean_slopes(elapsed, [sample.missions for sample in samples], max(width, 1))
        told: list[Part] = [("Rate", _LABEL)]
        if detail.state.status == "running" and detail.rate is not None:
            told.append((f"  {per_second(detail.rate)} now", ""))
        if progress.rate_missions_per_sec:
            told.append((f"  {per_second(progress.rate_missions_per_sec)} on average", _QUIET))
        if columns:
            told.append((f"  {per_second(max(columns))} at best", _QUIET))
        yield line(*told, width=width)
        for row in sparkline(columns, self.rows) if columns else ():
            yield line((row, _CURVE), width=width)


class Vitals(Panel):
    """How the process is doing, and what is safe on disk."""

    def facts(self, detail: Detail) -> object:
        """See `Panel`."""
        return detail.state.progress, detail.samples[-1:]

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """See `Panel`."""
        progress, samples = detail.state.progress, detail.samples
        if progress is None:
            return
        lag = [sample.loop_lag_ms for sample in samples]
        size = [float(sample.rss_bytes) for sample in samples]
        checkpoint = f"{progress.checkpoint_missions:,} missions"
        batches = f"{progress.batches_written:,}, {progress.batches_waiting:,} waiting"
        half = max((width - 2) // 2, 1)
        for label, told, values, name, more in (
            ("Loop delay", f"{progress.loop_lag_ms:.1f} ms", lag, "Checkpoint", checkpoint),
            ("Memory", memory(progress.rss_bytes), size, "Batches", batches),
        ):
            curve = ""
            if len(samples) >= _FEWEST_SAMPLES:
                elapsed = [sample.elapsed_seconds for sample in samples]
                (curve,) = sparkline(in_columns(elapsed, values, max(half - 21, 1)))
            yield line(
                (label.ljust(11), _LABEL), f"{told:>9} ", (curve, _CURVE), width=half, pad=True
            ) + line("  ", (name.ljust(11), _LABEL), more, width=width - half)


class Warnings(Panel):
    """The last warnings and errors of the log."""

    def __init__(self) -> None:
        super().__init__()
        self._followed: object = None
        self._last: deque[LogLine] = deque(maxlen=_WARNINGS)

    def facts(self, detail: Detail) -> object:
        """See `Panel`."""
        return detail.state.folder, detail.started

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """See `Panel`."""
        if not self._last:
            yield line(("Warnings", _LABEL), ("  none", _QUIET), width=width)
            return
        yield line(("Last warnings", _LABEL), width=width)
        for entry in self._last:
            first, *others = entry.message.splitlines() or [""]
            told = others[-1] if others and others[-1].strip() else ""
            yield line(
                (f"{entry.timestamp[11:19]} ", _QUIET),
                (f"{entry.level} ", _LEVELS.get(entry.level, "")),
                first,
                (f" · {told}" if told else "", _QUIET),
                width=width,
            )

    def show(self, detail: Detail) -> None:
        """Show those of this run, and follow its log."""
        super().show(detail)
        run = (detail.state.folder, detail.started)
        if run != self._followed:
            self._followed = run
            self._last.clear()
            self.run_worker(self._follow(detail.state.folder), exclusive=True)

    async def _follow(self, folder: Path) -> None:
        lines = follow_log(folder, last=_WARNINGS, level="WARNING", keep=True)
        try:
            async with aclosing(lines):
                async for entry in lines:
                    self._last.append(entry)
                    self.draw()
        except FolderError:
            pass  # the run was removed; the list of runs will say so


def summary(state: RunState, width: int) -> Content:
    """Tell how a run stands in the list of runs: in one line, or in two narrow ones."""
    sign, style = STATUSES[state.status]
    progress = state.progress
    told: list[str] = [state.status]
    if state.status == "running" and progress is not None:
        told.append(per_second(progress.rate_missions_per_sec))
        told.append(f"{duration(progress.eta_seconds)} left")
    share = [(f"{int(progress.progress_percent):3}%", _LABEL)] if progress is not None else []
    head: list[str | Part] = [(f"{sign} ", style), state.name]
    about = " · ".join(told)
    if width >= _ROOM_FOR_A_LINE:
        return line(*head, width=width, right=[(f"{about}  ", _QUIET), *share])
    under = line((f"  {about}", _QUIET), width=width)
    return Content("\n").join([line(*head, width=width, right=share), under])


def _progress(state: RunState, progress: Progress, style: str, width: int) -> Iterator[Content]:
    current, total = progress.mission_current, progress.mission_total
    share = current / total if total else 1.0
    told = f"{int(10 * progress.progress_percent) / 10:.1f}%"  # 100 at the end alone
    room = max(width - len(told) - 2, 1)
    yield line(*bar(share, room, style), ("  " + told, _LABEL), width=width)
    facts: list[str | Part] = [
        (f"{current:,}", _LABEL),
        f" of {total:,} missions",
        (f" · {duration(progress.elapsed_seconds)} of work", _QUIET),
    ]
    left: list[Part] = []
    if state.status == "running" and progress.eta_seconds is not None:
        left = [(duration(progress.eta_seconds), _LABEL), (" left", "")]
    yield line(*facts, width=width, right=left)


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%d %b %H:%M}"


PANELS: Final[Sequence[type[Panel]]] = (Head, Outcomes, Rate, Vitals, Warnings)
