"""Cuts of the power, on an ext4 file system of the run's own, and simulated on a weaker one.

A real cut stops the file system in the middle of a session, without what it had in memory, and
mounts it again. That needs root and loop devices; where there are none, those cases are skipped.
"""

from __future__ import annotations

import os
import select
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final

from datasets import data_set
from ext4 import Ext4, mounted_ext4
from harness import (
    KILLED,
    SMALL,
    Call,
    Case,
    Ended,
    Extent,
    Fault,
    Findings,
    calls_of,
    committed,
    go_on,
    reference,
    session,
    shim,
)
from simulated import simulated_cases

from synexs_async.storage.checkpoint import read_checkpoint

_FAMILY: Final = "power cut, ext4"
_FEWER: Final = ("--missions", "70", *SMALL[2:])
_SINGLE: Final = (*SMALL, "--mission-files", "single")
_MOUNTS: Final = ("data=ordered", "data=writeback")
_CUTS: Final = (
    *("cut", "cut-log", "cut-tail-log", "cut-some", "cut-some-log", "cut-tail", "cut-all"),
)
_SHORT: Final = (
    ("first session", Fault("main", "write", "journal", 3, "cut-tail-log"), _MOUNTS[0]),
    ("first session", Fault("main", "rename", "checkpoint", 3, "cut"), _MOUNTS[1]),
    ("session that extends", Fault("worker", "rename", "batch", 2, "cut-some-log"), _MOUNTS[0]),
)


def cases(extent: Extent) -> list[Case]:
    """Return the cases of both kinds."""
    if shim() is None:
        return []
    return [*_real_cases(extent), *simulated_cases(extent)]


def _real_cases(extent: Extent) -> Iterator[Case]:
    for start, fault, mount in _SHORT if extent == "short" else _places():
        yield Case(_FAMILY, f"{start}, {fault}, {mount}", partial(_check, start, fault, mount))
    for mount in _MOUNTS[:1] if extent == "short" else _MOUNTS:
        name = f"after the end, {mount}"
        yield Case(_FAMILY, name, partial(_check, "first session", None, mount))


def _places() -> Iterator[tuple[str, Fault, str]]:
    """Put a cut to every call, one kind of cut after the other; of many like calls to some."""
    number = 0
    for start in _STARTS:
        for call in _calls(start)[:: 6 if "single" in start else 1]:
            action, mount = _CUTS[number % len(_CUTS)], _MOUNTS[number // len(_CUTS) % 2]
            number += 1
            yield start, Fault(call.role, call.operation, call.kind, call.number, action), mount


def _check(start: str, fault: Fault | None, mount: str, scratch: Path) -> Findings:
    """Cut the power in a session, or just after it, and let the command go on."""
    options = _STARTS[start]
    findings = Findings(points=1, runs=1)
    with mounted_ext4(scratch, mount) as disk:
        folder = disk.root / "run"
        _prepare(start, folder)
        disk.restart()
        ended, calls = _session(disk, scratch, options, fault)
        if ended.code != (KILLED if fault else 0):
            findings.unreached = int(ended.code == 0)
            if ended.code != 0:
                findings.wrong("the session to be cut", ended)
        if ended.code == 0:
            disk.cut()
        disk.restart()
        missions = _promised(start, calls)
        try:
            seen = read_checkpoint(folder / "checkpoint.json")
        except ValueError as error:
            findings.wrong(str(error))
            return findings
        missions = max(missions, seen.mark.missions if seen else 0)
        there = committed(folder)
        if there < missions or not _begins_right(folder, options, missions):
            findings.lost += max(missions - there, 1)
            findings.notes.append(f"of {missions} missions, {there} are left")
        if ended.code == 0 and data_set(folder) != reference(options):
            findings.differences += 1
            findings.notes.append("the data set was said to be complete, and is not as it was")
        go_on(folder, findings, options)
    return findings


def _session(
    disk: Ext4, scratch: Path, options: Sequence[str], fault: Fault | None
) -> tuple[Ended, Sequence[Sequence[str]]]:
    """Run a session until its power is cut; return its end, and what it called."""
    trace = scratch / "trace"
    env = {"SHIM_DISK": str(disk.root)}
    ended = session(disk.root / "run", options, fault=fault, trace=trace, env=env)
    calls = [line.split("\t") for line in trace.read_text().splitlines()]
    for process in {int(pid) for _, pid, *_ in calls}:
        _wait_for(process)
    return ended, calls


def _wait_for(process: int) -> None:
    """Wait until a process, which need not be ours, has closed all that it had open."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        select.select([descriptor], [], [])
    finally:
        os.close(descriptor)


def _promised(start: str, calls: Sequence[Sequence[str]]) -> int:
    """Return how many missions the last checkpoint speaks of that was saved before the cut."""
    at_start, *saved = _SAVED[start]
    steps = (("rename", "checkpoint"), ("fsync", "folder"))
    promised, step = at_start, 0
    for call in [(call[2], call[3]) for call in calls if call[0] == "main"]:
        if step == len(steps):  # the flush has returned, as something comes after it
            promised, step = saved.pop(0), 0
        step += step < len(steps) and call == steps[step]
    return promised


def _begins_right(folder: Path, options: Sequence[str], missions: int) -> bool:
    """Whether the first records are those of an undisturbed run, byte by byte."""
    files = sorted((folder / "missions").glob("mission_*.jsonl"))
    expected = b"".join(v for k, v in reference(options).items() if k.startswith("missions/"))
    lines = b"".join(expected.splitlines(keepends=True)[:missions])
    return b"".join(file.read_bytes() for file in files).startswith(lines)


def _prepare(start: str, folder: Path) -> None:
    """Bring a new folder into the state that a session is to start from."""
    if start in _TEMPLATES:
        shutil.copytree(_template(start), folder)


@cache
def _template(start: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="synexs_start_")) / "run"
    if start == "session that extends":
        assert session(folder, _FEWER).code == 0
        return folder
    fault = Fault("main", "rename", "checkpoint", 3, "cut-tail-log")
    with (
        tempfile.TemporaryDirectory() as scratch,
        mounted_ext4(Path(scratch), _MOUNTS[0]) as disk,
    ):
        ended, _ = _session(disk, Path(scratch), SMALL, fault)
        assert ended.code == KILLED, ended.summary
        disk.restart()
        shutil.copytree(disk.root / "run", folder)
    return folder


@cache
def _calls(start: str) -> Sequence[Call]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        _prepare(start, folder)
        return calls_of(folder, _STARTS[start])


_STARTS: Final = {
    "first session": SMALL,
    "session after a cut": SMALL,
    "session that extends": SMALL,
    "first session of single files": _SINGLE,
}
_SAVED: Final[Mapping[str, Sequence[int]]] = {  # at the start, then with each checkpoint
    "first session": (0, 0, 40, 80, 100),
    "session after a cut": (40, 80, 100),
    "session that extends": (70, 70, 80, 100),
    "first session of single files": (0, 0, 40, 80, 100),
}
_TEMPLATES: Final = ("session after a cut", "session that extends")
