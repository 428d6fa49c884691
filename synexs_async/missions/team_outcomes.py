"""How the missions of a scenario end: computed from its parameters, not simulated."""

from __future__ import annotations

from synexs_async.missions.scenario import Difficulty, Scenario
from synexs_async.missions.team import ABORT_ABOVE_RISK, SIGNAL_SCALE


def expected_outcomes(scenario: Scenario) -> dict[str, dict[str, float]]:
    """Return the probability that a mission is of a difficulty and ends so, by both.

    All of them sum to 1, and those of a difficulty to its share.
    """
    expected = {}
    for name, difficulty in scenario.by_name().items():
        aborts = _abort_probability(difficulty)
        lowest, highest = difficulty.success_probability
        succeeds = (lowest + highest) / 2  # the mean of what is drawn uniformly between them
        expected[name] = {
            "success": difficulty.share * (1 - aborts) * succeeds,
            "failure": difficulty.share * (1 - aborts) * (1 - succeeds),
            "aborted": difficulty.share * aborts,
        }
    return expected


def _abort_probability(difficulty: Difficulty) -> float:
    """Return how likely the analyzer finds too many signals; each number is as likely."""
    fewest, most = difficulty.honeypot_signals
    counts = range(fewest, most + 1)
    return sum(count / SIGNAL_SCALE > ABORT_ABOVE_RISK for count in counts) / len(counts)
