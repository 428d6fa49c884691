"""A team mission as a person reads it: who does what at which simulated second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from synexs_async.missions.records import Decision, Message, MissionRecord


def tell(record: MissionRecord) -> Iterator[str]:
    """Tell a mission line by line."""
    environment, metrics = record.environment, record.metrics
    signals = ", ".join(environment.honeypot_signals) or "none"
    yield f"mission {record.mission_number}  {record.mission_id}"
    yield (
        f"  environment  {environment.type}, {environment.difficulty}: "
        f"{environment.topology.hosts} hosts, {environment.topology.subnets} subnets"
    )
    yield (
        f"  levels       risk {environment.risk_level:.3f}, "
        f"success probability {environment.success_probability:.3f}, "
        f"detection likelihood {environment.detection_likelihood:.3f}"
    )
    yield f"  signals      {signals}"
    yield f"  defenses     {', '.join(environment.defenses) or 'none'}"
    yield ""
    yield from _course(record)
    yield ""
    yield f"  outcome      {record.status} (label {record.training_label})"
    yield (
        f"  messages     {metrics.message_count}, {metrics.total_bytes} bytes, mean latency "
        f"{metrics.mean_latency_ms:.3f} ms, mean information value "
        f"{metrics.mean_information_value:.3f}"
    )
    yield (
        f"  decisions    {metrics.decision_count}, mean confidence {metrics.mean_confidence:.3f}"
    )
    yield (
        f"  measures     overhead {metrics.overhead:.3f} bytes/s, coordination "
        f"{metrics.coordination:.3f}, efficiency {metrics.efficiency:.3f}"
    )


def _course(record: MissionRecord) -> Iterator[str]:
    """Tell what happens, in its order: each role begins when what it waits for has arrived."""
    worker, began = record.team_composition[0], record.timestamp
    yield _at(began, worker, "begins")
    decisions = list(record.decisions)
    for message in record.communications:
        while decisions and decisions[0].timestamp <= message.timestamp:
            decision = decisions.pop(0)
            yield from _decision(decision)
        yield from _message(message)
        worker, began = message.receiver, message.timestamp + message.latency_ms / 1000
        yield _at(began, worker, "begins")
    for decision in decisions:
        yield from _decision(decision)
    yield _at(record.duration, worker, f"ends, and the mission with it: {record.status}")


def _decision(decision: Decision) -> Iterator[str]:
    yield _at(
        decision.timestamp,
        decision.agent,
        f"decides: {decision.decision_type} (confidence {decision.confidence:.2f})",
    )
    factors = ", ".join(f"{name} {value:.3g}" for name, value in decision.factors.items())
    yield _at(None, "", f"because {decision.rationale} ({factors})")


def _message(message: Message) -> Iterator[str]:
    yield _at(
        message.timestamp,
        message.sender,
        f"sends {message.message_type} to {message.receiver} ({message.size_bytes} bytes, "
        f"{message.latency_ms:.3f} ms, information value {message.information_value:.1f})",
    )
    yield _at(
        None, "", ", ".join(f"{key}: {_value(value)}" for key, value in message.content.items())
    )


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) if value else "none"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _at(second: float | None, role: str, what: str) -> str:
    time = f"{second:9.3f} s" if second is not None else " " * 11
    return f"{time}  {role:<12} {what}".rstrip()
