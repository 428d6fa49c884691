"""Records of the team mission: one line of the journal each, keys in this order.

The structs are not tracked by Python's garbage collector (`gc=False`): they can hold no cycle, and
a full collection over millions of them is what stalls an event loop. Times are simulated seconds
from the mission's start, latencies milliseconds.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

Status = Literal["success", "failure", "aborted"]


class Topology(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The size of the environment."""

    hosts: int
    subnets: int


class Environment(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What the team meets; levels, probabilities and likelihoods lie between 0 and 1."""

    mission_number: int
    type: str
    difficulty: str
    topology: Topology
    risk_level: float
    success_probability: float
    detection_likelihood: float
    honeypot_signals: tuple[str, ...]
    defenses: tuple[str, ...]


class Message(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One message between two roles. `size_bytes` is its size under `protocol`."""

    message_id: str
    timestamp: float
    sender: str
    receiver: str
    protocol: str
    message_type: str
    content: dict[str, Any]
    size_bytes: int
    latency_ms: float
    information_value: float


class Decision(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One decision of a role, and what became of the mission."""

    decision_id: str
    timestamp: float
    agent: str
    decision_type: str
    rationale: str
    confidence: float
    factors: dict[str, float]
    outcome: Status


class Metrics(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Sums and means over one mission; `overhead` is bytes per simulated second."""

    message_count: int
    decision_count: int
    total_bytes: int
    mean_latency_ms: float
    mean_information_value: float
    mean_confidence: float
    overhead: float
    coordination: float
    efficiency: float


class MissionRecord(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Everything that one team mission produced."""

    mission_id: str
    mission_number: int
    timestamp: float
    duration: float
    team_composition: tuple[str, ...]
    environment: Environment
    communications: tuple[Message, ...]
    decisions: tuple[Decision, ...]
    metrics: Metrics
    status: Status
    training_label: int


class ErrorRecord(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A mission whose own code raised `error` (the exception's type), where a run goes on."""

    mission_id: str
    mission_number: int
    error: str
    status: Literal["error"] = "error"
    training_label: None = None
