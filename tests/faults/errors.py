"""I/O errors at every call that changes the disk or hands work over.

What holds data and can't be written stops the run with exit code 1, one line, and the way to go on.
A log, a progress file, a series or a report that can't be written stops nothing. A short write is
none of both: the rest follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from harness import Call, Case, Ended, Extent, Fault
from starts import fault_cases

_ERRORS: Final = ("EIO", "ENOSPC", "EACCES")
_HARMLESS: Final = ("progress", "series", "log", "logs", "report")
_FAMILIES: Final = {"short": "short writes", "EINTR": "interrupted calls", "full": "disk full"}


def cases(extent: Extent) -> list[Case]:
    """Return a case for each call and each way to disturb it, or for chains of them."""
    return fault_cases(extent, ("I/O errors", _CHAINS), _faults, _family, _is_promised)


_CHAINS: Final[dict[str, list[Fault]]] = {
    "errors where the run is set up": [
        Fault("main", operation, kind, number, action)
        for operation, kind, number, action in (
            *(("mkdir", "folder", 1, "EACCES"), ("open", "lock", 1, "EACCES")),
            *(("write", "lock", 1, "ENOSPC"), ("mkdir", "journals", 1, "ENOSPC")),
            *(("write", "identity", 1, "ENOSPC"), ("fsync", "identity", 1, "EIO")),
            *(("rename", "identity", 1, "EIO"), ("fsync", "folder", 1, "EIO")),
            *(("write", "checkpoint", 1, "ENOSPC"), ("open", "log", 1, "EACCES+")),
        )
    ],
    "errors of what holds data": [
        Fault(role, operation, kind, number, action)
        for role, operation, kind, number, action in (
            *(("main", "open", "journal", 1, "EACCES"), ("main", "write", "journal", 1, "ENOSPC")),
            *(("main", "write", "journal", 2, "full"), ("worker", "open", "batch", 1, "EACCES")),
            *(("worker", "write", "batch", 1, "full"), ("worker", "rename", "batch", 1, "EIO")),
            *(("main", "write", "ledger", 1, "ENOSPC"), ("main", "syncfs", "folder", 1, "EIO")),
            *(("main", "fsync", "checkpoint", 2, "EIO"), ("main", "write", "index", 1, "full")),
            *(("main", "rename", "index", 1, "EIO"), ("main", "fsync", "batches", 1, "EIO")),
        )
    ],
    "errors of what holds none, and short writes": [
        Fault(role, operation, kind, 1, action)
        for role, operation, kind, action in (
            *(("main", "write", "log", "ENOSPC+"), ("main", "write", "progress", "ENOSPC+")),
            *(("main", "rename", "progress", "EIO+"), ("main", "write", "journal", "short+")),
            *(("worker", "write", "batch", "short+"), ("worker", "write", "pipe", "EIO")),
            *(("main", "write", "pipe", "EIO"), ("main", "write", "*", "EINTR")),
        )
    ],
}


def _faults(call: Call) -> Iterator[Fault]:
    actions = list(_ERRORS)
    if call.number == 1:
        actions += [f"{error}+" for error in _ERRORS]
    if call.operation == "write" and call.kind != "pipe":
        actions += ["short", "short+", "full"]
    if call.operation in ("write", "open"):
        actions.append("EINTR")
    for action in actions:
        yield Fault(call.role, call.operation, call.kind, call.number, action)


def _family(fault: Fault) -> str:
    if fault.action.rstrip("+") in _FAMILIES:
        return _FAMILIES[fault.action.rstrip("+")]
    return f"{fault.action.rstrip('+')} at a call"


def _is_promised(fault: Fault, ended: Ended) -> bool:
    action = fault.action.rstrip("+")
    if not ended.fired or action in ("short", "EINTR"):
        return ended.code == 0
    if fault.kind in _HARMLESS and fault.operation != "mkdir":
        if ended.code == 0:
            told = re.findall(r"(log|json) can't be written", ended.out)
            return len(told) == len(set(told))  # once of each
        if action != "full":  # which takes all that is written afterwards
            return False
    if ended.code == 0:  # tried again, there already, or not ours to flush
        return (
            fault.kind in ("pipe", "lock")
            or fault.operation == "mkdir"
            or (fault.kind == "parents" and action == "EACCES")
        )
    if ended.code == 2:
        return fault.kind in ("parents", "folder", "lock") and ended.err.count("\n") == 1
    return ended.code == 1 and ended.err.count("\n") == 1 and "go on with: " in ended.err
