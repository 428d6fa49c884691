"""Parameters of a mission: from tables, as TOML or JSON give them, to the type that it declares."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

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


def read_tables(path: Path, error_type: type[ParameterError] = ParameterError) -> dict[str, Any]:
    """Read parameters from a TOML file; an error of this type where it is none."""
    source = str(path)
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise error_type(source, "", f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise error_type(source, "", "is not a TOML file: not UTF-8 text") from error
    return parse_tables(text, source, error_type)


def parse_tables(text: str, source: str, error_type: type[ParameterError]) -> dict[str, Any]:
    """Make tables of TOML text; `source` is what errors call it."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of numbers or lists without an end, too
        raise error_type(source, "", f"is not a TOML file: {error}") from error


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


def settle_parameters(tables: Mapping[str, Any], kind: type[Parameters], source: str) -> Parameters:
    """Make an object of the declared type as every process and session makes it: from run.json.

    Raises:
        ParameterError: they are not valid, or would not be the same again.
    """
    kept = _kept(convert_parameters(tables, kind, source), source)
    settled = convert_parameters(kept, kind, source)
    again = _kept(settled, source)
    for key, value in kept.items():
        if again.get(key) != value:
            problem = (
                f"expected a value that stays the same, but {value!r} becomes {again.get(key)!r}"
            )
            raise ParameterError(source, key, problem)
    return settled


def convert_parameters(
    tables: Mapping[str, Any], kind: type[Parameters], source: str
) -> Parameters:
    """Make an object of the declared type; `source` is what errors call where they came from."""
    known = _names_of(kind)
    for key in tables:
        if known and key not in known:
            listed = ", ".join(known)
            raise ParameterError(source, key, f"is unknown; expected one of {listed}")
    try:
        return msgspec.convert(dict(tables), kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise ParameterError(source, *explain(str(error), tables)) from error


def tables_of(parameters: Any) -> dict[str, Any]:
    """Return parameters in JSON's types, defaults among them; TypeError where that can't be."""
    _fill(parameters)
    tables: dict[str, Any] = msgspec.to_builtins(parameters, str_keys=True, order="deterministic")
    return tables


def explain(message: str, tables: Mapping[str, Any]) -> tuple[str, str]:
    """Turn msgspec's message into the key and a sentence, which names the value if it can.

    Of tables by name, msgspec does not say in which one it is.
    """
    what, _, path = message.partition(" - at `")
    steps = re.findall(r"\.([^.\[`]+)|\[(\d+|\.\.\.)\]", path)
    key = ".".join(name or f"[{position}]" for name, position in steps).replace(".[", "[")
    if missing := re.search(r"missing required field `(.+)`$", what):
        return ".".join(filter(None, (key, missing[1]))), "is missing; expected a value for it"
    not_this = " as each key" if path.startswith("key`") else _not_what_is_at(steps, tables)
    if bound := re.match(r"Expected `(?:int|float)` ([<>]=) ([\d.]+)", what):
        limit = "at least" if bound[1] == ">=" else "at most"
        return key, f"expected {limit} {float(bound[2]):g}{not_this}"
    if length := re.match(r"Expected `array` of length (\d+)", what):
        return key, f"expected [lowest, highest], {length[1]} values{not_this}"
    if kind := re.match(r"Expected `(\w+)`", what):
        return key, f"expected {_SPOKEN_TYPES.get(kind[1], kind[1])}{not_this}"
    return key, what


def _not_what_is_at(steps: Iterable[tuple[str, str]], tables: Mapping[str, Any]) -> str:
    value: Any = tables
    try:
        for name, position in steps:
            value = value[name] if name else value[int(position)]
    except (LookupError, TypeError, ValueError):
        return ""
    return f", not {value!r}"


def _kept(parameters: Any, source: str) -> dict[str, Any]:
    """Return what run.json keeps of parameters; ParameterError where that is not all of them."""
    try:
        tables = tables_of(parameters)
        kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(tables))
        # MessagePack, which takes them to workers, keeps numbers that JSON does not.
        lost = [
            key
            for key, value in tables.items()
            if msgspec.msgpack.encode(value) != msgspec.msgpack.encode(kept[key])
        ]
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ParameterError(source, "", f"expected what JSON can hold: {error}") from error
    for key in lost:
        raise ParameterError(source, key, f"expected what JSON can hold, not {tables[key]!r}")
    return kept


def _names_of(kind: Any) -> tuple[str, ...]:
    """Return the keys that a type takes; none where it takes any."""
    names: tuple[str, ...] | None = getattr(kind, "__struct_encode_fields__", None)
    if names is None:
        return tuple(getattr(kind, "__dataclass_fields__", ()))
    tag = kind.__struct_config__.tag_field
    return names if tag is None else (tag, *names)


def _fill(value: Any) -> None:
    """Give dataclasses, however deep, what they have of their class: msgspec would leave it out."""
    if isinstance(value, Struct):
        for name in value.__struct_fields__:
            _fill(getattr(value, name))
    elif is_dataclass(value) and not isinstance(value, type):
        own = getattr(value, "__dict__", {})
        for field in fields(value):
            if hasattr(value, field.name):
                _fill(own.setdefault(field.name, getattr(value, field.name)))
    elif isinstance(value, Mapping):
        for inner in value.values():
            _fill(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            _fill(inner)


def _copied(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copied(value) if isinstance(value, dict) else value for key, value in tables.items()
    }
