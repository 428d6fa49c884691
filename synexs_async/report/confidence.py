"""How sure missions were of their decisions, and how they ended."""

from __future__ import annotations

from array import array
from typing import Any, Final

import numpy as np

from synexs_async.report.figures import Confidence, ConfidenceBin
from synexs_async.report.outcomes import wilson_interval

_STEPS: Final = 20  # between 0 and 1


class Confidences:
    """Adds up the mean confidence of each mission's decisions, and whether it succeeded."""

    def __init__(self) -> None:
        self._means = array("d")
        self._successes = array("b")

    def add(self, decisions: Any, *, succeeded: bool) -> None:
        """Take a mission's decisions, if they have a confidence between 0 and 1."""
        if not isinstance(decisions, list):
            return
        stated = [value for decision in decisions if (value := _confidence(decision)) is not None]
        if stated:
            self._means.append(sum(stated) / len(stated))
            self._successes.append(succeeded)

    def figures(self) -> Confidence | None:
        """Return how often missions succeed, by confidence; None where none is recorded."""
        if not self._means:
            return None
        means, successes = np.array(self._means), np.array(self._successes)
        places = np.rint(means * _STEPS).astype(np.int64)
        missions = np.bincount(places, minlength=_STEPS + 1).tolist()
        succeeded = np.bincount(places, successes, minlength=_STEPS + 1).astype(np.int64).tolist()
        bins = [
            ConfidenceBin(place / _STEPS, of, good / of, *wilson_interval(good, of))
            for place, (of, good) in enumerate(zip(missions, succeeded, strict=True))
            if of
        ]
        correlation = None
        if np.ptp(means) > 1e-9 and np.ptp(successes):
            correlation = float(np.corrcoef(means, successes)[0, 1])
        return Confidence(len(means), 1 / _STEPS, correlation, bins)


def _confidence(decision: Any) -> float | None:
    """Return the confidence that a decision states, itself or in its content."""
    if not isinstance(decision, dict):
        return None
    value = decision.get("confidence")
    if value is None and isinstance(content := decision.get("content"), dict):
        value = content.get("confidence")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 1 else None
