"""Kills and I/O errors while `--no-resume` moves an old run aside: it stays whole, in one place."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Final

from datasets import data_set, read_json
from harness import (
    KILLED,
    SMALL,
    Call,
    Case,
    Extent,
    Fault,
    Findings,
    calls_of,
    go_on,
    session,
    shim,
)

_OLD: Final = ("--missions", "40", "--seed", "5", *SMALL[4:])
_ANEW: Final = (*SMALL, "--no-resume")
_FAMILY: Final = "moving an old run aside"


def cases(extent: Extent) -> list[Case]:
    """Return a case for each call until the new run begins, or for some of them."""
    if shim() is None:
        return []
    faults = _SHORT if extent == "short" else list(_all_faults())
    return [Case(_FAMILY, f"{_FAMILY}: {fault}", partial(_check, fault)) for fault in faults]


_SHORT: Final = [
    Fault("main", "rename", "archive", 5, "kill"),
    Fault("main", "rename", "archive", 3, "EIO"),
]


def _all_faults() -> Iterator[Fault]:
    calls = _calls()
    for call in calls[: calls.index(Call("main", "rename", "identity", 1)) + 1]:
        for action in ("kill", "kill-after", "EIO", "ENOSPC", "int"):
            yield Fault(call.role, call.operation, call.kind, call.number, action)


@cache
def _calls() -> list[Call]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        assert session(folder, _OLD).code == 0
        return calls_of(folder, _ANEW)


def _check(fault: Fault, scratch: Path) -> Findings:
    folder = scratch / "run"
    assert session(folder, _OLD).code == 0
    old = data_set(folder)
    ended = session(folder, _ANEW, fault=fault)
    findings = Findings(points=1, runs=2, unreached=not ended.fired)
    codes = (KILLED,) if fault.action.startswith("kill") else (1, 2, 130)
    harmless = not ended.fired or fault.operation == "mkdir"  # of a folder that is there already
    promised = ended.code in codes or (harmless and ended.code == 0)
    if not promised or "Traceback" in ended.err:
        findings.wrong(str(fault), ended)
    if _holds_the_old_run(folder):
        ended = session(folder, _ANEW)
        findings.runs += 1
        if ended.code != 0:
            findings.wrong("starting anew", ended)
    go_on(folder, findings)
    archived = [data_set(path) for path in (folder / "archive").iterdir()]
    if archived.count(old) != 1:
        findings.lost += 1
        findings.notes.append(f"the old run is in {archived.count(old)} places")
    return findings


def _holds_the_old_run(folder: Path) -> bool:
    there = folder / "run.json"
    return there.exists() and read_json(there)["identity"]["seed"] == 5
