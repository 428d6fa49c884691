"""A mission of any kind as one line that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from synexs_async.missions.grouping import group_of

_MAIN_METRICS: Final = ("efficiency", "coordination", "mean_confidence")  # the team mission's
_SHOWN: Final = 4  # metrics of other kinds
_RESULT_LENGTH: Final = 60  # characters


class MissionLine(NamedTuple):
    """The parts of a line; a status stands apart, as it may be coloured."""

    number: str
    status: str
    rest: str


def mission_line(record: Mapping[str, Any], group_by: str) -> MissionLine:
    """Tell of a record its number, status, group, duration and main metrics, as far as it has them.

    A mission that raised is told with the exception's type; one without metrics with its result.
    """
    return MissionLine(
        f"{record['mission_number']:>8}",
        f"{record['status']:<8}",
        "  ".join(_rest(record, group_by)).rstrip(),
    )


def _rest(record: Mapping[str, Any], group_by: str) -> Iterator[str]:
    if group_by:
        yield f"{group_of(record, group_by):<8}"
    if "error" in record:
        yield str(record["error"])
    duration = record.get("duration")
    if isinstance(duration, int | float):
        yield f"{duration:8.2f} s"
    metrics = record.get("metrics")
    if isinstance(metrics, Mapping) and metrics:
        main = [name for name in _MAIN_METRICS if name in metrics]
        for name in main or list(metrics)[:_SHOWN]:
            yield f"{name} {_number(metrics[name]):<6}"
    elif record.get("result") is not None:
        result = msgspec.json.encode(record["result"]).decode()
        is_long = len(result) > _RESULT_LENGTH
        yield f"result {result[:_RESULT_LENGTH]}{'…' if is_long else ''}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
