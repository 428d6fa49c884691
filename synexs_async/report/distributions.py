"""How numbers are spread over missions: histograms by outcome, and quantiles."""

from __future__ import annotations

import math
from array import array
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from synexs_async.report.figures import ENDINGS, Distribution

Numbers = npt.NDArray[np.float64]

_TINY: Final = 1e-9
_BINS: Final = 36
_LARGEST: Final = 1e150  # the square of which is finite
_FAR: Final = 1.5  # times the middle 98%: values that are further away would flatten all others
_QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


class Values:
    """A number of many missions, and how each of these ended."""

    def __init__(self) -> None:
        self._values = array("d")
        self._endings = array("b")
        self._left_out = 0

    def add(self, value: Any, ending: int) -> None:
        """Take a mission's value, if it is a number; `ending` indexes `ENDINGS`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if -_LARGEST < value < _LARGEST:
            self._values.append(value)
            self._endings.append(ending)
        else:
            self._left_out += 1

    def distribution(self, unit: str) -> Distribution | None:
        """Return how the values are spread; None where there is none."""
        if not self._values:
            return None
        values, endings = np.array(self._values), np.array(self._endings)
        edges = _edges(values)
        bins = np.searchsorted(edges, values, side="right") - 1
        bins[values == edges[-1]] = len(edges) - 2
        inside = (bins >= 0) & (bins < len(edges) - 1)
        counts = {}
        for place, ending in enumerate(ENDINGS):
            of_ending = bins[inside & (endings == place)]
            counts[ending] = np.bincount(of_ending, minlength=len(edges) - 1).tolist()
        minimum, p05, p25, median, p75, p95, maximum = np.quantile(values, _QUANTILES).tolist()
        return Distribution(
            unit=unit,
            missions=len(values),
            mean=float(values.mean()),
            standard_deviation=float(values.std()),
            minimum=minimum,
            p05=p05,
            p25=p25,
            median=median,
            p75=p75,
            p95=p95,
            maximum=maximum,
            edges=edges.tolist(),
            counts={ending: of for ending, of in counts.items() if any(of)},
            below=int((bins < 0).sum()),
            above=int((bins >= len(edges) - 1).sum()),
            left_out=self._left_out,
        )


def round_step(width: float) -> float:
    """Return the least round number (1, 2, 2.5 or 5 times a power of ten) from `width` on."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in _STEPS if step * power >= width * (1 - 1e-9))


def _edges(values: Numbers) -> Numbers:
    """Return the edges of 18 to 36 bins, at round numbers; of whole numbers, between them."""
    lowest, highest = _limits(values)
    has_halves = max(-lowest, highest) < 2**52  # beyond, halves of numbers are rounded away
    is_whole = has_halves and bool((values == np.floor(values)).all())
    width = (highest - lowest) / _BINS
    if width <= max(abs(lowest), abs(highest)) * _TINY:
        margin = 0.5 if is_whole else max(abs(lowest) * 0.05, 0.05)
        return np.array([lowest - margin, highest + margin])
    step = round_step(width)
    if is_whole:
        step = float(math.ceil(step))
        first, behind = math.floor(lowest / step), math.floor(highest / step) + 1
        return np.array([number * step - 0.5 for number in range(first, behind + 1)])
    first, last = math.floor(lowest / step + _TINY), math.ceil(highest / step - _TINY)
    edges = [float(f"{step * number:.12g}") for number in range(first, last + 1)]
    return np.array([min(edges[0], lowest), *edges[1:-1], max(edges[-1], highest)])


def _limits(values: Numbers) -> tuple[float, float]:
    """Return between which values to draw bins: all, but for those far away from most."""
    lowest, p01, p99, highest = np.quantile(values, (0, 0.01, 0.99, 1)).tolist()
    far = _FAR * (p99 - p01)
    if not far:
        return lowest, highest
    return max(lowest, p01 - far), min(highest, p99 + far)
