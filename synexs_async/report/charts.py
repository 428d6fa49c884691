"""The charts of a report, each from the figures that it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from synexs_async.report.figures import ENDINGS, Confidence, Distribution, Mix, Moment, Share
from synexs_async.report.svg import (
    BOTTOM,
    TOP,
    Scale,
    across,
    axes,
    chart,
    element,
    path,
    upward,
)
from synexs_async.report.wording import number, percent, plural, short, text

_BAR_WIDTH: Final = 1000
_STRIP: Final = Scale(-4.0, 4.0, 6.0, 154.0)  # standard errors
_WIDEST_BAR: Final = 40.0
_BAND: Final = 1.96
_PAUSE_SECONDS: Final = 2.0

Line = tuple[str, Callable[[Moment], float | None]]  # class, value


def mix_bar(mix: Mix, *, is_expected: bool = False) -> str:
    """Return a bar that is divided as the outcomes are, or as they are expected to be."""
    shares = {
        name: (share.expected if is_expected else share.count / mix.missions) or 0.0
        for name, share in mix.outcomes.items()
    }
    if not is_expected:
        shares["error"] = mix.errors / mix.missions
    parts, start = [], 0.0
    for name, share in shares.items():
        width = share * _BAR_WIDTH
        if width:
            parts.append(
                element("rect", class_=name, x=start, y=0, width=max(width - 2, 0.5), height=10)
            )
        start += width
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {_BAR_WIDTH} 10",
        preserveAspectRatio="none",
        aria_hidden="true",
        class_="bar expected" if is_expected else "bar",
    )


def deviation_strip(share: Share) -> str:
    """Return where a share lies, seen from the expected one; 95 of 100 lie in the shaded part.

    One that should always or never come lies at an end, where it did not.
    """
    middle = 9.0
    start, end = _STRIP(-_BAND), _STRIP(_BAND)
    parts = [
        element("rect", class_="band", x=start, y=1, width=end - start, height=16, rx=3),
        element("line", class_="axis", x1=_STRIP(-4), x2=_STRIP(4), y1=middle, y2=middle),
        element("line", class_="axis", x1=_STRIP(0), x2=_STRIP(0), y1=3, y2=15),
    ]
    far = _STRIP.low if share.expected else _STRIP.high
    deviation = far if share.deviation is None else share.deviation
    place = min(max(deviation, _STRIP.low), _STRIP.high)
    kind = "dot outside" if abs(deviation) > _BAND else "dot"
    parts.append(element("circle", class_=kind, cx=_STRIP(place), cy=middle, r=4.5))
    return element("svg", *parts, viewBox="0 0 160 18", aria_hidden="true", class_="strip")


def histogram(name: str, spread: Distribution) -> str:
    """Return how a number is spread, each bar divided by outcome."""
    edges = spread.edges
    totals = [sum(counts) for counts in zip(*spread.counts.values(), strict=True)]
    is_whole = edges[0] % 1 == edges[1] % 1 == 0.5  # then bins lie around whole numbers
    x = across(edges[0], edges[-1], is_whole=is_whole)
    y = upward(max(totals), is_whole=True)
    bars = []
    for place, total in enumerate(totals):
        if not total:
            continue
        left, right = x(edges[place]), x(edges[place + 1])
        width, below, parts = min(max(right - left - 1, 0.5), _WIDEST_BAR), 0, []
        for ending in ENDINGS:
            count = spread.counts.get(ending, [0] * len(totals))[place]
            if count:
                top = y(below + count)
                parts.append(
                    element(
                        "rect",
                        class_=ending,
                        x=(left + right - width) / 2,
                        y=top,
                        width=width,
                        height=y(below) - top,
                    )
                )
                below += count
        between = f"{number(edges[place])} to {number(edges[place + 1])}"
        hint = element("title", text(f"{between}: {plural(total, 'mission')}"))
        bars.append(element("g", hint, *parts))
    words = (
        f"{name}: half of the missions lie between {number(spread.p25)} and "
        f"{number(spread.p75)} {spread.unit}, the median is {number(spread.median)}"
    )
    ticks = [(tick, short(tick)) for tick in x.ticks(5)]
    return chart(words, axes(x, y, ticks, "missions"), *bars)


def confidence_chart(confidence: Confidence) -> str:
    """Return how often missions succeed, by the confidence of their decisions."""
    x, y = across(0, 1), Scale(0, 1, BOTTOM, TOP)
    largest = max(of.missions for of in confidence.bins)
    parts = [element("path", class_="diagonal", d=path([(x(0), y(0)), (x(1), y(1))]))]
    for of in confidence.bins:
        place = x(of.confidence)
        hint = (
            f"confidence {of.confidence:.2f}: {percent(of.success_share, of.missions)} of "
            f"{plural(of.missions, 'mission')} succeed"
        )
        parts.append(
            element(
                "g",
                element("title", text(hint)),
                element("line", class_="whisker", x1=place, x2=place, y1=y(of.low), y2=y(of.high)),
                element(
                    "circle",
                    class_="success",
                    cx=place,
                    cy=y(of.success_share),
                    r=3 + 6 * (of.missions / largest) ** 0.5,
                ),
            )
        )
    ticks = [(tick, f"{tick:g}") for tick in x.ticks(5)]
    return chart(
        "Share of missions that succeed, by the mean confidence of their decisions",
        axes(x, y, ticks, "share that succeeds"),
        *parts,
    )


def time_chart(words: str, y_title: str, moments: Sequence[Moment], lines: Sequence[Line]) -> str:
    """Return how something went over the run's working time, on a scale that begins at 0."""
    drawn = [
        [(of.elapsed_seconds, value) for of in moments if (value := read(of)) is not None]
        for _, read in lines
    ]
    x = across(moments[0].elapsed_seconds, moments[-1].elapsed_seconds)
    highest = max((value for points in drawn for _, value in points), default=0.0)
    y = upward(highest, is_whole=y_title == "missions")
    parts = [
        element("line", class_="resumed", x1=x(at), x2=x(at), y1=TOP, y2=BOTTOM)
        for at in resumed_at(moments)
    ]
    for (kind, _), points in zip(lines, drawn, strict=True):
        if points:
            places = [(x(at), y(value)) for at, value in points]
            parts.append(element("path", class_=f"line {kind}", d=path(places)))
    unit, seconds = _time_unit(x.high)
    of_unit = Scale(x.low / seconds, x.high / seconds, x.start, x.end)
    ticks = [(tick * seconds, f"{short(tick)} {unit}") for tick in of_unit.ticks(5)]
    return chart(words, axes(x, y, ticks, y_title), *parts)


def resumed_at(moments: Sequence[Moment]) -> list[float]:
    """Return at which working times the run was away in between, as the clock tells."""
    return [
        later.elapsed_seconds
        for earlier, later in pairwise(moments)
        if later.time - earlier.time
        > later.elapsed_seconds - earlier.elapsed_seconds + _PAUSE_SECONDS
    ]


def _time_unit(seconds: float) -> tuple[str, float]:
    if seconds < 180:
        return "s", 1.0
    return ("min", 60.0) if seconds < 10_800 else ("h", 3600.0)
