"""Simulated cuts of the power: a model of a disk chooses what of a run's effects had been written.

The effects that sessions have on their folder are recorded, in their order. Up to any of them, the
model of `disk.py` lays out what a cut at that moment may leave, and a session begins in it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from datasets import data_set
from disk import Disk, Effect, effects, effects_of_copying
from harness import (
    KILLED,
    SMALL,
    Case,
    Extent,
    Fault,
    Findings,
    go_on,
    reference,
    session,
)

from synexs_async import RunConfig
from synexs_async.errors import SynexsError
from synexs_async.session import prepare
from synexs_async.storage.checkpoint import Checkpoint, read_checkpoint
from synexs_async.storage.folder import RunFolder, acquire
from synexs_async.storage.recovery import Recovery

_FAMILY: Final = "power cut, simulated"
_NO_SYNCFS: Final = Fault("main", "syncfs", "*", 1, "ENOSYS+")
_KILLED_AT: Final = Fault("worker", "rename", "batch", 4, "kill-main")
_FEWER: Final = ("--missions", "70", *SMALL[2:])
_SINGLE: Final = (*SMALL, "--mission-files", "single")
_LONGER: Final = (
    *("--missions", "400", "--seed", "21", "--batch-size", "8", "--sequence-length", "6"),
    *("--checkpoint-every", "16", "--workers", "2"),
)
_OTHER: Final = ("--missions", "50", "--seed", "20", *SMALL[4:])


@dataclass(frozen=True)
class _Step:
    """A session of a history.

    Attributes:
        options: of the command.
        fault: how it ends, or what its system lacks.
        after_a_cut: it goes on from what a simulated cut in the session before it has left.
        loses: files that are gone when it starts.
    """

    options: Sequence[str]
    fault: Fault | None = None
    after_a_cut: bool = False
    loses: Sequence[str] = ()

    @property
    def starts_anew(self) -> bool:
        """Whether it starts from something else than the session before it has left."""
        return self.after_a_cut or bool(self.loses)


@dataclass(frozen=True)
class _Moment:
    """What happens to a disk between two places for a cut, in a session."""

    effects: Sequence[Effect]
    step: _Step
    starts_anew: bool = False


_HISTORIES: Final[Mapping[str, Sequence[_Step]]] = {
    "a run that is killed, goes on, and is extended": (
        _Step(_FEWER, _KILLED_AT),
        _Step(_FEWER),
        _Step(SMALL),
    ),
    "a run": (_Step(SMALL),),
    "a run without syncfs": (_Step(SMALL, _NO_SYNCFS),),
    "a run that is extended without syncfs": (_Step(_FEWER, _NO_SYNCFS), _Step(SMALL, _NO_SYNCFS)),
    "a run that is killed and goes on without syncfs": (
        _Step(SMALL, _KILLED_AT),
        _Step(SMALL, _NO_SYNCFS),
    ),
    "a run that goes on after a cut": (_Step(SMALL), _Step(SMALL, after_a_cut=True)),
    "a run of single files that goes on after a cut": (
        _Step(_SINGLE),
        _Step(_SINGLE, after_a_cut=True),
    ),
    "a run that goes on after a cut, without syncfs": (
        _Step(SMALL, _NO_SYNCFS),
        _Step(SMALL, _NO_SYNCFS, after_a_cut=True),
    ),
    "a complete run that has lost a batch": (
        _Step(SMALL),
        _Step(SMALL, loses=("batches/batch_000001.pt",)),
    ),
    "a complete run that has lost a batch, without syncfs": (
        _Step(SMALL, _NO_SYNCFS),
        _Step(SMALL, _NO_SYNCFS, loses=("batches/batch_000001.pt",)),
    ),
    "a run that has lost its checkpoint": (
        _Step(_FEWER, _KILLED_AT),
        _Step(SMALL, loses=("checkpoint.json",)),
    ),
    "a run that has lost its checkpoint, without syncfs": (
        _Step(_FEWER, _KILLED_AT),
        _Step(SMALL, _NO_SYNCFS, loses=("checkpoint.json",)),
    ),
    "a run of single files": (_Step(_SINGLE),),
    "a run of single files without syncfs": (_Step(_SINGLE, _NO_SYNCFS),),
    "a run of many checkpoints": (_Step(_LONGER),),
    "a run that moves another aside": (_Step(_OTHER), _Step((*SMALL, "--no-resume"))),
    "a run that moves another aside without syncfs": (
        _Step(_OTHER, _NO_SYNCFS),
        _Step((*SMALL, "--no-resume"), _NO_SYNCFS),
    ),
}
_SHORT: Final = {
    "a complete run that has lost a batch, without syncfs": 150,
    "a run that has lost its checkpoint": 150,
    "a run that moves another aside": 150,
}
_FOLDER: Final = PurePosixPath("run")
_CHECKPOINT_IS_SAVED: Final = Effect("fsync", _FOLDER)  # or anything else in it
_STATES_A_CASE: Final = 500
_CASES_A_HISTORY: Final = 4


def simulated_cases(extent: Extent) -> Iterator[Case]:
    """Return cases, each of many states of one history."""
    if extent == "short":
        for history, states in _SHORT.items():
            yield Case(_FAMILY, history, partial(_simulate, history, 0, states, 1))
        return
    for history in _HISTORIES:
        for seed in range(_CASES_A_HISTORY):
            check = partial(_simulate, history, seed, _STATES_A_CASE, 1)
            yield Case(_FAMILY, f"{history}, seed {seed}", check)


def _simulate(history: str, seed: int, states: int, to_the_end: int, scratch: Path) -> Findings:
    """Try states that a cut may leave; of some of them let the command make a whole run."""
    findings = Findings()
    chance = random.Random(f"{history} {seed}")
    moments = _recorded(history, seed if any(s.starts_anew for s in _HISTORIES[history]) else 0)
    chosen = sorted(chance.randrange(1, len(moments) + 1) for _ in range(states))
    continued = set(chance.sample(range(states), to_the_end))
    disk, done, promised = Disk(), 0, 0
    step, before = _HISTORIES[history][0], None
    for number, place in enumerate(chosen):
        for moment in moments[done:place]:
            if moment.step is not step:
                step, before = moment.step, step
            if moment.starts_anew:
                disk, promised = Disk(), 0
            for effect in moment.effects:
                disk.apply(effect)
                if effect == _CHECKPOINT_IS_SAVED:
                    promised = _missions_in(disk)
        done = place
        with _folder_in_memory() as folder:
            disk.cut(chance, folder)
            findings.points += 1
            at = f"{history}, seed {seed}, state {number}, after effect {place} of {len(moments)}"
            _recover(folder / "run", step, before, promised, findings, at)
            if number in continued:
                go_on(folder / "run", findings, _plain(step.options))
    return findings


def _recover(
    folder: Path,
    step: _Step,
    before: _Step | None,
    promised: int,
    findings: Findings,
    at: str,
) -> None:
    """Let a session begin in what a cut left, and hold what it goes on from to the promises."""
    options = step.options
    seen = _checkpoint_of(folder)
    if seen and seen.dataset_sha256 and seen.mark.missions == _config(options, folder).missions:
        _check_index(folder, seen, findings, at)
    if "--no-resume" in options and _seed_of(folder) == _config(options, folder).seed:
        options = _plain(options)
    try:
        recovery = _prepared(_config(options, folder))
    except (SynexsError, OSError, ValueError, AssertionError) as error:
        findings.wrong(f"{at}: {type(error).__name__}: {error}")
        return
    if "--no-resume" in step.options:
        _check_archive(folder, before, findings, at)
        if "--no-resume" in options:
            return
    if recovery.extent.missions < promised:
        findings.lost += promised - recovery.extent.missions
        findings.notes.append(f"{at}: of {promised}, {recovery.extent.missions} are left")
    _check_data(folder, step, seen, recovery, findings, at)


def _check_data(
    folder: Path,
    step: _Step,
    checkpoint: Checkpoint | None,
    recovery: Recovery,
    findings: Findings,
    at: str,
) -> None:
    """All that is kept is right, and what the checkpoint speaks of is there."""
    expected, found = reference(_plain(step.options)), data_set(folder)
    lines = b"".join(_journal(expected)).splitlines(keepends=True)
    if b"".join(_journal(found)) != b"".join(lines[: recovery.extent.missions]):
        findings.differences += 1
        findings.notes.append(f"{at}: the journal is not that of an undisturbed run")
    if recovery.complete and found != expected:
        findings.differences += 1
        findings.notes.append(f"{at}: taken for complete, and not so")
    if checkpoint is None:
        return
    missions = checkpoint.mark.missions
    if recovery.extent.missions < missions:
        findings.lost += missions - recovery.extent.missions
        findings.notes.append(f"{at}: the checkpoint says {missions}")
    size = _config(step.options, folder).batch_size
    is_complete = missions == _config(step.options, folder).missions and checkpoint.dataset_sha256
    batches = set(range(-(-missions // size) if is_complete else missions // size))
    missing = set(recovery.missing_batches)
    for number in sorted(batches - missing):
        name = f"batches/batch_{number:06d}.pt"
        if found.get(name) != expected[name]:
            findings.lost += 1
            findings.notes.append(f"{at}: {name} is behind the checkpoint, and not right")
    if not step.loses and (missing or recovery.missing_entries):
        findings.wrong(
            f"{at}: the ledger lost {len(missing)} batches and "
            f"{len(recovery.missing_entries)} journal files behind the checkpoint"
        )


def _check_index(folder: Path, complete: Checkpoint, findings: Findings, at: str) -> None:
    """The index of a run whose checkpoint says that it is complete is there."""
    index = folder / "batches" / "training_index.json"
    if not index.exists() or complete.dataset_sha256.encode() not in index.read_bytes():
        findings.wrong(f"{at}: complete, and without its index")


def _check_archive(folder: Path, before: _Step | None, findings: Findings, at: str) -> None:
    """The run that was moved aside is whole, in one place."""
    assert before is not None
    expected = reference(before.options)
    seed = _config(before.options, folder).seed
    archived = [run for run in (folder / "archive").glob("*") if _seed_of(run) == seed]
    wanted = {"run.json", "checkpoint.json", "ledger.jsonl", "missions", "batches"}
    if len(archived) != 1 or not wanted <= {entry.name for entry in archived[0].iterdir()}:
        findings.lost += 1
        findings.notes.append(f"{at}: the old run is not whole in one place: {archived}")
    elif data_set(archived[0]) != expected:
        findings.differences += 1
        findings.notes.append(f"{at}: the old run's data set is not what it was")


@cache
def _recorded(history: str, seed: int) -> Sequence[_Moment]:
    """Let the sessions of a history run, and return their effects in order."""
    moments: list[_Moment] = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve() / "disk"
        root.mkdir()
        for number, step in enumerate(_HISTORIES[history]):
            if step.after_a_cut:
                _cut_within(moments, random.Random(seed), root)
            for lost in step.loses:
                (root / "run" / lost).unlink()
            if step.starts_anew:
                moments.append(_Moment(list(effects_of_copying(root)), step, starts_anew=True))
            record = Path(scratch) / f"record_{number}"
            ended = session(root / "run", step.options, fault=step.fault, record=record)
            expected = KILLED if step.fault == _KILLED_AT else 0
            assert ended.code == expected, ended.summary
            moments += [_Moment([effect], step) for effect in effects(record, root)]
    return moments


def _cut_within(moments: Sequence[_Moment], chance: random.Random, root: Path) -> None:
    """Replace what lies in `root` by what a cut in the later half of the moments left."""
    disk = Disk()
    for moment in moments[: chance.randint(len(moments) // 2, len(moments))]:
        for effect in moment.effects:
            disk.apply(effect)
    shutil.rmtree(root)
    root.mkdir()
    disk.cut(chance, root)


def _prepared(config: RunConfig) -> Recovery:
    folder = RunFolder(Path(config.output))
    lock = acquire(folder)
    try:
        prepared = prepare(config, config.resolve_mission(), folder)
        prepared.close()
        return prepared.recovery
    finally:
        lock.release()


def _config(options: Sequence[str], folder: Path) -> RunConfig:
    plain = _plain(options)
    named = {
        name.removeprefix("--").replace("-", "_"): int(value) if value.isdecimal() else value
        for name, value in zip(plain[::2], plain[1::2], strict=True)
    }
    settings: dict[str, Any] = {**named, "output": folder, "resume": "--no-resume" not in options}
    return RunConfig(**settings)


def _plain(options: Sequence[str]) -> Sequence[str]:
    return tuple(option for option in options if option != "--no-resume")


def _journal(files: Mapping[str, bytes]) -> Iterator[bytes]:
    return (content for name, content in files.items() if name.startswith("missions/"))


def _checkpoint_of(folder: Path) -> Checkpoint | None:
    try:
        return read_checkpoint(folder / "checkpoint.json")
    except ValueError:
        return None


def _missions_in(disk: Disk) -> int:
    """Return how many missions the checkpoint on a disk speaks of."""
    content = disk.read(_FOLDER / "checkpoint.json")
    return 0 if content is None else int(json.loads(content)["missions_completed"])


def _seed_of(folder: Path) -> int | None:
    try:
        return int((folder / "run.json").read_text().partition('"seed":')[2].split(",")[0])
    except (OSError, ValueError):
        return None


@contextmanager
def _folder_in_memory() -> Iterator[Path]:
    """Give a folder whose flushes cost nothing, where there is one."""
    memory = "/dev/shm"
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="synexs_cut_", dir=where) as path:
        yield Path(path)
