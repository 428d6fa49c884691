"""What the records of missions say, of any kind: numbers, confidences, groups.

Of kinds of one's own little is known: a record has a number and a status. What else is there is
used where it has the form that the package's own kinds give it, and passed over where not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from synexs_async.missions.grouping import group_of
from synexs_async.report.confidence import Confidences
from synexs_async.report.distributions import Values
from synexs_async.report.figures import ENDINGS, Distribution
from synexs_async.storage.progress import OutcomeCounts

_METRICS: Final = 24
_FIELDS: Final = ("mission_number", "status", "duration", "metrics", "decisions")
_FURTHER: Final = "further"
_UNITS: Final = {"_ms": "ms", "_seconds": "s", "_bytes": "bytes"}
_TEAM_UNITS: Final = {"overhead": "bytes/s"}
_SUCCESS, _OTHER = ENDINGS.index("success"), ENDINGS.index("other")


def record_decoder(group_by: str) -> Callable[[bytes], Any]:
    """Return what reads of a journal line what is used here, and skips all else."""
    fields: list[Any] = [("mission_number", int), ("status", str)]
    fields += [(name, Any, None) for name in _FIELDS[2:]]
    root = group_by.partition(".")[0]
    if root and root not in _FIELDS:
        fields.append((_FURTHER, Any, None))  # a name of its own: not each key is one in Python
    record = msgspec.defstruct("SeenRecord", fields, rename={_FURTHER: root}, gc=False)
    return msgspec.json.Decoder(record).decode


class Records:
    """Adds up what records say.

    Attributes:
        missions: how many were seen.
        confidences: those of their decisions.
    """

    def __init__(self, group_by: str) -> None:
        root, dot, rest = group_by.partition(".")
        self._group_path = f"{root if root in _FIELDS else _FURTHER}{dot}{rest}" if root else ""
        self._groups: dict[str, Counter[str]] = {}
        self._values = {"duration": Values()}
        self._further: dict[str, None] = {}
        self.missions = 0
        self.confidences = Confidences()

    def add(self, record: Any) -> None:
        """Take a record that `record_decoder` made."""
        self.missions += 1
        status = record.status
        ending = ENDINGS.index(status) if status in ENDINGS else _OTHER
        self._values["duration"].add(record.duration, ending)
        if isinstance(record.metrics, dict):
            for name, value in record.metrics.items():
                if values := self._values_of(name):
                    values.add(value, ending)
        self.confidences.add(record.decisions, succeeded=ending == _SUCCESS)
        if self._group_path and (group := group_of(record, self._group_path)):
            self._groups.setdefault(group, Counter())[status] += 1

    @property
    def further_metrics(self) -> list[str]:
        """The names of metrics that are too many to be shown, as many as are shown."""
        return list(self._further)

    def groups(self) -> dict[str, OutcomeCounts]:
        """Return how they ended, by group."""
        return {name: _outcome_counts(endings) for name, endings in self._groups.items()}

    def distributions(self, mission: str) -> dict[str, Distribution]:
        """Return how the duration and each metric is spread, where there are numbers."""
        units = _TEAM_UNITS if mission == "team" else {}
        spread = {
            name: values.distribution(units.get(name) or _unit_of(name))
            for name, values in self._values.items()
        }
        return {name: distribution for name, distribution in spread.items() if distribution}

    def _values_of(self, name: str) -> Values | None:
        if name == "duration":
            return None  # the record's own
        if name not in self._values:
            if len(self._values) > _METRICS:
                if len(self._further) < _METRICS:
                    self._further[name] = None
                return None
            self._values[name] = Values()
        return self._values[name]


def _outcome_counts(endings: Counter[str]) -> OutcomeCounts:
    return OutcomeCounts(
        endings["success"], endings["failure"], endings["aborted"], endings["error"]
    )


def _unit_of(name: str) -> str:
    if name == "duration":
        return "simulated s"
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")
