"""The columns of the team mission's training features, and how a record fills them.

A mission is a table of rows: message k and decision k stand in row k, what is known of the whole
mission stands in every row. Only the first rows differ; see `Block.features`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from synexs_async.missions.records import MissionRecord

DECISION_TYPES: Final = ("proceed", "abort", "wait", "adapt")
FEATURE_NAMES: Final = (
    "message_size",
    "message_latency",
    "message_information_value",
    "message_protocol",
    *(f"decision_{name}" for name in DECISION_TYPES),
    "decision_confidence",
    "decision_risk",
    "risk_level",
    "success_probability",
    "detection_likelihood",
    "honeypot_signals",
    "defenses",
    "duration",
    "message_count",
    "decision_count",
    "mean_latency_ms",
    "overhead",
    "efficiency",
    "coordination",
    "mean_confidence",
    "mean_information_value",
)
COLUMN: Final = {name: column for column, name in enumerate(FEATURE_NAMES)}
WHOLE_MISSION: Final = FEATURE_NAMES[COLUMN["risk_level"] :]
MAX_MESSAGES: Final = 4
FEATURE_ROWS: Final = MAX_MESSAGES + 1  # the last one holds only what is known of the whole mission

SIZE_SCALE: Final = 1000
LATENCY_SCALE: Final = 100
SIGNAL_SCALE: Final = 10
DEFENSE_SCALE: Final = 5


def features_of(record: MissionRecord) -> npt.NDArray[np.float32]:
    """Return a record's features: float32 [FEATURE_ROWS, 24]."""
    environment, metrics = record.environment, record.metrics
    rows = np.zeros((FEATURE_ROWS, len(FEATURE_NAMES)), np.float32)
    for row, message in zip(rows, record.communications, strict=False):
        row[:4] = (
            message.size_bytes / SIZE_SCALE,
            message.latency_ms / LATENCY_SCALE,
            message.information_value,
            1.0,
        )
    for row, decision in zip(rows, record.decisions, strict=False):
        row[COLUMN[f"decision_{decision.decision_type}"]] = 1.0
        row[COLUMN["decision_confidence"]] = decision.confidence
        row[COLUMN["decision_risk"]] = decision.factors["risk"]
    rows[:, COLUMN["risk_level"] :] = (
        environment.risk_level,
        environment.success_probability,
        environment.detection_likelihood,
        len(environment.honeypot_signals) / SIGNAL_SCALE,
        len(environment.defenses) / DEFENSE_SCALE,
        record.duration,
        metrics.message_count,
        metrics.decision_count,
        metrics.mean_latency_ms,
        metrics.overhead,
        metrics.efficiency,
        metrics.coordination,
        metrics.mean_confidence,
        metrics.mean_information_value,
    )
    return rows
