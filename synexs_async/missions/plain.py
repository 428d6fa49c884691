"""Missions as plain functions: one call a mission, in worker processes.

Rows of a batch are made from the journal's record alone, so a batch that is lost can be made again.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Any, Final, Self, get_args

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from synexs_async.errors import MissionError
from synexs_async.missions.context import Context, Outcome, Record, Status, encode_line
from synexs_async.missions.global_seeding import seed_global_generators
from synexs_async.missions.grouping import groups_of
from synexs_async.missions.loading import BUILT_IN, GYM, importable_place
from synexs_async.missions.mission import (
    OUTCOME_NAMES,
    Block,
    BlockMission,
    Place,
    mission_identifiers,
)
from synexs_async.missions.parameters import settle_parameters, tables_of

STATUSES: Final = get_args(Status)
_MOST_BITS: Final = sys.float_info.max_exp - 1  # of an integer that is no infinite float

Function = Callable[[Context[Any]], Outcome | str]
Encoder = Callable[[Any], npt.ArrayLike]


class NoParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a mission that has none."""


class PlainMission(BlockMission):
    """A mission kind made of a function; `mission` says what each part is for.

    Raises:
        MissionError: what is declared contradicts itself.
    """

    place: Place = "workers"
    block_size = 1

    def __init__(
        self,
        function: Function,
        *,
        name: str,
        version: int,
        parameter_type: type,
        metrics: Sequence[str],
        labels: Sequence[str] | None,
        features: Sequence[str],
        encode: Encoder | None,
        nonfinite: Collection[str],
        result: Any,
        group_by: str,
    ) -> None:
        self.function = function
        self.name = name
        self.version = version
        self.parameter_type = parameter_type
        self.metric_names = ("duration", *metrics)
        self.batch_metrics = tuple(metrics)
        self.label_names = tuple(labels or OUTCOME_NAMES)
        self.feature_names = tuple(features)
        self._has_labels = labels is not None
        self._encode = encode
        self._finite = np.array([feature not in nonfinite for feature in features], np.bool_)
        self._decode = msgspec.json.Decoder(Record).decode
        self._result = result
        self.group_by = group_by
        self._declared = self  # copies of one kind have this in common
        self._place = ""
        self._check_declaration(nonfinite)

    def _check_declaration(self, nonfinite: Collection[str]) -> None:
        problems = {
            "has a name that is kept for the kinds of this package": self.name in BUILT_IN
            or self.name.startswith(GYM),
            "expected a version, a whole number from 1": not (
                isinstance(self.version, int) and self.version >= 1
            ),
            "declares features, but no encode that makes them": bool(self.feature_names)
            and self._encode is None,
            "declares encode, but no features that it makes": not self.feature_names
            and self._encode is not None,
            "declares nonfinite features that are none of its features": not (
                set(nonfinite) <= set(self.feature_names)
            ),
            'declares the metric "duration", which every mission has': "duration"
            in self.batch_metrics,
        }
        for names in (self.feature_names, self.label_names, self.batch_metrics):
            problems[f"declares a name twice: {', '.join(names)}"] = len(set(names)) < len(names)
        for problem, is_so in problems.items():
            if is_so:
                raise MissionError(self.name, problem)

    @property
    def source(self) -> str:
        """Where another process finds the kind.

        Raises:
            MissionError: it can't be found there.
        """
        return self._place or self._place_of_function()

    def found_at(self, place: str) -> Self:
        """Return this kind, which was found at a place and so is found there by others too."""
        other = copy(self)
        vars(other)["_place"] = place
        return other

    def _place_of_function(self) -> str:
        module, name = self.function.__module__, self.function.__qualname__
        if "<locals>" in name:
            problem = (
                "is defined inside a function, where worker processes can't find it; define it at "
                "the top level of a module"
            )
            raise MissionError(self.name, problem)
        place = importable_place(module)
        if place is None:
            problem = (
                "is defined interactively, where worker processes can't find it; put it in a file "
                "and import it"
            )
            raise MissionError(self.name, problem)
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if getattr(found, "_declared", None) is not self._declared:
            problem = (
                f"can't be found by worker processes: at {place}:{name} stands something else; "
                "give it by name, as FILE.py:object or module:object"
            )
            raise MissionError(self.name, problem)
        return f"{place}:{name}"

    def with_parameters(self, parameters: Mapping[str, Any], source: str = "parameters") -> Self:
        """Return this kind with other parameters; ParameterError where they are not valid."""
        other = copy(self)
        other.values = settle_parameters(parameters, self.parameter_type, source)
        return other

    @cached_property
    def values(self) -> Any:
        """The parameters, in the type that is declared."""
        return settle_parameters({}, self.parameter_type, self.name)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters, defaults among them."""
        return tables_of(self.values)

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Simulate missions `first` to `first + count - 1`, one after the other."""
        identify = self.identifiers(seed)
        lines = []
        for index in range(first, first + count):
            context: Context[Any] = Context(index, seed, self.values)
            seed_global_generators(_word_of(seed, index))
            lines.append(self.line_of(context, self.function(context), identify(index)))
        return self.read(first, lines)

    def identifiers(self, seed: int) -> Callable[[int], str]:
        """Return the function from a mission's index to its id."""
        return mission_identifiers(self.name, self.version, self.parameters(), seed)

    def line_of(self, context: Context[Any], outcome: Any, mission_id: str) -> bytes:
        """Return the journal line of a mission that has ended; an error names what is wrong."""
        return encode_line(self._record(context, outcome, mission_id))

    def read(self, first: int, lines: Sequence[bytes]) -> Block:
        """Make the block of these journal lines again."""
        written = [self._decode(line) for line in lines]
        records = [self._with_result(record) for record in written]
        return Block(
            first,
            lines,
            [record.mission_id for record in records],
            np.array([OUTCOME_NAMES.index(record.status) for record in records], np.int64),
            np.array([record.training_label for record in records], np.int64),
            self._features(records),
            {
                "duration": np.array([record.duration for record in records], np.float64),
                **{
                    name: np.array([record.metrics[name] for record in records], np.float64)
                    for name in self.batch_metrics
                },
            },
            groups_of(written, self.group_by),
        )

    def decode(self, line: bytes) -> Record:
        """Make the record of a journal line."""
        return self._with_result(self._decode(line))

    def _with_result(self, record: Record) -> Record:
        """Return the record with its result in the type that is declared."""
        if self._result is Any:
            return record
        result = msgspec.convert(record.result, self._result)
        return msgspec.structs.replace(record, result=result)

    def _record(self, context: Context[Any], outcome: Any, mission_id: str) -> Record:
        if isinstance(outcome, str):
            outcome = Outcome(outcome)  # type: ignore[arg-type] # checked below
        if not isinstance(outcome, Outcome) or outcome.status not in STATUSES:
            listed = ", ".join(map(repr, STATUSES))
            raise TypeError(f"expected an Outcome, or one of {listed}, not {outcome!r}")
        label = outcome.label if self._has_labels else outcome.label or outcome.status
        if label not in self.label_names:
            listed = ", ".join(map(repr, self.label_names))
            raise ValueError(f"label: expected one of {listed}, not {label!r}")
        for name in self.batch_metrics:
            if name not in context.metrics:
                raise ValueError(f"metrics.{name}: is declared, but was not recorded")
        return Record(
            mission_id=mission_id,
            mission_number=context.index,
            timestamp=0.0,
            duration=context.now,
            communications=context.communications,
            decisions=context.decisions,
            steps=context.steps,
            metrics={name: _number(name, value) for name, value in context.metrics.items()},
            result=outcome.result,
            status=outcome.status,
            training_label=self.label_names.index(label),
        )

    def _features(self, records: Sequence[Record]) -> npt.NDArray[np.float32]:
        """Return float32 [n, rows, columns], the last row standing for those that would follow."""
        if self._encode is None:
            return np.zeros((len(records), 1, 0), np.float32)
        made = [self._rows(self._encode(record)) for record in records]
        rows = max(map(len, made))
        features = np.empty((len(made), rows, len(self.feature_names)), np.float32)
        for own, table in zip(features, made, strict=True):
            own[: len(table)] = table
            own[len(table) :] = table[-1]
        return features

    def _rows(self, value: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Check what an encoder gave for one mission, and end it with its padding row."""
        array = np.asarray(value)
        columns = len(self.feature_names)
        if array.shape == (0,):  # a list of no rows
            array = array.reshape(0, columns)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"features: expected numbers, not {array.dtype}")
        if array.ndim not in (1, 2) or array.shape[-1] != columns:
            raise ValueError(
                f"features: expected the shape [{columns}] or [rows, {columns}], "
                f"not {list(array.shape)}"
            )
        with np.errstate(over="ignore"):
            table: npt.NDArray[np.float32] = np.atleast_2d(array).astype(np.float32)
        wrong = ~np.isfinite(table) & self._finite
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            name = self.feature_names[column]
            raise ValueError(
                f"features: {name}, row {row}: expected a finite number, not {table[row, column]} "
                f"(declare it in nonfinite, if that is meant)"
            )
        if array.ndim == 1:
            return table
        return np.concatenate([table, np.zeros((1, columns), np.float32)])


def _number(name: str, value: Any) -> float | int:
    """Return a metric as JSON's number: of what is true or false, 1 or 0."""
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, int) and number.bit_length() > _MOST_BITS:
        problem = f"expected a number that a float can hold, not one of {number.bit_length()} bits"
        raise ValueError(f"metrics.{name}: {problem}")
    if not (isinstance(number, int | float) and math.isfinite(number)):
        raise ValueError(f"metrics.{name}: expected a finite number, not {value!r}")
    return int(number) if isinstance(number, bool) else number


def _word_of(seed: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])
