"""Simulating the same missions in several ways, each of which has to give the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from synexs_async.doctor.child import Ask, Order, Seen, Unloadable
from synexs_async.errors import MissionError
from synexs_async.missions.asynchronous import AsyncMission
from synexs_async.missions.mission import Mission
from synexs_async.missions.simulation import Raised
from synexs_async.verification.differences import difference_of_lines

Verdict = Literal["reproducible", "needs global seeding", "not reproducible"]

IN_ORDER: Final = "in order"
UNSEEDED: Final = "without seeding random and numpy.random"

_MOST_ENDED: Final = 3  # processes; each may have taken as long as it was given
_HASH_SEED, _OTHER_HASH_SEED = 0, 1
_Reply = list[Seen | Raised] | Unloadable | None
_decode: Final = msgspec.json.Decoder(_Reply).decode


class Finding(Struct, frozen=True):
    """A mission that is not the same each time, or breaks the protocol.

    Attributes:
        index: the mission.
        way: the way of simulating it that showed it.
        field: the first field that differs; "" where it is not one field.
        expected: what the first simulation, in order, gave.
        found: what this way gave.
        problem: a sentence instead, where nothing was compared.
    """

    index: int
    way: str
    field: str = ""
    expected: str = ""
    found: str = ""
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"mission {self.index}, {self.way}: {self.problem}"
        place = f", {self.field}" if self.field else ""
        return f"mission {self.index}, {self.way}{place}: {self.expected}, then {self.found}"


class Diagnosis(Struct, frozen=True):
    """What the doctor found.

    Attributes:
        mission: the kind's name.
        missions: how many were simulated in each way.
        ways: the ways in which they were; less than all, where too many ended their process.
        verdict: what follows.
        findings: what speaks against it; at most one for each mission and way.
        drawn: the first mission that draws from the process's own generators.
        raised: missions whose own code raised, by index, each with the exception in a line.
        reworded: those of them whose exception said something else another time.
    """

    mission: str
    missions: int
    ways: list[str]
    verdict: Verdict
    findings: list[Finding]
    drawn: Finding | None
    raised: dict[int, str]
    reworded: list[int]


@dataclass(frozen=True)
class Examination:
    """Which missions to simulate, of what.

    Attributes:
        mission: the kind, with its parameters.
        source: what names it, in another process too.
        parameters: its parameters as tables.
        seed: the seed of the missions that are compared.
        missions: how many there are, from 0.
        timeout: seconds for each.
    """

    mission: Mission
    source: str
    parameters: dict[str, Any] | None
    seed: int
    missions: int
    timeout: float

    def diagnose(self) -> Diagnosis:
        """Simulate them in each way, and compare.

        Raises:
            MissionError: the kind can't be had in another process.
        """
        own = [Ask(self.seed, index, 1) for index in range(self.missions)]
        other_seed = self.seed - 1 if self.seed else 1
        between = [Ask(other_seed, index + self.missions, 1) for index in range(self.missions)]
        mixed = [ask for pair in zip(between, own, strict=True) for ask in pair]
        ways = {
            IN_ORDER: own,
            "once more": own,
            "in reverse order": own[::-1],
            "between other missions": mixed,
        }
        size = min(self.mission.block_size, self.missions)
        if size > 1:
            ways[f"in blocks of {size}"] = [
                Ask(self.seed, first, min(size, self.missions - first))
                for first in range(0, self.missions, size)
            ]
        if isinstance(self.mission, AsyncMission):
            ways["side by side"] = [Ask(self.seed, 0, self.missions, side_by_side=True)]
        comparison = _Comparison(self.seed)
        self._simulate(ways, comparison)
        fresh = f"in a fresh process, PYTHONHASHSEED={_OTHER_HASH_SEED}"
        self._simulate({fresh: own}, comparison, hash_seed=_OTHER_HASH_SEED)
        unseeded = _Comparison(self.seed, first=comparison.first, ended=comparison.ended)
        if not comparison.findings:  # else it could be anything that differs
            self._simulate({UNSEEDED: own}, unseeded, seeds_generators=False)
        drawn = unseeded.findings[0] if unseeded.findings else None
        verdict: Verdict = "reproducible" if drawn is None else "needs global seeding"
        if comparison.findings:
            verdict = "not reproducible"
        raised = {
            index: seen.sentence
            for index, seen in sorted(comparison.first.items())
            if isinstance(seen, Raised)
        }
        return Diagnosis(
            self.mission.name,
            self.missions,
            [*comparison.ways, *unseeded.ways],
            verdict,
            comparison.findings,
            drawn,
            raised,
            sorted(comparison.reworded),
        )

    def _simulate(
        self,
        ways: dict[str, list[Ask]],
        comparison: _Comparison,
        *,
        hash_seed: int = _HASH_SEED,
        seeds_generators: bool = True,
    ) -> None:
        """Simulate in one process, or in another from where a mission ended it."""
        left = _without(
            comparison.ended, [(way, ask) for way, asks in ways.items() for ask in asks]
        )
        while left and len(comparison.ended) < _MOST_ENDED:
            order = Order(
                self.source,
                self.parameters,
                self.timeout,
                seeds_generators,
                [ask for _, ask in left],
            )
            replies, code = _run(order, hash_seed)
            if not replies or isinstance(replies[0], Unloadable):
                refusal = replies[0] if replies else None
                reason = refusal.reason if isinstance(refusal, Unloadable) else _ending(code)
                raise MissionError(self.source, f"can't be had in another process ({reason})")
            done = 0
            for (way, ask), parts in zip(left, replies[1:], strict=False):
                assert isinstance(parts, list)
                if ask.seed == self.seed:
                    comparison.add(way, parts)
                done += 1
            if done == len(left):
                return
            way, ask = left[done]
            comparison.add_ended(way, ask, _ending(code, self.timeout * ask.count))
            left = _without(comparison.ended, left[done + 1 :])


@dataclass
class _Comparison:
    """What each mission gave at first, and where it gave something else."""

    seed: int
    first: dict[int, Seen | Raised] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    reworded: set[int] = field(default_factory=set)
    ways: dict[str, None] = field(default_factory=dict)  # in which anything was simulated

    def add(self, way: str, parts: Sequence[Seen | Raised]) -> None:
        self.ways[way] = None
        for part in parts:
            before = self.first.setdefault(part.index, part)
            raised_twice = isinstance(part, Raised) and isinstance(before, Raised)
            if raised_twice and _told(part) != _told(before):
                self.reworded.add(part.index)
            if isinstance(part, Seen) and part.problem and before is part:
                self.findings.append(Finding(part.index, way, problem=part.problem))
            elif difference := _difference(before, part):
                self.findings.append(Finding(part.index, way, *difference))

    def add_ended(self, way: str, ask: Ask, ending: str) -> None:
        self.ways[way] = None
        self.ended.add(ask.first)
        which = "it" if ask.seed == self.seed else f"mission {ask.first} of seed {ask.seed}"
        self.findings.append(Finding(ask.first, way, problem=f"{which} {ending}"))


def _without(ended: set[int], asks: list[tuple[str, Ask]]) -> list[tuple[str, Ask]]:
    """Leave out what has ended a process, and so would again."""
    return [
        (way, ask) for way, ask in asks if ended.isdisjoint(range(ask.first, ask.first + ask.count))
    ]


def _difference(before: Seen | Raised, now: Seen | Raised) -> tuple[str, str, str] | None:
    """Name the first field in which a mission is not what it was, what it was, and what it is."""
    if isinstance(before, Raised) or isinstance(now, Raised):
        same = isinstance(before, Raised) and isinstance(now, Raised) and before.error == now.error
        # A journal has the exception's type alone: what it says may be another.
        return None if same else ("", _told(before), _told(now))
    if before.line != now.line:
        return difference_of_lines(before.line, now.line)
    if before.problem != now.problem:
        return "", before.problem or "a valid block", now.problem or "a valid block"
    if before.rest != now.rest:
        return "features, label or metrics", "one value", "another, of the same journal line"
    return None


def _told(seen: Seen | Raised) -> str:
    return f"raised {seen.sentence}" if isinstance(seen, Raised) else "did not raise"


def _run(order: Order, hash_seed: int) -> tuple[list[_Reply], int]:
    """Run a process to its end; return its whole replies, and its exit code."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    with tempfile.TemporaryFile() as replies:  # a pipe would wait for a mission's own children too
        finished = subprocess.run(
            [sys.executable, "-P", "-m", "synexs_async.doctor.child"],
            input=msgspec.msgpack.encode(order),
            stdout=replies,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a mission that signals its group must not end this process
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(hash_seed)},
            check=False,
        )
        replies.seek(0)
        whole = replies.read().split(b"\n")[:-1]
    return [_decode(line) for line in whole], finished.returncode


def _ending(code: int, seconds: float | None = None) -> str:
    if code == -signal.SIGALRM and seconds is not None:
        return f"took longer than {seconds:g} s"
    if code < 0:
        return f"ended its process by signal {-code}"
    return f"ended its process with exit code {code}"
