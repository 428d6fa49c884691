"""Figures as text: numbers, durations, bars and sparklines. Nothing here knows of runs or widgets.

What a colour says, a word, a number or the shape of a sign says too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from textual.content import Content

from synexs_async.monitoring.terminal import harmless

Part = tuple[str, str]  # text, style

_LEVELS: Final = " ▁▂▃▄▅▆▇█"


def line(
    *parts: str | Part, width: int, right: Sequence[str | Part] = (), pad: bool = False
) -> Content:
    """Make one line of parts, and of parts at the right edge; what has no room is cut off."""
    start, end = (
        Content.assemble(*((harmless(text), style) for text, style in map(_part, side)))
        for side in (parts, right)
    )
    room = width - end.cell_length - 1
    if end and room > 0:
        return start.truncate(room, ellipsis=True, pad=True) + " " + end
    return start.truncate(width, ellipsis=True, pad=pad)


def bar(share: float, width: int, style: str) -> list[Part]:
    """Draw a share, 0 to 1: only all of it fills the bar, and only nothing leaves it empty."""
    filled = min(max(int(share * width), int(share > 0)), width)
    return [("━" * filled, style), ("─" * (width - filled), "dim")]


def stacked_bar(counts: Sequence[int], signs: Sequence[str], width: int) -> list[str]:
    """Divide a bar among counts, each drawn with its own sign; empty where all are zero.

    A count that is not zero gets one sign at least, where there is room for that.
    """
    total = sum(counts)
    if not total:
        return ["" for _ in counts]
    lengths = [max(int(count * width / total), count > 0) for count in counts]
    largest = max(range(len(counts)), key=counts.__getitem__)
    lengths[largest] = max(lengths[largest] + width - sum(lengths), 0)
    return [sign * length for sign, length in zip(signs, lengths, strict=True)]


def sparkline(values: Sequence[float], height: int = 1) -> list[str]:
    """Draw values as columns over zero, in lines from the top; a value that is not zero is seen.

    The largest leaves an eighth of the top line free, so that it does not touch what is above.
    """
    full = len(_LEVELS) - 1
    largest = max(values, default=0.0)
    scale = (full * height - 1) / largest if largest > 0 else 0.0
    heights = [max(round(value * scale), int(value > 0)) for value in values]
    return [
        "".join(_LEVELS[min(max(column - full * row, 0), full)] for column in heights)
        for row in reversed(range(height))
    ]


def mean_slopes(xs: Sequence[float], ys: Sequence[float], columns: int) -> list[float]:
    """Cut a rising line through points into columns of equal width; return each one's mean slope.

    However the points lie, the columns under the slopes have the height of the line in sum.
    """
    if len(xs) < 2 or xs[-1] <= xs[0]:
        return []
    step = (xs[-1] - xs[0]) / columns
    heights = [_interpolate(xs, ys, xs[0] + step * number) for number in range(columns)] + [ys[-1]]
    return [max(after - before, 0.0) / step for before, after in pairwise(heights)]


def in_columns(xs: Sequence[float], ys: Sequence[float], columns: int) -> list[float]:
    """Return the highest value in each of `columns`; where there is none, the next one stands."""
    if len(xs) < 2 or xs[-1] <= xs[0]:
        return list(ys[-1:])
    step = (xs[-1] - xs[0]) / columns
    ends = [bisect_right(xs, xs[0] + step * (number + 1)) for number in range(columns - 1)]
    borders = [0, *ends, len(xs)]
    return [
        max(ys[start:end]) if start < end else ys[min(start, len(ys) - 1)]
        for start, end in pairwise(borders)
    ]


def percent(part: int, whole: int) -> str:
    """Write a share, with one digit behind the point: 56.5%; none is 0.0%, and few are <0.1%."""
    if not whole:
        return "-"
    return "<0.1%" if 0 < part / whole < 0.0005 else f"{100 * part / whole:.1f}%"


def per_second(rate: float) -> str:
    """Write a rate: 23,120/s, 4.2/s, 0.031/s."""
    if rate >= 100:
        return f"{rate:,.0f}/s"
    return f"{rate:.1f}/s" if rate >= 1 or rate == 0 else f"{rate:.2g}/s"


def duration(seconds: float | None) -> str:
    """Write a duration: 4.2 s, 42 s, 3:07, 2:05:09, 3 d 4 h."""
    if seconds is None:
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if whole < 60:
        return f"{whole} s"
    if hours < 1:
        return f"{minutes}:{rest:02}"
    if hours < 48:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{hours // 24} d {hours % 24} h"


def memory(size: int) -> str:
    """Write an amount of memory: 84 MB, 1.3 GB."""
    return f"{size / 1e6:,.0f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"


def _part(part: str | Part) -> Part:
    return (part, "") if isinstance(part, str) else part


def _interpolate(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    after = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    x0, x1, y0, y1 = xs[after - 1], xs[after], ys[after - 1], ys[after]
    return y0 if x1 <= x0 else y0 + (y1 - y0) * min((x - x0) / (x1 - x0), 1.0)
