"""Minari: the episodes of a Gymnasium environment as the data set of offline learning.

The folder is laid out as Minari's own storage writes it, but for what would change from call to
call. Images are stored as they are, not as JPEG.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any, Final

import gymnasium
import h5py
import msgspec
import numpy as np
from gymnasium import spaces
from minari.serialization import serialize_space

from synexs_async.errors import FolderError, UsageError
from synexs_async.export.source import Part, Source, Told, read_part, survey
from synexs_async.export.target import (
    MANIFEST,
    Exported,
    Manifest,
    check_target,
    digest_of,
    read_manifest,
    shard_of,
    write_manifest,
)
from synexs_async.storage.files import (
    flush_folder,
    make_folder,
    remove_temporary_files,
    replace_file,
    temporary_path,
)
from synexs_async.verification.recorded import may_import

_DATA: Final = "main_data.hdf5"
_METADATA: Final = "metadata.json"
_LAYOUT_VERSION: Final = "0.5.4"  # of Minari
_GYM: Final = "gym:"
_STEPS: Final = {"rewards": np.float64, "terminations": np.bool_, "truncations": np.bool_}


def export_minari(source: Source, folder: Path, told: Told, mission: str | None = None) -> Exported:
    """Export a run's episodes; missions that raised are left out.

    Building an environment may import what its id names: where that need not be an installed one,
    `mission` has to be the run's kind. `told` hears of each mission twice: once when its line was
    seen, once when it is written.

    Raises:
        UsageError: the run has no recorded steps of an environment that Minari can hold.
        FolderError: the folder holds something else, which was left as it is.
        JournalDamaged: a line of the journal is no record.
    """
    environment = _environment_of(source, mission)
    manifest = read_manifest(folder, source)
    check_target(folder, (_DATA, _METADATA), _DATA)
    (part,) = survey(source, source.missions, told).parts
    make_folder(folder)
    remove_temporary_files(folder)
    file = folder / _DATA
    if manifest and (folder / _METADATA).exists() and file.exists():
        (known,) = manifest.shards
        if (known.journal_sha256, known.sha256) == (part.sha256, digest_of(file)):
            told(part.rows)
            return Exported(source.missions, 1, 0)
    for name in (MANIFEST, _METADATA):
        (folder / name).unlink(missing_ok=True)
    episodes, steps = _write(file, source, part, environment, told)
    name = re.sub(r"[^\w-]", "-", environment.spec.name.lower())
    metadata = {
        "total_episodes": episodes,
        "total_steps": steps,
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "observation_space": serialize_space(environment.observation_space),
        "action_space": serialize_space(environment.action_space),
        **_env_spec(environment),
        "dataset_id": f"synexs/{name}-seed{source.identity.seed}-v0",
        "minari_version": _LAYOUT_VERSION,
        "dataset_size": round(file.stat().st_size / 1e6, 1),  # MB
    }
    replace_file(folder / _METADATA, json.dumps(metadata, indent=2).encode() + b"\n", durable=True)
    spaces_told = {name: str(metadata[name]) for name in ("observation_space", "action_space")}
    complete = Manifest(
        format="minari",
        identity=msgspec.to_builtins(source.identity),
        missions=source.missions,
        schema=spaces_told,
        shards=(shard_of(file, part),),
    )
    write_manifest(folder, complete)
    return Exported(source.missions, 1, 1)


def _environment_of(source: Source, mission: str | None) -> Any:
    """Build the run's environment, for its spaces."""
    identity = source.identity
    if not identity.mission.startswith(_GYM):
        problem = f"--format minari: expected a run of {_GYM} missions, not of {identity.mission!r}"
        raise UsageError(problem)
    if not identity.parameters.get("record_steps"):
        problem = "--format minari: the run's journal has no steps; run it with --record-steps"
        raise UsageError(problem)
    if may_import(identity) and mission != identity.mission:
        raise FolderError(
            source.layout.folder.path,
            f"holds missions of the kind {identity.mission!r}, which may be anybody's code; if it "
            f"is to be run, say so with --mission {shlex.quote(identity.mission)}",
        )
    name = identity.mission.removeprefix(_GYM)
    try:
        arguments = identity.parameters.get("make", {})
        environment = gymnasium.make(name, disable_env_checker=True, **arguments)
        serialize_space(environment.observation_space)
        serialize_space(environment.action_space)
    except (Exception, SystemExit) as error:  # whatever an environment does when it is built
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UsageError(f"--format minari: {name} can't be exported ({reason})") from error
    return environment


def _env_spec(environment: Any) -> dict[str, str]:
    """Return what makes the environment again, nothing where only its own code can tell."""
    try:
        return {"env_spec": environment.spec.to_json()}
    except (TypeError, ValueError):
        return {}


def _write(file: Path, source: Source, part: Part, environment: Any, told: Told) -> tuple[int, int]:
    """Let the episodes' file appear whole; return how many episodes and steps it holds."""
    episodes = steps = 0
    temporary = temporary_path(file)
    try:
        with h5py.File(temporary, "x") as data:
            for _, record in read_part(source, part):
                told(1)
                if record["status"] == "error":
                    continue
                group = data.create_group(f"episode_{episodes}")
                _write_episode(group, record, environment)
                group.attrs["id"] = episodes
                episodes += 1
                steps += int(group.attrs["total_steps"])
        with temporary.open("rb") as content:
            os.fsync(content.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(file.parent)
    return episodes, steps


def _write_episode(group: h5py.Group, record: dict[str, Any], environment: Any) -> None:
    result = record["result"]
    steps = result["trajectory"]
    group.attrs["seed"] = result["seed"]
    group.attrs["total_steps"] = len(steps["rewards"])
    group.attrs["mission_number"] = record["mission_number"]
    for name, space in (
        ("observations", environment.observation_space),
        ("actions", environment.action_space),
    ):
        _write_values(group, name, space, [_restored(space, value) for value in steps[name]])
    for name, dtype in _STEPS.items():
        _write_array(group, name, np.array(steps[name], dtype))
    group.create_group("infos")  # the journal has just the last step's


def _restored(space: spaces.Space[Any], value: Any) -> Any:
    """Return a value of a space from how the journal has it: flat, or a whole number."""
    if not isinstance(value, list):
        return value
    flat = np.array(value, spaces.utils.flatten_space(space).dtype)  # reads "NaN", "Infinity" too
    return spaces.utils.unflatten(space, flat)


def _write_values(group: h5py.Group, name: str, space: spaces.Space[Any], values: Any) -> None:
    """Write values of a space, the parts of composite ones apart, as Minari lays them out."""
    if isinstance(space, spaces.Dict):
        inner = group.create_group(name)
        for key, subspace in space.spaces.items():
            _write_values(inner, key, subspace, [value[key] for value in values])
    elif isinstance(space, spaces.Tuple):
        inner = group.create_group(name)
        for place, subspace in enumerate(space.spaces):
            _write_values(inner, f"_index_{place}", subspace, [value[place] for value in values])
    elif isinstance(space, spaces.Text):
        group.create_dataset(name, data=values, dtype=h5py.string_dtype(encoding="utf-8"))
    else:
        _write_array(group, name, np.array(values, space.dtype))


def _write_array(group: h5py.Group, name: str, array: Any) -> None:
    """Write an array that Minari can append to."""
    group.create_dataset(
        name,
        data=array,
        chunks=True,
        maxshape=(None, *array.shape[1:]),
        track_times=False,
    )
