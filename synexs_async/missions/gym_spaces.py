"""What Gymnasium's spaces hold, as numbers for a batch and as JSON for the journal."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from synexs_async.errors import MissionError

_OF_NUMPY: Final = (np.generic, np.ndarray)
_AS_IT_IS: Final = (bool, str)
_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{4,}")
_DEEPEST: Final = 100
_MOST_INTEGER: Final = 2**63
_DRAWN_AT_ONCE: Final = 64


class Flattener:
    """Makes flat rows of numbers of what a space holds.

    Attributes:
        names: of the columns.
        is_discrete: whether a value is a whole number, and stays one: an action then.
        flatten: makes a copy of a value, flat; environments may write into their own.

    Raises:
        MissionError: the space, of the mission `mission`, has values of any length.
    """

    def __init__(self, name: str, space: Any, mission: str) -> None:
        from gymnasium import spaces

        self.is_discrete = name == "action" and isinstance(space, spaces.Discrete)
        self.flatten: Callable[[Any], Any]
        if self.is_discrete:
            self.names: Sequence[str] = (name,)
            self.flatten = int
            return
        if not space.is_np_flattenable:
            problem = f"has {name}s of {type(space).__name__}, which can't be flattened"
            raise MissionError(mission, problem)
        if isinstance(space, spaces.Box):
            size = math.prod(space.shape)
            self.flatten = np.array if len(space.shape) == 1 else _flat
        else:
            size = spaces.utils.flatdim(space)
            self.flatten = lambda value: spaces.utils.flatten(space, value)
        self.names = tuple(f"{name}[{column}]" for column in range(size))


def random_actions(space: Any) -> Iterator[Any]:
    """Draw actions from a space without end: numbers where actions are numbered.

    Those are drawn many at once, which gives the same as one by one in a tenth of the time. (Of
    smaller types than the usual one NumPy would make other numbers then.)
    """
    from gymnasium import spaces

    if type(space) is spaces.Discrete and space.dtype == np.int64:
        generator, size, start = space.np_random, space.n, space.start
        while True:
            yield from (start + generator.integers(size, size=_DRAWN_AT_ONCE)).tolist()
    is_discrete = isinstance(space, spaces.Discrete)
    while True:
        action = space.sample()
        yield int(action) if is_discrete else action  # some environments take no NumPy integer


def as_numbers(values: npt.ArrayLike) -> list[Any]:
    """Return numbers, or rows of them, as JSON can hold them: exact, or told if not finite."""
    array = np.asarray(values)
    listed: list[Any] = array.tolist()
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return listed
    told: list[Any] = plain(listed)
    return told


def plain(value: Any, depth: int = 0) -> Any:
    """Return what JSON can hold of a value, the same in every process.

    An object becomes its text, or the name of its type where its text holds a memory address.
    """
    if isinstance(value, _OF_NUMPY):
        value = value.tolist()
    if value is None or isinstance(value, _AS_IT_IS):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _NONFINITE.get(value, "NaN")
    if isinstance(value, int) and -_MOST_INTEGER <= value < _MOST_INTEGER:
        return int(value)
    if depth < _DEEPEST:
        if isinstance(value, dict):
            return {_key(key): plain(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [plain(inner, depth + 1) for inner in value]
        if isinstance(value, AbstractSet):
            return sorted((plain(inner, depth + 1) for inner in value), key=repr)
        text = repr(value)
        if not _ADDRESS.search(text):
            return text
    return type(value).__name__


_NONFINITE: Final = {math.inf: "Infinity", -math.inf: "-Infinity"}


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(plain(key))


def _flat(value: Any) -> Any:
    return np.array(value).reshape(-1)
