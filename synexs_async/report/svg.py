"""The little of SVG that the charts need: elements, scales, axes.

Colours and strokes are the style sheet's (`page.css`): elements bear classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from synexs_async.report.distributions import round_step
from synexs_async.report.wording import short, text

WIDTH: Final = 340
HEIGHT: Final = 192
LEFT, RIGHT, TOP, BOTTOM = 40.0, 324.0, 24.0, 172.0  # of the area that data is drawn in


@dataclass(frozen=True, slots=True)
class Scale:
    """Brings values between `low` and `high` to between `start` and `end`, in pixels.

    Where they are whole numbers, so are the ticks.
    """

    low: float
    high: float
    start: float
    end: float
    is_whole: bool = False

    def __call__(self, value: float) -> float:
        """Return where a value lies."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Return round numbers within the scale."""
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        step = self._step(span / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{step * place:.12g}") for place in range(first, last + 1)]

    def _step(self, least: float) -> float:
        return math.ceil(round_step(least)) if self.is_whole else round_step(least)


def across(low: float, high: float, *, is_whole: bool = False) -> Scale:
    """Return the scale of the x axis."""
    return Scale(low, high, LEFT, RIGHT, is_whole)


def upward(high: float, *, is_whole: bool = False) -> Scale:
    """Return the scale of the y axis, from 0 to a round number from `high` on."""
    step = round_step(high / 4) if high > 0 else 0.25
    if is_whole:
        step = math.ceil(step)
    return Scale(0.0, max(math.ceil(high / step - 1e-9), 1) * step, BOTTOM, TOP, is_whole)


def element(name: str, *children: str, **attributes: str | float) -> str:
    """Return an element; children are markup, and `_` in names of attributes stands for `-`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def chart(title: str, *children: str) -> str:
    """Return a picture that says to those who can't see it what it shows."""
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=title,
    )


def axes(x: Scale, y: Scale, x_labels: Sequence[tuple[float, str]], y_title: str) -> str:
    """Return lines at round heights, and what stands below, beside and above the data."""
    parts = [label(0, 11, y_title, anchor="start")]
    for tick in y.ticks(4):
        height = y(tick)
        parts.append(element("line", class_="grid", x1=LEFT, x2=RIGHT, y1=height, y2=height))
        parts.append(label(LEFT - 6, height + 4, short(tick), anchor="end"))
    for value, words in x_labels:
        parts.append(label(x(value), BOTTOM + 14, words))
    parts.append(element("line", class_="axis", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM))
    return "".join(parts)


def label(x: float, y: float, words: str, *, anchor: str = "middle") -> str:
    """Return words in a chart."""
    return element("text", text(words), class_="label", x=x, y=y, text_anchor=anchor)


def path(points: Sequence[tuple[float, float]]) -> str:
    """Return the `d` of a line through points."""
    return "M" + "L".join(f"{_value(x)} {_value(y)}" for x, y in points)


def _value(value: str | float) -> str:
    return text(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
