"""The mission kinds that are there: built in, and offered by installed packages."""

from __future__ import annotations

import inspect
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from msgspec import Struct

from synexs_async.errors import MissionError, UsageError
from synexs_async.missions.loading import BUILT_IN, find_kind, offered, with_parameters
from synexs_async.missions.plain import PlainMission


class Kind(Struct, frozen=True, kw_only=True):
    """A mission kind, or why it can't be had.

    Attributes:
        name: what `--mission` takes.
        package: the installed package that brings it, and its version.
        source: module:object.
        version: the kind's version; None where it can't be had.
        form: what it is made of, and where its missions are simulated.
        parameters: its parameters with their defaults; None where they are not known.
        summary: the first line of its docstring.
        problem: why it can't be had, or why its parameters are not known; "" where all is well.
    """

    name: str
    package: str
    source: str
    version: int | None = None
    form: str = ""
    parameters: dict[str, Any] | None = None
    summary: str = ""
    problem: str = ""


def list_kinds() -> list[Kind]:
    """Return the built-in kinds, then those of installed packages, by name."""
    own = _package("synexs_async")
    kinds = [_describe(name, own, source) for name, source in BUILT_IN.items()]
    for point in offered():
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "(unknown)"
        if point.name in BUILT_IN:
            problem = "has the name of a built-in kind; name it by module:object"
            kinds.append(
                Kind(name=point.name, package=package, source=point.value, problem=problem)
            )
        else:
            kinds.append(_describe(point.name, package, point.value))
    return kinds


def _describe(name: str, package: str, source: str) -> Kind:
    try:
        if ":" not in source:
            raise MissionError(name, f"expected module:object, not {source!r}")
        found = find_kind(source)
        mission = with_parameters(found, None, source)
        kind_version = int(mission.version)
    except MissionError as error:
        return Kind(name=name, package=package, source=source, problem=error.problem)
    except Exception as error:  # whatever a package's class does when it is made
        return Kind(name=name, package=package, source=source, problem=_sentence(error))
    where = "in worker processes" if mission.place == "workers" else "on the event loop"
    plain = isinstance(mission, PlainMission)
    parameters, problem = None, ""
    try:
        parameters = mission.parameters()
    except UsageError as error:  # one that has no default
        problem = str(error)
    except Exception as error:
        problem = _sentence(error)
    return Kind(
        name=name,
        package=package,
        source=source,
        version=kind_version,
        form=f"{'plain function' if plain else 'blocks'}, {where}",
        parameters=parameters,
        summary=_summary(mission.function if isinstance(mission, PlainMission) else type(mission)),
        problem=problem,
    )


def _summary(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} (not installed)"
