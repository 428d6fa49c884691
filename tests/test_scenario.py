"""Scenario files, and what is said about bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from synexs_async import Scenario, ScenarioError, TeamMission, default_scenario, load_scenario
from synexs_async.missions.scenario import default_scenario_text, parse_scenario

TEXT = default_scenario_text()


def edited(old: str, new: str) -> str:
    """Return the built-in scenario with the first `old` replaced."""
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def test_the_printed_scenario_is_the_built_in_one(tmp_path: Path) -> None:
    """What `scenario` prints can be given back with --scenario, and changes nothing."""
    file = tmp_path / "mine.toml"
    file.write_text(TEXT, "utf-8")

    assert default_scenario() == load_scenario(file) == load_scenario(str(file))


def test_the_built_in_scenario_has_the_documented_difficulties() -> None:
    """The numbers in the documentation are those that are used."""
    documented = {
        "easy": (0.2, (0.1, 0.3), (0.8, 0.95), (0.05, 0.2), (0, 0), ("basic_firewall",)),
        "medium": (0.5, (0.3, 0.6), (0.5, 0.75), (0.3, 0.5), (0, 1), ("firewall", "IDS")),
        "hard": (
            *(0.2, (0.6, 0.85), (0.2, 0.5), (0.5, 0.8), (1, 2)),
            ("firewall", "IDS", "IPS", "WAF"),
        ),
        "honeypot": (
            *(0.1, (0.85, 0.95), (0.05, 0.25), (0.8, 0.95), (3, 4)),
            ("firewall", "IDS", "IPS", "honeypot", "deception_tech"),
        ),
    }

    difficulties = default_scenario().by_name()

    assert documented == {name: msgspec.structs.astuple(d) for name, d in difficulties.items()}


def test_bounds_themselves_are_allowed() -> None:
    """Shares of 0, probabilities of 0 and 1, 0 and 7 signals and no defenses make a scenario."""
    text = edited("share = 0.2", "share = 0").replace("share = 0.5", "share = 0.7")
    text = text.replace("risk_level = [0.1, 0.3]", "risk_level = [0, 1]")
    text = text.replace("honeypot_signals = [0, 0]", "honeypot_signals = [0, 7]")
    text = text.replace('["basic_firewall"]', "[]")

    easy = parse_scenario(text, "mine.toml").easy

    assert easy.share == 0.0
    assert easy.risk_level == (0.0, 1.0)
    assert easy.honeypot_signals == (0, 7)
    assert easy.defenses == ()


BAD = {
    "missing key": (edited("share = 0.2\n", ""), "easy.share", "is missing; expected a value"),
    "missing table": (TEXT[: TEXT.index("[honeypot]")], "honeypot", "is missing; expected a value"),
    "empty file": ("", "easy", "is missing; expected a value"),
    "unknown key": (edited("share = 0.2", "share = 0.2\ncolour = 1"), "easy.colour", "is unknown"),
    "unknown table": (f"{TEXT}\n[extreme]\nshare = 0\n", "extreme", "is unknown"),
    "unknown key at the top": (f"name = 'mine'\n{TEXT}", "name", "is unknown"),
    "above 1": (
        *(edited("0.95]", "1.5]"), "easy.success_probability[1]"),
        "expected at most 1, not 1.5",
    ),
    "below 0": (
        *(edited("[0.05,", "[-0.05,"), "easy.detection_likelihood[0]"),
        "expected at least 0, not -0.05",
    ),
    "share above 1": (
        *(edited("share = 0.5", "share = 1.5"), "medium.share"),
        "expected at most 1, not 1.5",
    ),
    "infinite": (edited("0.3]", "inf]"), "easy.risk_level[1]", "expected at most 1, not inf"),
    "not a number": (edited("0.3]", "nan]"), "easy.risk_level[1]", "expected at least 0, not nan"),
    "share not a number": (
        *(edited("share = 0.2", "share = -nan"), "easy.share"),
        "expected at least 0, not nan",
    ),
    "text for a number": (
        *(edited("share = 0.2", "share = '0.2'"), "easy.share"),
        "expected a number, not '0.2'",
    ),
    "truth for a number": (
        *(edited("share = 0.2", "share = true"), "easy.share"),
        "expected a number, not True",
    ),
    "number for a list": (
        *(edited("[0.1, 0.3]", "0.1"), "easy.risk_level"),
        "expected a list, not 0.1",
    ),
    "text for a list": (
        *(edited('["basic_firewall"]', "'basic'"), "easy.defenses"),
        "expected a list, not 'basic'",
    ),
    "number for a text": (
        *(edited('"IDS"', "3"), "medium.defenses[1]"),
        "expected a text, not 3",
    ),
    "number for a table": (
        *(f"easy = 1\n{TEXT[TEXT.index('[medium]') :]}", "easy"),
        "expected a table, not 1",
    ),
    "half a signal": (
        *(edited("[3, 4]", "[3.5, 4]"), "honeypot.honeypot_signals[0]"),
        "expected a whole number, not 3.5",
    ),
    "eight signals": (
        *(edited("[3, 4]", "[3, 8]"), "honeypot.honeypot_signals[1]"),
        "expected at most 7, not 8",
    ),
    "fewer than no signals": (
        *(edited("[3, 4]", "[-1, 4]"), "honeypot.honeypot_signals[0]"),
        "expected at least 0, not -1",
    ),
    "three values": (
        *(edited("[0.1, 0.3]", "[0.1, 0.2, 0.3]"), "easy.risk_level"),
        "expected [lowest, highest], 2 values, not [0.1, 0.2, 0.3]",
    ),
    "one value": (
        *(edited("[0, 1]", "[1]"), "medium.honeypot_signals"),
        "expected [lowest, highest], 2 values, not [1]",
    ),
    "highest first": (
        *(edited("[0.1, 0.3]", "[0.3, 0.1]"), "easy.risk_level"),
        "expected the lowest value first, not [0.3, 0.1]",
    ),
    "most signals first": (
        *(edited("[3, 4]", "[4, 3]"), "honeypot.honeypot_signals"),
        "expected the lowest value first, not [4, 3]",
    ),
    "shares above 1 in all": (
        *(edited("share = 0.2", "share = 0.25"), "share"),
        "expected shares that sum to 1, not 0.25 + 0.5 + 0.2 + 0.1 = 1.05",
    ),
    "shares below 1 in all": (
        *(edited("share = 0.5", "share = 0.4"), "share"),
        "expected shares that sum to 1, not 0.2 + 0.4 + 0.2 + 0.1 = 0.9",
    ),
    "defense without a name": (
        *(edited("basic_firewall", ""), "easy.defenses"),
        "expected names of printable characters, not ''",
    ),
    "defense on two lines": (
        *(edited("basic_firewall", "fire\\nwall"), "easy.defenses"),
        "expected names of printable characters, not 'fire\\nwall'",
    ),
    "defense that no font has": (
        *(edited("basic_firewall", "\ue000id\ue000"), "easy.defenses"),
        "expected names of printable characters, not '\\ue000id\\ue000'",
    ),
}


@pytest.mark.parametrize(("text", "key", "problem"), BAD.values(), ids=BAD)
def test_a_bad_scenario_is_refused_with_its_key_value_and_what_was_expected(
    text: str, key: str, problem: str
) -> None:
    """Whoever wrote the file can mend it from the one line that is said about it."""
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "mine.toml")

    assert ("mine.toml", key) == (caught.value.source, caught.value.key)
    assert str(caught.value).startswith(f"mine.toml: {key}: {problem}")


@pytest.mark.parametrize(
    "text",
    [
        "[easy\n",
        "share: 0.2\n",
        edited("share = 0.2", "share = 0.2\nshare = 0.3"),
        edited("share = 0.2", f"share = {'9' * 5000}"),
        f"share = {'[' * 50_000}",
    ],
    ids=["unclosed", "YAML", "key twice", "endless number", "endless list"],
)
def test_what_is_no_toml_is_refused(text: str) -> None:
    """A file of another format, or one that was made to break the parser, is called what it is."""
    with pytest.raises(ScenarioError, match=r"^mine\.toml: is not a TOML file: ."):
        parse_scenario(text, "mine.toml")


@pytest.mark.parametrize("key", ["a.b", "new\nline", "a - at `$.b", "`", "é", "[0]"])
@pytest.mark.parametrize("table", ["", "easy."])
def test_an_unknown_key_is_refused_whatever_it_is_called(table: str, key: str) -> None:
    """A key in quotes can't confuse the message about it, at the top or in a table."""
    line = f"{msgspec.json.encode(key).decode()} = 1\n"
    text = edited("share = 0.2", f"{line}share = 0.2") if table else line + TEXT

    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "mine.toml")

    assert f"{table}{key}" == caught.value.key
    assert caught.value.problem == "is unknown; expected no such key"


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """A file in another encoding is named, and what is wrong with it."""
    file = tmp_path / "mine.toml"
    file.write_bytes(edited("basic_firewall", "pare-feu d'entrée").encode("latin-1"))

    with pytest.raises(ScenarioError) as caught:
        load_scenario(file)

    assert f"{file}: is not a TOML file: not UTF-8 text" == str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A path with a mistake in it is named."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(tmp_path / "mine.toml")

    assert f"{tmp_path / 'mine.toml'}: can't be read: No such file or directory" == str(
        caught.value
    )


def test_a_folder_is_no_scenario(tmp_path: Path) -> None:
    """A folder that is given in place of a file is named."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(tmp_path)

    assert f"{tmp_path}: can't be read: Is a directory" == str(caught.value)


def made(**easy: Any) -> Scenario:
    """Return a scenario as a program makes one, its easy difficulty changed."""
    scenario = default_scenario()
    changed = msgspec.structs.replace(scenario.easy, **easy)
    return msgspec.structs.replace(scenario, easy=changed)


@pytest.mark.parametrize(
    "easy", [{"share": 0.3}, {"share": "0.2"}, {"risk_level": (3.0, 4.0)}, {"defenses": ("",)}]
)
def test_a_scenario_that_a_program_made_is_checked(easy: dict[str, Any]) -> None:
    """What could not be read again from run.json is refused before anything is simulated."""
    with pytest.raises(ScenarioError, match=r"^scenario: "):
        TeamMission(made(**easy))


def test_whole_numbers_in_a_program_s_scenario_are_those_of_a_file() -> None:
    """The missions of `risk_level=(0, 1)` are the ones that run.json leads to."""
    mission = TeamMission(made(risk_level=(0, 1)))
    read_again = TeamMission.with_parameters(
        msgspec.json.decode(msgspec.json.encode(mission.parameters()))
    )

    assert read_again.simulate(7, 0, 3).lines == mission.simulate(7, 0, 3).lines
    assert b"[0.0,1.0]" in msgspec.json.encode(mission.parameters())
