"""A mission of any kind as one line that people read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from synexs_async.missions.grouping import group_of
from synexs_async.monitoring.asked import decoder_of
from synexs_async.monitoring.terminal import harmless

_TOLD: Final = ("error", "duration", "metrics", "result")
_MAIN_METRICS: Final = ("efficiency", "coordination", "mean_confidence")  # the team mission's
_FEW: Final = 4  # metrics of other kinds
_RESULT_LENGTH: Final = 60  # characters


class MissionLine(NamedTuple):
    """The parts of a line; a status stands apart, as it may be coloured."""

    number: str
    status: str
    rest: str


def mission_teller(group_by: str) -> Callable[[bytes], MissionLine]:
    """Return a function that tells of a mission, given its line of the journal.

    It tells the number, status, group, duration and main metrics, as far as the record has them. A
    mission that raised is told with the exception's type; one without metrics with its result. For
    a line that is no record it raises msgspec.DecodeError.
    """
    # To decode this much takes a third of the whole record's time.
    names = ("mission_number", "status", *_TOLD, group_by.partition(".")[0])
    decode = decoder_of(*names)

    def tell(line: bytes) -> MissionLine:
        record = decode(line)
        number, status = f"{record['mission_number']:>8}", f"{harmless(record['status']):<8}"
        return MissionLine(number, status, harmless("  ".join(_rest(record, group_by)).rstrip()))

    return tell


def _rest(record: Mapping[str, Any], group_by: str) -> Iterator[str]:
    if group_by:
        yield f"{group_of(record, group_by):<8}"
    error, duration, metrics, result = map(record.get, _TOLD)
    if error is not None:
        yield str(error)
    if isinstance(duration, int | float):
        yield f"{duration:8.2f} s"
    if isinstance(metrics, Mapping) and metrics:
        main = [name for name in _MAIN_METRICS if name in metrics]
        for name in main or list(metrics)[:_FEW]:
            yield f"{name} {_number(metrics[name]):<6}"
    elif result is not None:
        text = msgspec.json.encode(result).decode()
        is_long = len(text) > _RESULT_LENGTH
        yield f"result {text[:_RESULT_LENGTH]}{'…' if is_long else ''}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
