"""Running totals over missions, in index order, so that grouping does not change the last digit."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Annotated

from msgspec import Meta, Struct

from synexs_async.missions.mission import ERROR_LABEL, METRIC_NAMES, Block

Count = Annotated[int, Meta(ge=0)]


class Statistics(Struct, forbid_unknown_fields=True):
    """Counts of outcomes, and sums of what is averaged over the missions without an error."""

    success_count: Count = 0
    failure_count: Count = 0
    abort_count: Count = 0
    error_count: Count = 0
    duration_sum: float = 0.0
    efficiency_sum: float = 0.0
    coordination_sum: float = 0.0

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
        """Return the running means, 0 before the first mission."""
        return {
            name: getattr(self, f"{name}_sum") / self.valid if self.valid else 0.0
            for name in METRIC_NAMES
        }

    def add(self, block: Block) -> None:
        """Count a block's missions."""
        labels = block.labels.tolist()
        self.success_count += labels.count(0)
        self.failure_count += labels.count(1)
        self.abort_count += labels.count(2)
        self.error_count += labels.count(ERROR_LABEL)
        for name, values in block.metrics.items():
            # Not with `sum`, which compensates for rounding since Python 3.12.
            total = reduce(add, values.tolist(), getattr(self, f"{name}_sum"))
            setattr(self, f"{name}_sum", total)
