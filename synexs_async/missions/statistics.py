"""Running totals over missions, in index order, so that grouping does not change the last digit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from synexs_async.missions.grouping import OTHER_GROUPS
from synexs_async.missions.mission import ERROR_OUTCOME, OUTCOME_NAMES, Block, Mission

Count = Annotated[int, Meta(ge=0)]

_MOST_GROUPS: Final = 64  # a checkpoint is small whatever a mission's field holds


class Statistics(Struct, forbid_unknown_fields=True):
    """Counts of outcomes, and sums of what is averaged over the missions without an error.

    `groups` has the counts of the three outcomes for each value of the kind's `group_by` field;
    None where the missions before a checkpoint were not counted so.
    """

    success_count: Count = 0
    failure_count: Count = 0
    abort_count: Count = 0
    error_count: Count = 0
    sums: dict[str, float] = field(default_factory=dict)
    groups: dict[str, list[Count]] | None = field(default_factory=dict)

    @classmethod
    def of(cls, mission: Mission | None) -> Statistics:
        """Begin to count missions of a kind."""
        names = mission.group_names if mission is not None else ()
        return cls(groups={name: [0] * len(OUTCOME_NAMES) for name in names})

    @property
    def missions(self) -> int:
        """How many missions have been counted."""
        return self.valid + self.error_count

    @property
    def valid(self) -> int:
        """How many of them ended without an error."""
        return self.success_count + self.failure_count + self.abort_count

    def counts(self) -> dict[str, int]:
        """Return the counts by the names that monitors read."""
        return {
            "success_count": self.success_count,
            "failure_count": self.failure_count,
            "abort_count": self.abort_count,
            "error_count": self.error_count,
        }

    def means(self) -> dict[str, float]:
        """Return the running means by metric, 0 where no mission ended without an error."""
        return {name: total / max(self.valid, 1) for name, total in self.sums.items()}

    def add(self, block: Block) -> None:
        """Count a block's missions."""
        outcomes = block.outcomes.tolist()
        self.success_count += outcomes.count(0)
        self.failure_count += outcomes.count(1)
        self.abort_count += outcomes.count(2)
        self.error_count += outcomes.count(ERROR_OUTCOME)
        self.sums = {  # a new one: copies of these statistics keep theirs
            # Not with `sum`, which compensates for rounding since Python 3.12.
            name: reduce(add, values.tolist(), self.sums.get(name, 0.0))
            for name, values in block.metrics.items()
        }
        if block.groups is not None and self.groups is not None:
            self.groups = _count_groups(self.groups, block.groups, outcomes)


def _count_groups(
    groups: dict[str, list[int]], values: Sequence[str], outcomes: Sequence[int]
) -> dict[str, list[int]]:
    """Return other counts than `groups`: copies of these statistics keep theirs."""
    counted = {name: counts.copy() for name, counts in groups.items()}
    for (value, outcome), missions in Counter(zip(values, outcomes, strict=True)).items():
        if not value or outcome == ERROR_OUTCOME:
            continue
        name = value if value in counted or len(counted) < _MOST_GROUPS else OTHER_GROUPS
        counted.setdefault(name, [0] * len(OUTCOME_NAMES))[outcome] += missions
    return counted
