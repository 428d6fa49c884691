"""The options of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from synexs_async import ConfigError, RunConfig, Scenario, TeamMission, default_scenario
from synexs_async.config import available_cores, derived_team_id, identity_of

WHOLE = "a whole number, "


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("missions", 0, f"{WHOLE}between 1 and 1,000,000,000"),
        ("missions", -5, f"{WHOLE}between 1 and 1,000,000,000"),
        ("missions", 10**9 + 1, f"{WHOLE}between 1 and 1,000,000,000"),
        ("missions", 10.0, f"{WHOLE}between 1 and 1,000,000,000"),
        ("missions", "10", f"{WHOLE}between 1 and 1,000,000,000"),
        ("missions", True, f"{WHOLE}between 1 and 1,000,000,000"),
        ("missions", None, f"{WHOLE}between 1 and 1,000,000,000"),
        ("seed", -1, f"{WHOLE}between 0 and {2**64 - 1:,}"),
        ("seed", 2**64, f"{WHOLE}between 0 and {2**64 - 1:,}"),
        ("seed", 0.5, f"{WHOLE}between 0 and {2**64 - 1:,}"),
        ("batch_size", 0, f"{WHOLE}between 1 and 1,000,000,000"),
        ("batch_size", 3.2, f"{WHOLE}between 1 and 1,000,000,000"),
        ("batch_size", 10**20, f"{WHOLE}between 1 and 1,000,000,000"),
        ("sequence_length", 0, f"{WHOLE}between 1 and 1,000,000,000"),
        ("sequence_length", 10**20, f"{WHOLE}between 1 and 1,000,000,000"),
        ("workers", 0, f"{WHOLE}1 or more"),
        ("workers", -1, f"{WHOLE}1 or more"),
        ("workers", "all", f"{WHOLE}1 or more"),
        ("checkpoint_every", 0, f"{WHOLE}1 or more"),
        ("checkpoint_every", False, f"{WHOLE}1 or more"),
        ("grace", -0.1, "a number of seconds, 0 or more"),
        ("grace", float("nan"), "a number of seconds, 0 or more"),
        ("grace", float("inf"), "a number of seconds, 0 or more"),
        ("grace", "30", "a number of seconds, 0 or more"),
        ("grace", None, "a number of seconds, 0 or more"),
        ("team_id", "", "a text of printable characters"),
        ("team_id", "two\nlines", "a text of printable characters"),
        ("team_id", "\ud800", "a text of printable characters"),
        ("team_id", 7, "a text of printable characters"),
        ("mission_files", "many", "one of journal, single"),
        ("mission_files", None, "one of journal, single"),
        ("on_error", "ignore", "one of stop, record"),
        ("log_level", "LOUD", "one of TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL"),
        ("log_level", "debug", "one of TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL"),
    ],
)
def test_a_bad_value_is_refused_with_its_option_and_what_was_expected(
    option: str, value: Any, expected: str
) -> None:
    """A wrong option is told before anything is done."""
    with pytest.raises(ConfigError) as caught:
        RunConfig(**{option: value})

    error = caught.value
    assert (option, expected) == (error.option, error.expected)
    assert error.value is value
    assert f"{option}: expected {expected}, not {value!r}" == str(error)


@pytest.mark.parametrize(("option", "value"), [("output", 5), ("output", None), ("resume", "no")])
def test_a_value_of_a_wrong_type_is_refused(option: str, value: Any) -> None:
    """What is no path, or neither true nor false, is told as any other bad value is."""
    with pytest.raises(ConfigError) as caught:
        RunConfig(**{option: value})

    assert (option, value) == (caught.value.option, caught.value.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("missions", 1),
        ("missions", 10**9),
        ("seed", 0),
        ("seed", 2**64 - 1),
        ("batch_size", 1),
        ("batch_size", 10**9),
        ("sequence_length", 1),
        ("sequence_length", 10**9),
        ("workers", 1),
        ("checkpoint_every", 1),
        ("grace", 0),
        ("grace", 0.5),
        ("team_id", "équipe 漢"),
        ("mission_files", "single"),
        ("on_error", "record"),
        ("log_level", "TRACE"),
        ("resume", False),
    ],
)
def test_bounds_themselves_are_allowed(option: str, value: Any) -> None:
    """The smallest and the largest value of every option make a run."""
    assert value == getattr(RunConfig(**{option: value}), option)


def test_the_output_may_be_a_text() -> None:
    """A path can be given as a plain text."""
    output: Any = "runs/seven"

    assert Path("runs/seven") == RunConfig(output=output).output


def test_a_configuration_does_not_change() -> None:
    """What was validated stays as it is."""
    config: Any = RunConfig()

    with pytest.raises(AttributeError):
        config.missions = 0


@pytest.mark.parametrize(
    ("missions", "interval"),
    [
        *((1, 10), (100, 10), (101, 50), (1000, 50), (1001, 100), (10_000, 100)),
        *((10_001, 500), (10**9, 500)),
    ],
)
def test_checkpoints_come_less_often_in_larger_runs(missions: int, interval: int) -> None:
    """Every 10 missions up to 100, every 50 up to 1,000, every 100 up to 10,000, else 500."""
    assert interval == RunConfig(missions=missions).checkpoint_interval


def test_a_checkpoint_interval_that_is_given_is_taken_at_its_word() -> None:
    """`--checkpoint-every` overrides the adaptive interval."""
    assert RunConfig(missions=10**6, checkpoint_every=7).checkpoint_interval == 7


def test_one_core_is_left_to_the_mission_loop() -> None:
    """There are as many workers as other cores, and at least one."""
    cores = len(os.sched_getaffinity(0))

    assert cores == available_cores()
    assert max(cores - 1, 1) == RunConfig().worker_count


def test_workers_that_are_given_are_taken_at_their_word() -> None:
    """`--workers` overrides the number of cores."""
    assert RunConfig(workers=13).worker_count == 13


def test_a_single_core_has_one_worker() -> None:
    """A run on one core has a worker all the same."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert RunConfig().worker_count == 1
    finally:
        os.sched_setaffinity(0, allowed)


class TestIdentity:
    """What the data set of a run is a function of."""

    @pytest.mark.parametrize(
        "other",
        [
            {"missions": 999},
            {"output": "elsewhere"},
            {"team_id": "another"},
            {"resume": False},
            {"workers": 9},
            {"checkpoint_every": 3},
            {"grace": 0},
            {"log_level": "ERROR"},
            {"on_error": "record"},
        ],
    )
    def test_it_leaves_out_what_does_not_change_the_data(self, other: dict[str, Any]) -> None:
        """A run may grow, and be taken on with other workers or settings."""
        expected = identity_of(RunConfig(), TeamMission())

        assert expected == identity_of(RunConfig(**other), TeamMission())

    @pytest.mark.parametrize(
        "other",
        [{"seed": 1}, {"batch_size": 16}, {"sequence_length": 9}, {"mission_files": "single"}],
    )
    def test_it_holds_what_changes_the_data(self, other: dict[str, Any]) -> None:
        """Other data is another run."""
        ((name, value),) = other.items()
        expected = msgspec.structs.replace(identity_of(RunConfig(), TeamMission()), **other)

        assert expected == identity_of(RunConfig(**other), TeamMission())
        assert value != getattr(identity_of(RunConfig(), TeamMission()), name)

    def test_it_holds_the_mission_kind_and_its_scenario(self) -> None:
        """Another scenario is another run, and so is another version of the mission."""
        scenario = default_scenario()
        swapped = Scenario(scenario.hard, scenario.medium, scenario.easy, scenario.honeypot)

        identity = identity_of(RunConfig(), TeamMission(swapped))

        assert ("team", 1) == (identity.mission, identity.mission_version)
        assert msgspec.json.decode(msgspec.json.encode(swapped)) == identity.parameters
        assert identity != identity_of(RunConfig(), TeamMission())

    def test_it_is_the_same_when_it_was_written_and_read(self) -> None:
        """A resume compares what it was given with what stands in run.json."""
        identity = identity_of(RunConfig(), TeamMission())

        assert identity == msgspec.json.decode(msgspec.json.encode(identity), type=type(identity))

    def test_the_built_in_mission_runs_where_none_is_given(self) -> None:
        """`RunConfig(missions=100)` is all that it takes."""
        mission = TeamMission()

        assert isinstance(RunConfig().resolve_mission(), TeamMission)
        assert mission is RunConfig(mission=mission).resolve_mission()

    def test_a_label_is_derived_where_none_is_given(self) -> None:
        """The same run has the same team id everywhere, another run another one."""
        identities = [identity_of(RunConfig(seed=seed), TeamMission()) for seed in (0, 1, 0)]
        one, other, same = map(derived_team_id, identities)

        assert one == same != other
        assert one.startswith("team-")
