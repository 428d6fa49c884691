"""SIGKILL and the orderly signals, at every call that changes the disk or hands work over.

Between two such calls a process changes nothing that outlives it, so that these are all the places
at which a kill can make a difference. They are tried in a first session, in one that goes on after
a kill, and in one that extends a complete run.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Final

from harness import (
    KILLED,
    SMALL,
    Call,
    Case,
    Extent,
    Fault,
    Findings,
    calls_of,
    first_and_last,
    go_on,
    judge,
    session,
    shim,
    tell_whether_progress_is_whole,
)

_SIGNALS: Final = {"int": 130, "int-twice": 130, "term": 143, "hup": 129}
_KILLED_AT: Final = Fault("worker", "rename", "batch", 4, "kill-main")
_FEWER: Final = ("--missions", "70", *SMALL[2:])


def cases(extent: Extent) -> list[Case]:
    """Return a case for each place and each way to end there."""
    if shim() is None:
        return []
    return [
        Case(_family(action, call), f"{start}, {fault}", partial(_check, start, fault))
        for start in _STARTS
        for call in _places(start, extent)
        for action in _actions(call, extent)
        for fault in [Fault(call.role, call.operation, call.kind, call.number, action)]
    ]


def prepared(start: str, folder: Path) -> None:
    """Bring a new folder into the state that a session is to start from."""
    if start != "first session":
        shutil.copytree(_template(start), folder)


def _places(start: str, extent: Extent) -> list[Call]:
    calls = _calls(start)
    return calls if extent == "long" else first_and_last(calls)


@cache
def _calls(start: str) -> list[Call]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        prepared(start, folder)
        return calls_of(folder)


@cache
def _template(start: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="synexs_start_")) / "run"
    _STARTS[start](folder)
    return folder


def _after_a_kill(folder: Path) -> None:
    assert session(folder, fault=_KILLED_AT).code == KILLED


def _complete(folder: Path) -> None:
    assert session(folder, _FEWER).code == 0


_STARTS: Final[dict[str, Callable[[Path], None]]] = {
    "first session": lambda folder: None,
    "session after a kill": _after_a_kill,
    "session that extends": _complete,
}


def _actions(call: Call, extent: Extent) -> Iterator[str]:
    if call.role == "worker":
        yield from ("kill", "kill-main")
    else:
        yield "kill"
    if call.operation == "write" and call.kind != "pipe":
        yield "kill-torn"
    if extent == "long":
        yield "kill-after"
        yield from _SIGNALS
        if call.role == "main":
            yield "kill-workers"
    elif call.number == 1 and call.operation in ("write", "rename"):
        yield from ("term", "int-twice")


def _family(action: str, call: Call) -> str:
    if action in _SIGNALS:
        return "two signals" if action == "int-twice" else "SIGINT, SIGTERM, SIGHUP"
    if action == "kill-workers" or (call.role == "worker" and action != "kill-main"):
        return "SIGKILL of a worker"
    return "SIGKILL of the run"


def _check(start: str, fault: Fault, scratch: Path) -> Findings:
    folder = scratch / "run"
    prepared(start, folder)
    ended = session(folder, fault=fault)
    findings = Findings(points=1, runs=1, unreached=not ended.fired)
    if ended.code not in _promised(fault, fired=ended.fired):
        findings.wrong(str(fault), ended)
    if "Traceback" in ended.out + ended.err:
        findings.wrong(f"{fault}: a traceback", ended)
    tell_whether_progress_is_whole(folder, findings)
    if ended.code == 0:
        judge(folder, findings)
    go_on(folder, findings)
    return findings


def _promised(fault: Fault, *, fired: bool) -> set[int]:
    """Return the exit codes that a session may end with."""
    if not fired:
        return {0}
    if fault.action in _SIGNALS:
        return {_SIGNALS[fault.action], 0}  # 0 where it came behind the last mission
    if fault.action == "kill-workers" or (fault.role == "worker" and fault.action != "kill-main"):
        return {0}
    return {KILLED}
