"""Parameters of a mission: from tables, as TOML or JSON give them, to the type that it declares."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from synexs_async.errors import ParameterError

Parameters = TypeVar("Parameters")

_SPOKEN_TYPES: Final = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "a table",
    "str": "a text",
}


def read_tables(path: Path) -> dict[str, Any]:
    """Read parameters from a TOML file; ParameterError where it is none."""
    source = str(path)
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ParameterError(source, "", f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ParameterError(source, "", "is not a TOML file: not UTF-8 text") from error
    except (ValueError, RecursionError) as error:  # of numbers or lists without an end, too
        raise ParameterError(source, "", f"is not a TOML file: {error}") from error


def set_values(tables: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return tables with each "key=value" set; a dotted key reaches into a table.

    A value is read as TOML where it is that, and is a text else.
    """
    merged = _copied(tables)
    for setting in settings:
        key, equals, text = setting.partition("=")
        *path, name = key.split(".")
        if not (equals and all((*path, name))):
            raise ParameterError("--param", "", f"expected key=value, not {setting!r}")
        table = merged
        for step in path:
            table = table.setdefault(step, {})
            if not isinstance(table, dict):
                raise ParameterError("--param", key, f"{step} is no table")
        try:
            table[name] = tomllib.loads(f"value = {text}")["value"]
        except ValueError:
            table[name] = text
    return merged


def convert_parameters(
    tables: Mapping[str, Any], kind: type[Parameters], source: str
) -> Parameters:
    """Make an object of the declared type; `source` is what errors call where they came from."""
    known = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", ())
    for key in tables:
        if known and key not in known:
            listed = ", ".join(known)
            raise ParameterError(source, key, f"is unknown; expected one of {listed}")
    try:
        return msgspec.convert(dict(tables), kind)
    except msgspec.ValidationError as error:
        raise ParameterError(source, *explain(str(error), tables)) from error


def explain(message: str, tables: Mapping[str, Any]) -> tuple[str, str]:
    """Turn msgspec's message into the key and a sentence that names the value."""
    what, _, path = message.partition(" - at `$")
    steps = re.findall(r"\.(\w+)|\[(\d+)\]", path)
    key = ".".join(name or f"[{int(position)}]" for name, position in steps).replace(".[", "[")
    if missing := re.search(r"missing required field `(.+)`$", what):
        return ".".join(filter(None, (key, missing[1]))), "is missing; expected a value for it"
    value: Any = tables
    for name, position in steps:
        value = value[name] if name else value[int(position)]
    if bound := re.match(r"Expected `(?:int|float)` ([<>]=) ([\d.]+)", what):
        limit = "at least" if bound[1] == ">=" else "at most"
        return key, f"expected {limit} {float(bound[2]):g}, not {value!r}"
    if length := re.match(r"Expected `array` of length (\d+)", what):
        return key, f"expected [lowest, highest], {length[1]} values, not {value!r}"
    if kind := re.match(r"Expected `(\w+)`", what):
        return key, f"expected {_SPOKEN_TYPES.get(kind[1], kind[1])}, not {value!r}"
    return key, what


def _copied(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copied(value) if isinstance(value, dict) else value for key, value in tables.items()
    }
