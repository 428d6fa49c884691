"""The parts of a run's page, each a widget that draws one thing anew when it has changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import ClassVar, Final

import msgspec
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from synexs_async.monitoring.state import MonitoredStatus, RunState
from synexs_async.storage.progress import OutcomeCounts, Progress
from synexs_async.storage.series import rates
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
from synexs_async.watch.reading import WARNINGS, Detail

ROWS_OF_RATE: Final = (2, 8)  # at least, at most

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
_LABEL: Final = "bold"
_QUIET: Final = "dim"
_CURVE: Final = "$secondary"
_SHORTEST_BAR: Final = 8
_ROOM_FOR_A_LINE: Final = 50


class Panel(Widget):
    """Draws lines of what it is shown, as wide as it is."""

    def __init__(self) -> None:
        super().__init__()
        self._detail: Detail | None = None
        self._facts: object = None
        self._height = 0

    def facts(self, detail: Detail) -> object:
        """Return what the panel draws; it is drawn anew when this has changed."""
        raise NotImplementedError

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """Draw it."""
        raise NotImplementedError

    @property
    def height(self) -> int:
        """The number of lines."""
        return self._height

    def show(self, detail: Detail) -> None:
        """Show this from now on."""
        facts = self.facts(detail)
        if facts == self._facts:
            return
        self._detail, self._facts = detail, facts
        self.draw()

    def draw(self) -> None:
        """Draw it anew."""
        height = len(list(self.lines(self._detail, self.size.width))) if self._detail else 0
        self.display = height > 0
        self.refresh(layout=height != self._height)
        self._height = height

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Say how high it is."""
        return self._height

    def render(self) -> Content:
        """Draw all lines."""
        if self._detail is None:
            return Content()
        return Content("\n").join(self.lines(self._detail, self.size.width))


class Head(Panel):
    """What run it is, how it stands, and how far it got."""

    def facts(self, detail: Detail) -> object:
        """See `Panel`."""
        return detail.state

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """See `Panel`."""
        state, identity = detail.state, detail.state.identity
        sign, style = STATUSES[state.status]
        yield line((state.name, _LABEL), width=width, right=[(f"{sign} {state.status}", style)])
        kind = f"{identity.mission} v{identity.mission_version} · seed {identity.seed}"
        about = [kind, *(f"started {_moment(sample.time)}" for sample in detail.samples[:1])]
        yield line((" · ".join(about), _QUIET), width=width)
        if state.progress is not None:
            yield from _progress(state, state.progress, style, width)
        if advice := _ADVICE.get(state.status):
            yield line((advice.format(told=_moment(state.told)), style), width=width)


class Outcomes(Panel):
    """How many missions came out how, in all and by group."""

    def facts(self, detail: Detail) -> object:
        """See `Panel`."""
        progress = detail.state.progress
        return progress and (progress.stats, progress.groups)

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """See `Panel`."""
        progress = detail.state.progress
        if progress is None:
            return
        field = progress.group_by.rpartition(".")[2]
        title = f"By {field}" if field else "Outcomes"
        rows = {"all": progress.stats}
        rows |= {name or "(none)": counts for name, counts in progress.groups.items()}
        names = min(max(map(len, (title, *rows))), max(width // 4, len("Outcomes")))
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
        for name, counts in rows.items():
            numbers = msgspec.structs.astuple(counts)
            total = sum(numbers)
            row: list[str | Part] = [line(name, width=names, pad=True).plain]
            row.append((f"{total:,}".rjust(missions), _QUIET))
            for number in numbers:
                row.append((percent(number, total).rjust(column), "" if number else _QUIET))
            pieces = stacked_bar(numbers, [sign for _, sign, _ in _OUTCOMES], bars)
            row.append("  " if bars else "")
            row += [(piece, style) for piece, (*_, style) in zip(pieces, _OUTCOMES, strict=True)]
            yield line(*row, width=width)


class Rate(Panel):
    """Missions a second over working time, from the run's beginning to now."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = ROWS_OF_RATE[0]

    def make_rows(self, rows: int) -> None:
        """Draw the curve so many lines high."""
        if rows != self._rows:
            self._rows = rows
            self.draw()

    def facts(self, detail: Detail) -> object:
        """See `Panel`."""
        progress = detail.state.progress
        return detail.samples[-1:], progress and progress.rate_missions_per_sec, detail.state.status

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """See `Panel`."""
        samples, progress = detail.samples, detail.state.progress
        if progress is None:
            return
        elapsed = [sample.elapsed_seconds for sample in samples]
        columns = mean_slopes(elapsed, [sample.missions for sample in samples], max(width, 1))
        told: list[Part] = [("Rate", _LABEL)]
        if detail.state.status == "running" and len(samples) > 1:
            told.append((f"  {per_second(rates(samples[-2:])[0])} now", ""))
        if progress.rate_missions_per_sec:
            told.append((f"  {per_second(progress.rate_missions_per_sec)} on average", _QUIET))
        if columns:
            told.append((f"  {per_second(max(columns))} at most", _QUIET))
        yield line(*told, width=width)
        for row in sparkline(columns, self._rows) if columns else ():
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
        half = max((width - 2) // 2, 1)
        elapsed = [sample.elapsed_seconds for sample in samples]
        for label, told, values, name, more in (
            (
                "Loop delay",
                f"{progress.loop_lag_ms:.1f} ms",
                [sample.loop_lag_ms for sample in samples],
                "Checkpoint",
                f"{progress.checkpoint_missions:,} missions",
            ),
            (
                "Memory",
                memory(progress.rss_bytes),
                [float(sample.rss_bytes) for sample in samples],
                "Batches",
                f"{progress.batches_written:,}, {progress.batches_waiting:,} waiting",
            ),
        ):
            head = f"{told:>9} "
            columns = in_columns(elapsed, values, max(half - 11 - len(head), 1))
            left = line(
                (label.ljust(11), _LABEL), head, (*sparkline(columns), _CURVE), width=half
            )
            right = line((name.ljust(11), _LABEL), more, width=half)
            yield left.truncate(half, pad=True) + "  " + right


class Warnings(Panel):
    """The last warnings and errors of the log."""

    def facts(self, detail: Detail) -> object:
        """See `Panel`."""
        return detail.state.folder, detail.warnings

    def lines(self, detail: Detail, width: int) -> Iterator[Content]:
        """See `Panel`."""
        if not detail.warnings:
            yield line(("Warnings", _LABEL), ("  none", _QUIET), width=width)
            return
        yield line(("Warnings", _LABEL), ("  l shows the log", _QUIET), width=width)
        for entry in detail.warnings[-WARNINGS:]:
            first, *others = entry.message.splitlines() or [""]
            told = others[-1] if others and others[-1].strip() else ""
            yield line(
                (f"{entry.timestamp[11:19]} ", _QUIET),
                (f"{entry.level} ", _LEVELS.get(entry.level, "")),
                first,
                (f" · {told}" if told else "", _QUIET),
                width=width,
            )


def summary(state: RunState, width: int) -> Content:
    """Tell how a run stands in the list of runs: in one line, or in two narrow ones."""
    sign, style = STATUSES[state.status]
    progress = state.progress
    told = [state.status]
    if state.status == "running" and progress is not None:
        told.append(per_second(progress.rate_missions_per_sec))
        told.append(f"{duration(progress.eta_seconds)} left")
    share = [(f"{progress.progress_percent:3.0f}%", _LABEL)] if progress is not None else []
    head: list[str | Part] = [(f"{sign} ", style), state.name]
    about = " · ".join(told)
    if width >= _ROOM_FOR_A_LINE:
        return line(*head, width=width, right=[(f"{about}  ", _QUIET), *share])
    under = line((f"  {about}", _QUIET), width=width)
    return Content("\n").join([line(*head, width=width, right=share), under])


def _progress(state: RunState, progress: Progress, style: str, width: int) -> Iterator[Content]:
    current, total = progress.mission_current, progress.mission_total
    share = current / total if total else 1.0
    told = f"{progress.progress_percent:.1f}%"
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
