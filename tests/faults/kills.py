"""SIGKILL and the orderly signals, at every call that changes the disk or hands work over.

Between two such calls a process changes nothing that outlives it, so that these are all the places
at which a kill can make a difference. They are tried in a first session, in one that goes on after
a kill, and in one that extends a complete run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness import KILLED, Call, Case, Ended, Extent, Fault
from starts import fault_cases

SIGNALS: Final = {"int": 130, "int-twice": 130, "term": 143, "hup": 129}
_WORKER: Final = (("open", "batch"), ("write", "batch"), ("rename", "batch"), ("write", "pipe"))
_MAIN: Final = (
    *(("mkdir", "folder"), ("write", "lock"), ("mkdir", "journals"), ("write", "identity")),
    *(("rename", "identity"), ("fsync", "folder"), ("unlink", "index"), ("open", "journal")),
    *(("write", "journal"), ("write", "pipe"), ("write", "ledger"), ("syncfs", "folder")),
    *(("write", "checkpoint"), ("fsync", "checkpoint"), ("rename", "checkpoint")),
    *(("rename", "progress"), ("rename", "series"), ("write", "log"), ("write", "index")),
    *(("rename", "index"), ("fsync", "batches"), ("rename", "report")),
)
_WRITTEN: Final = (
    *(("identity", 1), ("journal", 1), ("journal", 2), ("ledger", 1), ("ledger", 2)),
    *(("checkpoint", 2), ("progress", 1), ("series", 1), ("index", 1), ("log", 1)),
)


def cases(extent: Extent) -> list[Case]:
    """Return a case for each call and each way to disturb it, or for chains of them."""
    return fault_cases(extent, ("kills and signals", _CHAINS), _faults, _family, is_promised)


_CHAINS: Final[dict[str, list[Fault]]] = {
    "SIGKILL at the first call of each kind": [
        Fault("main", operation, kind, 1, "kill") for operation, kind in _MAIN
    ],
    "SIGKILL after a later call": [
        Fault("main", operation, kind, number, "kill-after")
        for operation, kind, number in (
            *(("write", "pipe", 2), ("write", "journal", 3), ("rename", "checkpoint", 3)),
            *(("syncfs", "folder", 2), ("write", "ledger", 2), ("fsync", "folder", 3)),
            *(("fsync", "checkpoint", 2), ("rename", "index", 1), ("rename", "progress", 3)),
            *(("fsync", "batches", 1), ("rename", "checkpoint", 1)),
        )
    ],
    "SIGKILL in the middle of a write": [
        Fault("main", "write", kind, number, "kill-torn") for kind, number in _WRITTEN
    ],
    "SIGKILL of a worker, and of the run while a worker writes": [
        Fault("worker", operation, kind, number, action)
        for operation, kind in _WORKER
        for number, action in ((1, "kill"), (2, "kill-main"))
    ],
    "signals": [
        Fault("main", operation, kind, 1, action)
        for (operation, kind), action in zip(
            (("mkdir", "journals"), ("rename", "identity"), ("write", "journal"),
             ("write", "pipe"), ("write", "ledger"), ("rename", "checkpoint"),
             ("syncfs", "folder"), ("rename", "index"), ("rename", "report")),
            (*SIGNALS, *SIGNALS, "int-twice"),
            strict=True,
        )
    ],
}  # fmt: skip


def is_promised(fault: Fault, ended: Ended) -> bool:
    """Whether a session with this kill, or this signal, may end so."""
    if not ended.fired or _is_at_a_worker(fault):
        return ended.code == 0
    if fault.action in SIGNALS:
        return ended.code in (SIGNALS[fault.action], 0)  # 0 where it came behind the last mission
    return ended.code == KILLED


def _faults(call: Call) -> Iterator[Fault]:
    actions = ["kill", "kill-after", *SIGNALS]
    if call.operation == "write" and call.kind != "pipe":
        actions.append("kill-torn")
    actions.append("kill-workers" if call.role == "main" else "kill-main")
    for action in actions:
        yield Fault(call.role, call.operation, call.kind, call.number, action)


def _family(fault: Fault) -> str:
    if fault.action in SIGNALS:
        return "two signals" if fault.action == "int-twice" else "SIGINT, SIGTERM, SIGHUP"
    return "SIGKILL of a worker" if _is_at_a_worker(fault) else "SIGKILL of the run"


def _is_at_a_worker(fault: Fault) -> bool:
    return fault.action == "kill-workers" or (
        fault.role == "worker" and fault.action.startswith("kill") and fault.action != "kill-main"
    )
