"""The team mission, one at a time: the specification that a person can read.

Five roles work through an abstract environment. The scout reports its size to the analyzer, which
weighs defenses and honeypot signals and aborts or gives the executor a go; the executor succeeds
or fails; after a success the exfiltrator and the cleaner finish. All of it is numbers.

`team_block` simulates the same missions a block at a time, and must agree bit for bit. Hence only
additions, multiplications, divisions and comparisons, in the order in which they stand here.
"""

from __future__ import annotations

from enum import IntEnum
from functools import reduce
from operator import add
from typing import Any, Final

import msgspec

from synexs_async.missions.mission import OUTCOME_NAMES, mission_identifiers
from synexs_async.missions.records import (
    Decision,
    Environment,
    Message,
    Metrics,
    MissionRecord,
    Status,
    Topology,
)
from synexs_async.missions.rng import mission_uniforms
from synexs_async.missions.scenario import SIGNALS, Difficulty, Scenario

NAME: Final = "team"
VERSION: Final = 1

ROLES: Final = ("scout", "analyzer", "executor", "exfiltrator", "cleaner")
PROTOCOL: Final = "binary_v2"
BYTES_PER_UNIT: Final = 8  # binary_v2 packs eight characters of JSON into one byte

HOSTS: Final = (3, 19)
SUBNETS: Final = (1, 4)
LATENCY_MS: Final = (5.0, 50.0)
PHASE_SECONDS: Final = ((5.0, 20.0), (2.0, 10.0), (10.0, 30.0), (5.0, 15.0), (3.0, 10.0))

SIGNAL_SCALE: Final = 5.0  # this many signals are a risk of 1
ABORT_ABOVE_RISK: Final = 0.7
PROCEED_ABOVE_PROBABILITY: Final = 0.6

RATIONALES: Final = {
    "abort": "too many honeypot signals",
    "go": "honeypot signals within tolerance",
    "proceed": "success is likely as planned",
    "adapt": "success is doubtful, so the approach is adapted",
}


class Draw(IntEnum):
    """The place of each variate in a mission's stream; where several are drawn, of the first.

    Those that are drawn alike stand side by side, so that a block of missions can be drawn at once.
    """

    DIFFICULTY = 0
    RISK = 1
    SUCCESS_PROBABILITY = 2
    DETECTION = 3
    PHASE = 4  # one for each role
    LATENCY = 9  # one for each message
    SIGNAL_COUNT = 13
    HOSTS = 14
    SUBNETS = 15
    SIGNAL = 16  # one for each signal that there is
    SUCCESS = 23


DRAWS: Final = Draw.SUCCESS + 1


def uniform(low: float, high: float, u: float) -> float:
    """Return the point between `low` and `high` that `u` in [0, 1) stands for."""
    return low + (high - low) * u


def integer(low: int, high: int, u: float) -> int:
    """Return the whole number from `low` to `high`, both included, that `u` stands for."""
    return low + int((high - low + 1) * u)


def mean(values: list[float]) -> float:
    """Return the mean, summed from left to right; 0 of nothing.

    Not with `sum`, which compensates for rounding since Python 3.12.
    """
    return reduce(add, values) / len(values) if values else 0.0


def confidence(facts: int) -> float:
    """Return how sure an agent is that knows so many facts."""
    return min(facts / 10, 1.0)


def information_value(content: dict[str, Any]) -> float:
    """Return what a message is worth to its receiver."""
    return min(len(content) / 10, 1.0)


def facts_in(content: dict[str, Any]) -> int:
    """Count the facts that a message tells: each value one, each item of a list one."""
    return sum(len(value) if isinstance(value, list) else 1 for value in content.values())


def draw_environment(scenario: Scenario, index: int, u: list[float]) -> Environment:
    """Draw what the team of mission `index` meets."""
    name, difficulty = draw_difficulty(scenario, u[Draw.DIFFICULTY])
    signals = list(SIGNALS)
    count = integer(*difficulty.honeypot_signals, u[Draw.SIGNAL_COUNT])
    for place in range(count):  # the first steps of a Fisher-Yates shuffle
        chosen = integer(place, len(SIGNALS) - 1, u[Draw.SIGNAL + place])
        signals[place], signals[chosen] = signals[chosen], signals[place]
    return Environment(
        mission_number=index,
        type=environment_type(name),
        difficulty=name,
        topology=Topology(
            hosts=integer(*HOSTS, u[Draw.HOSTS]), subnets=integer(*SUBNETS, u[Draw.SUBNETS])
        ),
        risk_level=uniform(*difficulty.risk_level, u[Draw.RISK]),
        success_probability=uniform(*difficulty.success_probability, u[Draw.SUCCESS_PROBABILITY]),
        detection_likelihood=uniform(*difficulty.detection_likelihood, u[Draw.DETECTION]),
        honeypot_signals=tuple(signals[:count]),
        defenses=difficulty.defenses,
    )


def environment_type(difficulty: str) -> str:
    """Return what an environment of this difficulty is."""
    return "honeypot" if difficulty == "honeypot" else "network"


def draw_difficulty(scenario: Scenario, u: float) -> tuple[str, Difficulty]:
    """Draw a difficulty by its share."""
    *others, last = scenario.by_name().items()
    upper = 0.0
    for name, difficulty in others:
        upper += difficulty.share
        if u < upper:
            return name, difficulty
    return last


class Team:
    """The five roles at work: a simulated clock, and what they send and decide."""

    def __init__(self, mission_id: str, u: list[float]) -> None:
        self.mission_id = mission_id
        self.clock = 0.0
        self.messages: list[Message] = []
        self.decisions: list[Decision] = []
        self._u = u

    def work(self, role: str) -> None:
        """Let a role's phase pass."""
        phase = ROLES.index(role)
        self.clock += uniform(*PHASE_SECONDS[phase], self._u[Draw.PHASE + phase])

    def send(self, sender: str, receiver: str, message_type: str, content: dict[str, Any]) -> int:
        """Send a message, let it arrive, and return how many facts it told."""
        number = len(self.messages)
        latency = uniform(*LATENCY_MS, self._u[Draw.LATENCY + number])
        message = Message(
            message_id=f"{self.mission_id}-m{number}",
            timestamp=self.clock,
            sender=sender,
            receiver=receiver,
            protocol=PROTOCOL,
            message_type=message_type,
            content=content,
            size_bytes=len(msgspec.json.encode(content)) // BYTES_PER_UNIT,
            latency_ms=latency,
            information_value=information_value(content),
        )
        self.messages.append(message)
        self.clock += latency / 1000
        return facts_in(content)

    def decide(
        self,
        agent: str,
        decision_type: str,
        rationale: str,
        facts: int,
        factors: dict[str, float],
        outcome: Status,
    ) -> None:
        """Write down a decision that rests on so many facts."""
        decision = Decision(
            decision_id=f"{self.mission_id}-d{len(self.decisions)}",
            timestamp=self.clock,
            agent=agent,
            decision_type=decision_type,
            rationale=RATIONALES[rationale],
            confidence=confidence(facts),
            factors=factors,
            outcome=outcome,
        )
        self.decisions.append(decision)


def simulate_mission(scenario: Scenario, seed: int, index: int) -> MissionRecord:
    """Simulate one team mission."""
    identify = mission_identifiers(NAME, VERSION, msgspec.to_builtins(scenario), seed)
    u: list[float] = mission_uniforms(seed, index, 1, DRAWS)[0].tolist()
    environment = draw_environment(scenario, index, u)
    succeeds = u[Draw.SUCCESS] < environment.success_probability
    return record_mission(identify(index), environment, u, succeeds=succeeds)


def record_mission(
    mission_id: str, environment: Environment, u: list[float], *, succeeds: bool
) -> MissionRecord:
    """Let a team play, and write down everything."""
    team = Team(mission_id, u)
    status = play(team, environment, succeeds=succeeds)
    return MissionRecord(
        mission_id=mission_id,
        mission_number=environment.mission_number,
        timestamp=0.0,
        duration=team.clock,
        team_composition=ROLES,
        environment=environment,
        communications=tuple(team.messages),
        decisions=tuple(team.decisions),
        metrics=measure(team),
        status=status,
        training_label=OUTCOME_NAMES.index(status),
    )


def play(team: Team, environment: Environment, *, succeeds: bool) -> Status:
    """Let the team work through the environment."""
    hosts, subnets = environment.topology.hosts, environment.topology.subnets
    signals, defenses = environment.honeypot_signals, environment.defenses
    risk = len(signals) / SIGNAL_SCALE
    aborts = risk > ABORT_ABOVE_RISK
    status: Status = "aborted" if aborts else "success" if succeeds else "failure"

    team.work("scout")
    facts = team.send(
        "scout",
        "analyzer",
        "intel_report",
        {"type": environment.type, "hosts": hosts, "subnets": subnets},
    )

    team.work("analyzer")
    facts += len(defenses) + len(signals)
    factors = {"risk": risk, "signals": float(len(signals)), "defenses": float(len(defenses))}
    if aborts:
        team.decide("analyzer", "abort", "abort", facts, factors, status)
        return status
    team.decide("analyzer", "proceed", "go", facts, factors, status)
    facts = team.send(
        "analyzer",
        "executor",
        "go_decision",
        {
            "risk": risk,
            "confidence": confidence(facts),
            "hosts": hosts,
            "subnets": subnets,
            "defenses": list(defenses),
            "signals": list(signals),
        },
    )

    likely = environment.success_probability > PROCEED_ABOVE_PROBABILITY
    approach = "proceed" if likely else "adapt"
    factors = {
        "risk": environment.risk_level,
        "success_probability": environment.success_probability,
    }
    team.decide("executor", approach, approach, facts + len(factors), factors, status)
    team.work("executor")
    if not succeeds:
        return status

    team.send(
        "executor",
        "exfiltrator",
        "execution_complete",
        {"approach": approach, "hosts": hosts, "subnets": subnets},
    )
    team.work("exfiltrator")
    team.send("exfiltrator", "cleaner", "exfil_complete", {"complete": True, "hosts": hosts})
    team.work("cleaner")
    return status


def measure(team: Team) -> Metrics:
    """Sum a finished mission up."""
    total_bytes = sum(message.size_bytes for message in team.messages)
    mean_information = mean([message.information_value for message in team.messages])
    mean_confidence = mean([decision.confidence for decision in team.decisions])
    overhead = total_bytes / team.clock
    coordination = min(len(team.messages) / 10, 1.0) * mean_information
    return Metrics(
        message_count=len(team.messages),
        decision_count=len(team.decisions),
        total_bytes=total_bytes,
        mean_latency_ms=mean([message.latency_ms for message in team.messages]),
        mean_information_value=mean_information,
        mean_confidence=mean_confidence,
        overhead=overhead,
        coordination=coordination,
        efficiency=(
            0.4 * mean_confidence + 0.3 * coordination + 0.3 * (1.0 - min(overhead / 1000, 1.0))
        ),
    )
