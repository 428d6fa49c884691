"""Differences between what should be and what is: named, counted, and the first of them kept.

Nothing here reads: records are compared as documents, in the types of JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

_LONGEST_VALUE: Final = 80
_MOST_KEPT: Final = 1_000
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where a run's folder does not hold what it should.

    Attributes:
        file: the path within the folder.
        line: the line of a text file, from 1.
        row: the row of a batch, from 0.
        field: what differs there, such as `communications[1].latency_ms`; "" for all of it.
        expected: what should be there.
        found: what is there.
    """

    file: str
    line: int | None
    row: int | None
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        place = self.file
        if self.line is not None:
            place += f", line {self.line}"
        if self.row is not None:
            place += f", row {self.row}"
        if self.field:
            place += f", {self.field}"
        return f"{place}: expected {self.expected}, found {self.found}"


class Differences:
    """Collects differences; memory stays flat, however many there are."""

    def __init__(self) -> None:
        self.count = 0
        self._by_file: Counter[str] = Counter()
        self._kept: list[Difference] = []

    def add(
        self,
        file: str,
        expected: str,
        found: str,
        *,
        line: int | None = None,
        row: int | None = None,
        field: str = "",
    ) -> None:
        """Count a difference, and keep it while there are not too many."""
        self.count += 1
        self._by_file[file] += 1
        if len(self._kept) < _MOST_KEPT:
            self._kept.append(Difference(file, line, row, field, expected, found))

    def in_files(self, wanted: Callable[[str], bool]) -> int:
        """Return how many there are in the files that are wanted."""
        return sum(count for file, count in self._by_file.items() if wanted(file))

    def first(self, count: int) -> tuple[Difference, ...]:
        """Return the first differences: of the journal, then the batches, then all else."""

        def place(difference: Difference) -> tuple[int, int, str, int, int]:
            room = {"missions": 0, "batches": 1}.get(difference.file.partition("/")[0], 2)
            if difference.file.endswith(".json"):
                room = 2
            file = difference.file
            return room, len(file), file, difference.line or 0, difference.row or 0

        return tuple(sorted(self._kept, key=place)[:count])


def first_difference(expected: Any, found: Any, path: str = "") -> tuple[str, str, str] | None:
    """Find the first value in which two documents differ: its path, what was expected, and found.

    None where they are written alike, as JSON.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in {**expected, **found}:
            inner = f"{path}.{key}" if path else str(key)
            pair = expected.get(key, _ABSENT), found.get(key, _ABSENT)
            if difference := first_difference(*pair, inner):
                return difference
        if list(expected) != list(found):
            return path, f"the keys {spoken(list(expected))}", spoken(list(found))
        return None
    if isinstance(expected, list) and isinstance(found, list):
        for number, pair in enumerate(zip(expected, found, strict=False)):
            if difference := first_difference(*pair, f"{path}[{number}]"):
                return difference
        if len(expected) != len(found):
            return path, f"{len(expected)} items", f"{len(found)}"
        return None
    absent = expected is _ABSENT or found is _ABSENT
    if not absent and msgspec.json.encode(expected) == msgspec.json.encode(found):
        return None
    return path, spoken(expected), spoken(found)


def difference_of_lines(expected: bytes, found: bytes) -> tuple[str, str, str]:
    """Name the first field in which two journal lines differ, which are not the same bytes."""
    try:
        documents = msgspec.json.decode(expected), msgspec.json.decode(found)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return "", "a record", f"a line that is none ({error})"
    return first_difference(*documents) or ("", "these values as compact JSON", "another spelling")


def spoken(value: Any) -> str:
    """Write a value as JSON does, and cut it short."""
    if value is _ABSENT:
        return "nothing"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
