"""The decorator that makes a mission kind of a function.

@mission(version=1, metrics=["total"])
def dice(ctx: Context) -> Outcome: ...
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from inspect import iscoroutinefunction
from typing import Any

from synexs_async.errors import MissionError
from synexs_async.missions.asynchronous import AsyncFunction, AsyncMission
from synexs_async.missions.plain import Encoder, Function, NoParameters, PlainMission


def mission(
    *,
    name: str | None = None,
    version: int = 1,
    parameters: type = NoParameters,
    metrics: Sequence[str] = (),
    labels: Sequence[str] | None = None,
    features: Sequence[str] = (),
    encode: Encoder | None = None,
    nonfinite: Collection[str] = (),
    result: Any = Any,
    group_by: str = "",
    transient: tuple[type[Exception], ...] = (),
) -> Callable[[Function | AsyncFunction], PlainMission]:
    """Make a mission kind of a function that simulates one mission, plain or async.

    Args:
        name: the kind's name; the function's, where there is none.
        version: raise it whenever the function gives other records for the same parameters.
        parameters: their type, a dataclass or a msgspec struct, validated before a run begins.
        metrics: those of `Context.metric` that every mission records; batches and checkpoints
            carry them.
        labels: what training labels mean; the three outcomes, where there are none.
        features: names of the columns of a batch; none for a run without batches.
        encode: makes a mission's features of its `Record`: [columns], which then stand in every
            row, or [rows, columns], followed by rows of zeros; [] for no rows.
        nonfinite: the features that `encode` may make infinite or not a number.
        result: the type of `Outcome.result`, in which `encode` gets it.
        group_by: the field of a record that monitors count outcomes by, such as "result.tier".
        transient: of an async mission, errors that pass: it is tried again, with pauses that grow.
            Not seen inside an exception group.
    """

    def declare(function: Function | AsyncFunction) -> PlainMission:
        declared: dict[str, Any] = {
            "name": name or function.__name__,
            "version": version,
            "parameter_type": parameters,
            "metrics": metrics,
            "labels": labels,
            "features": features,
            "encode": encode,
            "nonfinite": nonfinite,
            "result": result,
            "group_by": group_by,
        }
        if iscoroutinefunction(function):
            return AsyncMission(function, transient=transient, **declared)
        if transient:
            problem = "declares transient errors; only an async mission is tried again"
            raise MissionError(declared["name"], problem)
        return PlainMission(function, **declared)  # type: ignore[arg-type] # it is no coroutine's

    return declare
