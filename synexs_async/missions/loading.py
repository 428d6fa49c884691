"""From the name of a mission kind to the kind: built in, of an installed package, or a file's."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from synexs_async.errors import MissionError, UsageError
from synexs_async.missions.mission import Mission

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "synexs_async.missions"
BUILT_IN: Final = {"team": "synexs_async.missions.team_block:TeamMission"}

GYM: Final = "gym:"  # a Gymnasium environment's id follows

_FILE_MODULE: Final = "mission_file_"
_MEMBERS: Final = (
    *("name", "version", "place", "label_names", "metric_names", "batch_metrics"),
    *("feature_names", "group_by", "group_names", "block_size"),
    *("parameters", "simulate", "read", "decode"),
)


def load_mission(
    source: str, parameters: Mapping[str, Any] | None = None, parameters_from: str = "parameters"
) -> Mission:
    """Find a mission kind, and give it its parameters.

    Args:
        source: the name of a built-in kind, or of one that an installed package offers;
            gym: and an environment's id; module:object; or FILE.py:object.
        parameters: tables, as TOML or JSON give them; the kind's defaults where there are none.
        parameters_from: what errors call the place that they came from.

    Raises:
        MissionError: there is no such kind, or it is none.
        ParameterError: it can't take these parameters.
    """
    return with_parameters(find_kind(source), parameters, source, parameters_from)


def with_parameters(
    kind: Any,
    parameters: Mapping[str, Any] | None,
    source: str,
    parameters_from: str = "parameters",
) -> Mission:
    """Give a kind its parameters; `source` is what errors call it, which are those above."""
    try:
        if parameters is not None and hasattr(kind, "with_parameters"):
            kind = kind.with_parameters(parameters, parameters_from)
        elif parameters:
            listed = ", ".join(parameters)
            raise MissionError(source, f"takes no parameters, but was given {listed}")
        elif isinstance(kind, type):
            kind = kind()
    except UsageError:
        raise
    except Exception as error:  # whatever a class does when it is made
        raise MissionError(source, f"can't be made ({_reason(error)})") from error
    mission = check_mission(kind, source)
    if mission.place != "loop":
        _ = mission.source  # says so where a worker process could not find it
    return mission


def find_kind(source: str) -> Any:
    """Import what a source names; MissionError where that can't be done."""
    if source in BUILT_IN:
        return _kind_at(source, BUILT_IN[source])
    if source.startswith(GYM):
        from synexs_async.missions.gym import GymMission

        return GymMission(source.removeprefix(GYM))
    if ":" in source:
        return _kind_at(source, source)
    for point in offered():
        if point.name == source:
            return _kind_at(source, point.value)
    listed = ", ".join((*BUILT_IN, *(point.name for point in offered())))
    raise MissionError(source, f"is not known; expected one of {listed}, or module:object")


def _kind_at(source: str, place: str) -> Any:
    kind = import_object(source, place)
    if not hasattr(kind, "found_at"):
        return kind
    module_name, _, path = place.rpartition(":")
    if module_name.endswith(".py"):
        module_name = str(Path(module_name).absolute())
    return kind.found_at(f"{module_name}:{path}")


def offered() -> tuple[EntryPoint, ...]:
    """Return the mission kinds that installed packages offer, by name."""
    from importlib.metadata import entry_points  # which the built-in kinds need not wait for

    return tuple(sorted(entry_points(group=GROUP), key=lambda point: point.name))


def importable_place(module: str) -> str | None:
    """Return where another process finds a module: its name, or its file; None where nowhere."""
    loaded = sys.modules.get(module)
    spec = getattr(loaded, "__spec__", None)
    if module == "__main__" and spec is not None:
        return str(spec.name)  # as under `python -m`
    if module == "__main__" or module.startswith(_FILE_MODULE):
        file = getattr(loaded, "__file__", None)
        return file and str(Path(file).absolute())
    return module


def spelled_module(module: str) -> str:
    """Return a module's name, or its file's: the same however the file was loaded."""
    place = importable_place(module) or module
    file = Path(place)
    return file.stem if file.is_absolute() else place


def check_mission(kind: Any, source: str) -> Mission:
    """Return a mission kind; MissionError where the object is none."""
    if inspect.isroutine(kind):
        raise MissionError(source, "is a bare function; declare it with @synexs_async.mission()")
    missing = [member for member in _MEMBERS if not hasattr(kind, member)]
    if missing:
        problem = f"is no mission: a {type(kind).__name__} has no {', '.join(missing)}"
        raise MissionError(source, problem)
    mission: Mission = kind
    return mission


def import_object(source: str, place: str) -> Any:
    """Import module:object or FILE.py:object; MissionError, of `source`, where that fails."""
    module_name, _, path = place.rpartition(":")
    try:
        if module_name.endswith(".py"):
            found: Any = _module_of_file(Path(module_name))
        else:
            found = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        raise MissionError(source, f"can't be imported ({_reason(error)})") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise MissionError(source, f"there is no {name!r} in {module_name}")
        found = getattr(found, name)
    return found


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _module_of_file(file: Path) -> Any:
    file = file.absolute()
    if not file.is_file():
        raise FileNotFoundError(f"{file} is no file")
    digest = hashlib.blake2b(os.fsencode(file), digest_size=8).hexdigest()
    name = f"{_FILE_MODULE}{file.stem}_{digest}"  # files of one name may be there side by side
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))  # what lies beside it can be imported, as in a script
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
