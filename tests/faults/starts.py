"""The states that a session may start from, and a fault put to such a session."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final

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
    judge,
    session,
    shim,
    tell_whether_progress_is_whole,
)

Promise = Callable[[Fault, Ended], bool]
"""Whether a session with this fault may end so."""

_KILLED_AT: Final = Fault("worker", "rename", "batch", 4, "kill-main")
_FEWER: Final = ("--missions", "70", *SMALL[2:])


def _after_a_kill(folder: Path) -> None:
    """Journal and some batches are there, ahead of the checkpoint, and a torn end."""
    assert session(folder, fault=_KILLED_AT).code == KILLED
    with (folder / "missions" / "mission_000000000.jsonl").open("ab") as journal:
        journal.truncate(journal.tell() - 100)


def _complete(folder: Path) -> None:
    """A complete run, smaller than the one asked for next."""
    assert session(folder, _FEWER).code == 0


STARTS: Final[dict[str, Callable[[Path], None]]] = {
    "first session": lambda folder: None,
    "session after a kill": _after_a_kill,
    "session that extends": _complete,
}


def prepared(start: str, folder: Path) -> None:
    """Bring a new folder into the state that a session is to start from."""
    if start != "first session":
        shutil.copytree(_template(start), folder)


@cache
def calls_from(start: str) -> list[Call]:
    """Return the calls that an undisturbed session makes from this start."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        prepared(start, folder)
        return calls_of(folder)


def fault_cases(
    extent: Extent,
    chains: tuple[str, Mapping[str, Sequence[Fault]]],
    faults: Callable[[Call], Iterable[Fault]],
    family: Callable[[Fault], str],
    promised: Promise,
) -> list[Case]:
    """Return a case for each fault at each call from each start; in short, for named chains alone.

    `chains` are a family's name, and its chains by theirs.
    """
    if shim() is None:
        return []
    if extent == "short":
        return [
            Case(chains[0], name, partial(chain, chained, promised))
            for name, chained in chains[1].items()
        ]
    return [
        Case(family(fault), f"{start}, {fault}", partial(_try, start, fault, promised))
        for start in STARTS
        for call in calls_from(start)
        for fault in faults(call)
    ]


def chain(
    faults: Iterable[Fault], promised: Promise, scratch: Path, options: Sequence[str] = SMALL
) -> Findings:
    """Put one fault after the other to the sessions of a run, then go on undisturbed.

    A run that came to its end all the same is followed by a new one, in a new folder.
    """
    findings = Findings()
    runs, is_complete = 0, False
    folder = scratch / "run0"
    for fault in faults:
        there = committed(folder)
        ended = _disturb(folder, fault, promised, findings, options)
        findings.lost += max(there - committed(folder), 0)
        is_complete = ended.code == 0
        if is_complete:
            runs += 1
            folder = scratch / f"run{runs}"
    if not is_complete:
        go_on(folder, findings, options)
    return findings


def _try(start: str, fault: Fault, promised: Promise, scratch: Path) -> Findings:
    """Put one fault to one session, then go on undisturbed."""
    folder = scratch / "run"
    prepared(start, folder)
    findings = Findings()
    _disturb(folder, fault, promised, findings)
    go_on(folder, findings)
    return findings


def _disturb(
    folder: Path,
    fault: Fault,
    promised: Promise,
    findings: Findings,
    options: Sequence[str] = SMALL,
) -> Ended:
    ended = session(folder, options, fault=fault)
    findings.points += 1
    findings.runs += 1
    findings.unreached += not ended.fired
    if not promised(fault, ended):
        findings.wrong(str(fault), ended)
    if "Traceback" in ended.out + ended.err:
        findings.wrong(f"{fault}: a traceback", ended)
    tell_whether_progress_is_whole(folder, findings)
    if ended.code == 0:
        judge(folder, findings, options)
    return ended


@cache
def _template(start: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="synexs_start_")) / "run"
    STARTS[start](folder)
    return folder
