"""Every family of faults, in the order of the table."""

from __future__ import annotations

from types import ModuleType
from typing import Final

import archiving
import damage
import errors
import kills
import kinds
import power
import pressure
import sameness
from harness import Case, Extent

_FAMILIES: Final[tuple[ModuleType, ...]] = (
    kills,
    kinds,
    errors,
    archiving,
    power,
    damage,
    pressure,
    sameness,
)


def all_cases(extent: Extent) -> list[Case]:
    """Return the cases of all families."""
    return [case for family in _FAMILIES for case in family.cases(extent)]
