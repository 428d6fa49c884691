"""The field by which a kind's outcomes are counted: a dotted path into its records.

A path such as "environment.difficulty" leads through the keys of JSON objects. What it leads to is
counted as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

OTHER_GROUPS: Final = "(other)"  # what more values than are counted apart are counted as
LARGEST_NAME: Final = 80  # characters of a value that tell it from others


def group_of(record: Any, path: str) -> str:
    """Return the value at `path` of a record as text; "" where there is none to count by."""
    value = record
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, Struct):
            value = getattr(value, name, None)
        else:
            return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:LARGEST_NAME] if isinstance(value, str | int | float) else ""


def spelling_of(value: str) -> bytes:
    """Return what each line that holds a value does contain; b"" where it may be spelled otherwise.

    So that most lines without it need not be decoded to tell.
    """
    return value.encode() if value.isascii() and value.isalnum() else b""


def groups_of(records: Sequence[Any], path: str) -> list[str] | None:
    """Return the groups of records; None for a kind that has none."""
    return [group_of(record, path) for record in records] if path else None
