"""SIGKILL at random calls of runs of other mission kinds: plain, async, Gymnasium's, NASim's.

Their missions are simulated in worker processes or in tasks, and lost batches made again from their
records, or by playing their episodes again: ways that the team's blocks don't take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Final

from harness import Case, Extent, Fault, Findings, calls_of, scratch_folder, shim
from kills import is_promised
from starts import chain

_LAYOUT: Final = ("--seed", "21", "--batch-size", "16", "--sequence-length", "6")
_CHAINS: Final = 3
_KILLS_A_CHAIN: Final = 10
_KILLS: Final = ("kill", "kill-after", "kill-torn", "kill-workers")
_WORKER_KILLS: Final = ("kill", "kill-after", "kill-main")


@dataclass(frozen=True)
class Kind:
    """Missions of a kind, and how many of them a run has: some in each test run, or thousands."""

    family: str
    mission: str
    few: int
    many: int

    def options(self, extent: Extent) -> tuple[str, ...]:
        """Return what the command is given."""
        missions, interval = (self.few, self.few // 4) if extent == "short" else (self.many, 250)
        counts = ("--missions", str(missions), "--checkpoint-every", str(interval))
        return ("--mission", *self.mission.split(), *counts, *_LAYOUT)


KINDS: Final = (
    Kind("plain missions", "tests/plain_missions.py:walk", 400, 5_000),
    Kind("async missions", "tests/async_missions.py:shuffled", 400, 5_000),
    Kind("CartPole-v1", "gym:CartPole-v1", 400, 3_000),
    Kind("CartPole-v1, steps recorded", "gym:CartPole-v1 --record-steps", 400, 3_000),
    Kind("CartPole-v1, a policy", "gym:CartPole-v1 --policy tests/gym_worlds.py:lean", 400, 2_000),
    Kind("NASim Tiny", "gym:nasim:TinyPO-v0 --max-steps 100", 40, 2_000),
    Kind("NASim Small", "gym:nasim:SmallPO-v0 --max-steps 100", 40, 2_000),
    Kind("NASim Medium", "gym:nasim:MediumPO-v0 --max-steps 100", 40, 2_000),
)


def cases(extent: Extent) -> list[Case]:
    """Return chains of kills for each kind; in short, one for some of them."""
    if shim() is None:
        return []
    if extent == "short":
        return [
            Case(kind.family, f"SIGKILL of {kind.family}", partial(_chain, kind, "short", _SHORT))
            for kind in KINDS
            if kind.family in _IN_SHORT
        ]
    return [
        Case(kind.family, f"{kind.family}, {seed}", partial(_random_chain, kind, seed))
        for kind in KINDS
        for seed in range(_CHAINS)
    ]


_IN_SHORT: Final = ("CartPole-v1, a policy", "NASim Tiny")
_SHORT: Final = (
    Fault("worker", "rename", "batch", 2, "kill-main"),
    Fault("worker", "write", "pipe", 2, "kill"),
)


def _chain(kind: Kind, extent: Extent, faults: Sequence[Fault], scratch: Path) -> Findings:
    return chain(faults, is_promised, scratch, kind.options(extent))


def _random_chain(kind: Kind, seed: int, scratch: Path) -> Findings:
    faults = list(_random_faults(kind, Random(seed)))
    return _chain(kind, "long", faults, scratch)


def _random_faults(kind: Kind, chance: Random) -> Iterator[Fault]:
    """Give kills at calls of all kinds alike, a quarter of a run behind its start at most.

    So a run is killed several times before it comes to its end.
    """
    calls = _calls(kind)
    for _ in range(_KILLS_A_CHAIN):
        role, operation, name = chance.choice(list(calls))
        number = chance.randint(1, -(-calls[role, operation, name] // 4))
        action = chance.choice(_KILLS if role == "main" else _WORKER_KILLS)
        yield Fault(role, operation, name, number, action)


@cache
def _calls(kind: Kind) -> Counter[tuple[str, str, str]]:
    """Count the calls of each kind that an undisturbed session makes."""
    with scratch_folder() as scratch:
        calls = calls_of(scratch / "run", kind.options("long"))
    return Counter((call.role, call.operation, call.kind) for call in calls)
