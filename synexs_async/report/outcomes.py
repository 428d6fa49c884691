"""The outcome mix, held against the expected one: is a deviation more than chance?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from synexs_async.report.figures import EXPECTABLE, Mix, Share
from synexs_async.storage.progress import OutcomeCounts

Expected = Mapping[str, Mapping[str, float]]

_Z: Final = 1.959963984540054  # 95 of 100 draws from a normal distribution lie within +-z
_TOLERANCE: Final = 1e-6


def check_expected(expected: Expected) -> dict[str, dict[str, float]]:
    """Return what a mission kind expects of its outcomes; ValueError where it can't be meant."""
    checked = {
        str(group): {outcome: float(probability) for outcome, probability in outcomes.items()}
        for group, outcomes in expected.items()
    }
    for group, outcomes in checked.items():
        for outcome, probability in outcomes.items():
            where = f"expected_outcomes: {group!r}, {outcome!r}"
            if outcome not in EXPECTABLE:
                raise ValueError(f"{where}: expected one of {', '.join(EXPECTABLE)}")
            if not 0 <= probability <= 1:
                raise ValueError(f"{where}: expected a probability, not {probability}")
    total = math.fsum(value for outcomes in checked.values() for value in outcomes.values())
    if checked and abs(total - 1) > _TOLERANCE:
        raise ValueError(f"expected_outcomes: expected probabilities that sum to 1, not {total:g}")
    return checked


def mix_of_all(counts: OutcomeCounts, expected: Expected) -> Mix:
    """Return the mix of all missions."""
    together = {
        outcome: _rounded(math.fsum(outcomes.get(outcome, 0.0) for outcomes in expected.values()))
        for outcome in EXPECTABLE
    }
    return _mix(counts, together if expected else {})


def mix_of_groups(groups: Mapping[str, OutcomeCounts], expected: Expected) -> dict[str, Mix]:
    """Return the mix of each group; those come first that are expected."""
    names = [*(name for name in expected if name in groups), *groups]
    mixes = {}
    for name in dict.fromkeys(names):
        outcomes = expected.get(name, {})
        share = math.fsum(outcomes.values())
        given = {
            outcome: _rounded(outcomes.get(outcome, 0.0) / share) for outcome in EXPECTABLE if share
        }
        mixes[name] = _mix(groups[name], given)
    return mixes


def wilson_interval(count: int, missions: int) -> tuple[float, float]:
    """Return between which shares the true one lies, 95 times of 100, by Wilson's score.

    It holds for small numbers, and for shares near 0 and 1, where the plain one does not.
    """
    share, z2 = count / missions, _Z**2 / missions
    centre = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(share * (1 - share) / missions + z2 / (4 * missions))
    return (
        0.0 if not count else max(centre - half, 0.0),
        1.0 if count == missions else min(centre + half, 1.0),
    )


def _rounded(probability: float) -> float:
    """Return a sum of probabilities without what rounding has added to it."""
    return min(round(probability, 12), 1.0)


def _mix(counts: OutcomeCounts, expected: Mapping[str, float]) -> Mix:
    ended = counts.by_outcome()
    errors = ended.pop("error")
    missions = sum(ended.values())
    shares = {name: _share(count, missions, expected.get(name)) for name, count in ended.items()}
    return Mix(missions + errors, errors, shares)


def _share(count: int, missions: int, expected: float | None) -> Share:
    if not missions:
        return Share(count, None, None, None, expected, None, None)
    low, high = wilson_interval(count, missions)
    share = count / missions
    if expected is None:
        return Share(count, share, low, high, None, None, None)
    spread = math.sqrt(expected * (1 - expected) / missions)
    deviation = (share - expected) / spread if spread else None
    return Share(count, share, low, high, expected, deviation, low <= expected <= high)
