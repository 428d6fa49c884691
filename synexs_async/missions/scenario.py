"""The parameters of the team mission: a mix of difficulties and the ranges of each."""

from __future__ import annotations

import math
import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from synexs_async.errors import ScenarioError
from synexs_async.missions.parameters import explain, parse_tables, read_tables

SIGNALS: Final = (
    "suspicious_timing",
    "fake_vulnerabilities",
    "too_easy_access",
    "honeyd_signature",
    "unrealistic_services",
    "bait_files",
    "fake_credentials",
)

_SHARE_TOLERANCE: Final = 1e-9
Fraction = Annotated[float, Meta(ge=0, le=1)]
SignalCount = Annotated[int, Meta(ge=0, le=len(SIGNALS))]


class Difficulty(Struct, frozen=True, forbid_unknown_fields=True):
    """One difficulty: its share of all missions, and [lowest, highest] of what is drawn."""

    share: Fraction
    risk_level: tuple[Fraction, Fraction]
    success_probability: tuple[Fraction, Fraction]
    detection_likelihood: tuple[Fraction, Fraction]
    honeypot_signals: tuple[SignalCount, SignalCount]
    defenses: tuple[str, ...]


class Scenario(Struct, frozen=True, forbid_unknown_fields=True):
    """The four difficulties of a team mission."""

    easy: Difficulty
    medium: Difficulty
    hard: Difficulty
    honeypot: Difficulty

    def by_name(self) -> dict[str, Difficulty]:
        """Return the difficulties in the order in which they are drawn."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


def default_scenario_text() -> str:
    """Return the built-in scenario as TOML, with comments: a file to start from."""
    return resources.files(__package__).joinpath("default_scenario.toml").read_text("utf-8")


@cache
def default_scenario() -> Scenario:
    """Return the built-in scenario."""
    return parse_scenario(default_scenario_text(), "built-in scenario")


def load_scenario(path: str | os.PathLike[str]) -> Scenario:
    """Read a scenario from a TOML file; ScenarioError says what is wrong with it."""
    return make_scenario(read_tables(Path(path), ScenarioError), str(path))


def parse_scenario(text: str, source: str) -> Scenario:
    """Make a scenario from TOML text; `source` is what errors call it."""
    return make_scenario(parse_tables(text, source, ScenarioError), source)


def make_scenario(tables: dict[str, Any], source: str) -> Scenario:
    """Make a scenario from TOML's tables; `source` is what errors call where they came from."""
    _refuse_unknown_keys(tables, source)
    try:
        scenario = msgspec.convert(tables, Scenario)
    except msgspec.ValidationError as error:
        raise ScenarioError(source, *explain(str(error), tables)) from error
    _check(scenario, source)
    return scenario


def checked_scenario(scenario: Scenario) -> Scenario:
    """Return a scenario as it is when its run's identity is read again.

    A program may put whole numbers where the type says floats, or nonsense: nothing checks a
    struct when it is made.
    """
    return make_scenario(msgspec.to_builtins(scenario), "scenario")


def _refuse_unknown_keys(tables: dict[str, Any], source: str) -> None:
    """Name the first unknown key; done here, as a key of the file may look like a message."""
    for name, table in tables.items():
        known = Difficulty.__struct_fields__ if name in Scenario.__struct_fields__ else None
        if known is None:
            raise ScenarioError(source, name, "is unknown; expected no such key")
        for key in table if isinstance(table, dict) else ():
            if key not in known:
                raise ScenarioError(source, f"{name}.{key}", "is unknown; expected no such key")


def _check(scenario: Scenario, source: str) -> None:
    """Check what the types can't say."""
    for name, difficulty in scenario.by_name().items():
        for field in difficulty.__struct_fields__:
            value = getattr(difficulty, field)
            if field not in ("share", "defenses") and value[0] > value[1]:
                problem = f"expected the lowest value first, not {list(value)}"
                raise ScenarioError(source, f"{name}.{field}", problem)
        for defense in difficulty.defenses:
            if not (defense and defense.isprintable()):
                problem = f"expected names of printable characters, not {defense!r}"
                raise ScenarioError(source, f"{name}.defenses", problem)
    shares = [difficulty.share for difficulty in scenario.by_name().values()]
    if abs(math.fsum(shares) - 1) > _SHARE_TOLERANCE:
        listed = " + ".join(f"{share:g}" for share in shares)
        problem = f"expected shares that sum to 1, not {listed} = {math.fsum(shares):g}"
        raise ScenarioError(source, "share", problem)
