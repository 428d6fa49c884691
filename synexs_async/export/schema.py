"""What kind of values stands where in a run's records: one answer for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

Type = Literal["null", "bool", "int", "float", "text", "list", "object", "json"]

MOST_FIELDS: Final = 256  # an object with more keys is taken for a table, not for a record
_INT64: Final = range(-(1 << 63), 1 << 63)
_EXACT_AS_FLOAT: Final = range(-(1 << 53), (1 << 53) + 1)
_SCALARS: Final[dict[type, str]] = {bool: "bool", float: "float", str: "text"}
_TYPES: Final[dict[frozenset[str], Type]] = {
    frozenset(): "null",
    frozenset({"bool"}): "bool",
    frozenset({"int"}): "int",
    frozenset({"long"}): "int",
    frozenset({"int", "long"}): "int",
    frozenset({"float"}): "float",
    frozenset({"int", "float"}): "float",  # with "long" among them it would round
    frozenset({"text"}): "text",
    frozenset({"list"}): "list",
}


class Kind:
    """The kind of all values seen in one place. In which order they were seen changes no type.

    Attributes:
        fields: of objects, the kinds by key, in the order in which the keys were first seen.
    """

    __slots__ = ("_item", "_most_fields", "_seen", "fields")

    def __init__(self, most_fields: float = MOST_FIELDS) -> None:
        self._most_fields = most_fields
        self._seen: set[str] = set()
        self._item: Kind | None = None
        self.fields: dict[str, Kind] = {}

    @property
    def type(self) -> Type:
        """What holds all of the values; "json" where nothing narrower does."""
        if self._seen == {"object"} and self.fields:
            return "object"
        return _TYPES.get(frozenset(self._seen), "json")

    @property
    def item(self) -> Kind:
        """The kind of what is in the lists."""
        return self._item or Kind()

    def see(self, value: Any) -> None:
        """Widen the kind so that a decoded JSON value fits."""
        kind = type(value)
        if kind is dict:
            self._see_object(value)
        elif kind is list:
            self._seen.add("list")
            if value and self._item is None:
                self._item = Kind()
            for item in value:
                self.item.see(item)
        elif kind is int:
            exact = value in _EXACT_AS_FLOAT
            self._seen.add("int" if exact else "long" if value in _INT64 else "huge")
        elif value is not None:
            self._seen.add(_SCALARS[kind])

    def has_json(self) -> bool:
        """Whether "json" is the type of this place or of one within."""
        return self.type == "json" or any(kind.has_json() for kind in self._within())

    def _within(self) -> Iterator[Kind]:
        if self.type == "object":
            yield from self.fields.values()
        elif self.type == "list":
            yield self.item

    def _see_object(self, value: dict[str, Any]) -> None:
        self._seen.add("object")
        if "crowded" in self._seen:
            return
        for key, inner in value.items():
            kind = self.fields.get(key)
            if kind is None:
                kind = self.fields[key] = Kind()
            kind.see(inner)
        if len(self.fields) > self._most_fields:
            self._seen.add("crowded")
            self.fields.clear()
