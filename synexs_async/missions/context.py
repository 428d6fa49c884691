"""What a mission of one's own is given, and what it gives back.

A mission is called once for each index, with a `Context` that is its alone, and returns how it
ended. What it told the context becomes its line in the journal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from synexs_async.missions.rng import mission_generator

Parameters = TypeVar("Parameters")
Status = Literal["success", "failure", "aborted"]
Number = float | int | np.number[Any] | np.bool_


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a mission ended.

    Attributes:
        status: "success", "failure" or "aborted".
        label: the training label, one of the kind's; the status where the kind names no labels.
        result: what the mission found, of any type that JSON can hold.
    """

    status: Status
    label: str | None = None
    result: Any = None


class Communication(Struct, frozen=True, forbid_unknown_fields=True):
    """A message between two parties, at a simulated second."""

    timestamp: float
    sender: str
    receiver: str
    content: Any


class Choice(Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody decided at a simulated second, and why."""

    timestamp: float
    agent: str
    decision_type: str
    content: Any


class Record(Struct, frozen=True, forbid_unknown_fields=True):
    """One mission of a kind of one's own: a line of the journal, its keys in this order.

    Attributes:
        duration: simulated seconds.
        communications: the messages, in their order.
        decisions: what was decided, in its order.
        steps: whatever was recorded as a step.
        metrics: numbers by name.
        result: what the mission returned beside its status, in the kind's `result` type.
        training_label: an index into the kind's label names.
    """

    mission_id: str
    mission_number: int
    timestamp: float
    duration: float
    communications: list[Communication]
    decisions: list[Choice]
    steps: list[Any]
    metrics: dict[str, float | int]
    result: Any
    status: Status
    training_label: int


class Context(Generic[Parameters]):
    """One mission while it is simulated.

    Attributes:
        index: the mission's number in its run, from 0.
        seed: the run's seed.
        parameters: those of the mission kind, in the type that it declares.
        now: simulated seconds since the mission began.
    """

    def __init__(self, index: int, seed: int, parameters: Parameters) -> None:
        self.index = index
        self.seed = seed
        self.parameters = parameters
        self.now = 0.0
        self.communications: list[Communication] = []
        self.decisions: list[Choice] = []
        self.steps: list[Any] = []
        self.metrics: dict[str, Number] = {}

    @cached_property
    def rng(self) -> np.random.Generator:
        """The mission's private random numbers, a function of (seed, index) alone."""
        return mission_generator(self.seed, self.index)

    def advance(self, seconds: float) -> None:
        """Let simulated time pass."""
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"advance: expected a number of seconds, 0 or more, not {seconds}")
        self.now += float(seconds)

    def message(self, sender: str, receiver: str, content: Any = None) -> None:
        """Record a message between two parties, now."""
        self.communications.append(Communication(self.now, sender, receiver, content))

    def decision(self, agent: str, decision_type: str, content: Any = None) -> None:
        """Record what somebody decides, now, and why."""
        self.decisions.append(Choice(self.now, agent, decision_type, content))

    def step(self, content: Any) -> None:
        """Record a step, of any shape that JSON can hold."""
        self.steps.append(content)

    def metric(self, name: str, value: Number) -> None:
        """Record a number about the whole mission; the last one of a name counts."""
        self.metrics[name] = value


def encode_line(record: Record) -> bytes:
    """Return a record's journal line; TypeError names what is not JSON, and where.

    NumPy's numbers and arrays are written as JSON's. Sets of numbers or of texts, and the keys of
    dicts, are sorted, as their order may differ from process to process; sets of sets can't be.
    """
    try:
        return _encoder.encode(record) + b"\n"
    except (TypeError, ValueError, OverflowError, RecursionError):
        for name in ("communications", "decisions", "steps", "metrics", "result"):
            _find_what_is_not_json(name, getattr(record, name), depth=0)
        raise


def _as_json(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not JSON")


_DEEPEST: Final = 100
_encoder: Final = msgspec.json.Encoder(enc_hook=_as_json, order="deterministic")


def _find_what_is_not_json(name: str, value: Any, depth: int) -> None:
    try:
        _encoder.encode(value)
        return
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        problem = error
    if depth < _DEEPEST:
        if isinstance(value, Struct):
            value = {key: getattr(value, key) for key in value.__struct_fields__}
        if isinstance(value, dict):
            for key, inner in value.items():
                _find_what_is_not_json(f"{name}.{key}", inner, depth + 1)
        elif isinstance(value, list | tuple):
            for position, inner in enumerate(value):
                _find_what_is_not_json(f"{name}[{position}]", inner, depth + 1)
    raise TypeError(f"{name}: expected what JSON can hold: {problem}") from problem
