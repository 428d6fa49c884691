"""The team mission: its records, its rules, and its two implementations that are one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synexs_async import Block, Scenario, TeamMission, default_scenario, simulate_mission
from synexs_async.config import SEED_LIMIT
from synexs_async.missions.mission import OUTCOME_NAMES
from synexs_async.missions.scenario import Difficulty

Json = dict[str, Any]

INDEX_LIMIT = 10**9
GOLDEN = "9be4868e2ecc8f3258e73e518c8c076b0d4e85994043966881ce84983210c7d5"

seeds = st.integers(0, SEED_LIMIT - 1)
indices = st.integers(0, 2000) | st.integers(0, INDEX_LIMIT - 1)

fractions = st.floats(0, 1) | st.sampled_from([-0.0, 0.0, 1.0, 0.6, 5e-324, 1e-5])
signal_counts = st.integers(0, 7)
pieces = st.sampled_from([*'"\\%/{}[] ,éß漢😀', "%b", "%%", "\\u0041", "hosts", "signals"])
characters = st.characters(exclude_categories=["C", "Z"])
names = st.lists(pieces | characters, min_size=1, max_size=8).map("".join)


@st.composite
def difficulties(draw: st.DrawFn) -> Difficulty:
    """Make any difficulty that a scenario file can describe; its share is set later."""

    def ends(values: st.SearchStrategy[Any]) -> Any:
        return tuple(sorted((draw(values), draw(values))))

    return Difficulty(
        share=0.0,
        risk_level=ends(fractions),
        success_probability=ends(fractions),
        detection_likelihood=ends(fractions),
        honeypot_signals=ends(signal_counts),
        defenses=tuple(draw(st.lists(names, max_size=7))),
    )


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Make any scenario, some of its shares 0."""
    weights = draw(st.tuples(*[st.integers(0, 5)] * 4).filter(any))
    of_shares = [
        msgspec.structs.replace(draw(difficulties()), share=weight / sum(weights))
        for weight in weights
    ]
    return msgspec.convert(msgspec.to_builtins(Scenario(*of_shares)), Scenario)


def specified(scenario: Scenario, seed: int, first: int, count: int) -> list[bytes]:
    """Return the journal lines of the specification, made one mission at a time."""
    return [
        msgspec.json.encode(simulate_mission(scenario, seed, index)) + b"\n"
        for index in range(first, first + count)
    ]


def contents(block: Block) -> Json:
    """Return all that a block holds, arrays with their type, shape and bytes."""

    def bits(array: np.ndarray[Any, Any]) -> tuple[str, tuple[int, ...], bytes]:
        return array.dtype.str, array.shape, array.tobytes()

    return {
        "first": block.first,
        "lines": list(block.lines),
        "ids": list(block.ids),
        "labels": bits(block.labels),
        "features": bits(block.features),
        "metrics": {name: bits(values) for name, values in block.metrics.items()},
    }


@pytest.fixture(scope="module")
def records() -> list[Json]:
    """Read 3,000 missions of the built-in scenario from their journal lines."""
    lines = TeamMission().simulate(1, 0, 3000).lines
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def many_lines() -> bytes:
    """Simulate 100,000 missions of a fixed seed."""
    mission = TeamMission()
    blocks = (mission.simulate(2, first, 1000) for first in range(0, 100_000, 1000))
    return b"".join(line for block in blocks for line in block.lines)


class TestImplementations:
    """The block kernel that runs use, against the specification that people read."""

    @settings(max_examples=60, deadline=None)
    @given(seeds, indices, st.integers(1, 70))
    @example(0, 0, 70)
    @example(SEED_LIMIT - 1, INDEX_LIMIT - 1, 1)
    def test_the_kernel_writes_the_bytes_of_the_specification(
        self, seed: int, first: int, count: int
    ) -> None:
        """A run's records are those that `simulate_mission` gives, whatever the block."""
        block = TeamMission().simulate(seed, first, count)

        assert specified(default_scenario(), seed, first, count) == list(block.lines)

    @settings(max_examples=80, deadline=None)
    @given(scenarios(), seeds, indices)
    def test_the_kernel_writes_the_bytes_of_the_specification_for_any_scenario(
        self, scenario: Scenario, seed: int, first: int
    ) -> None:
        """That holds for a scenario of one's own too, however its defenses are called."""
        block = TeamMission(scenario).simulate(seed, first, 12)

        assert specified(scenario, seed, first, 12) == list(block.lines)

    @settings(max_examples=40, deadline=None)
    @given(scenarios() | st.just(default_scenario()), seeds, indices, st.integers(1, 12))
    def test_a_block_is_read_back_from_its_lines_bit_for_bit(
        self, scenario: Scenario, seed: int, first: int, count: int
    ) -> None:
        """Batches that are lost are made again from the journal, with the same bytes."""
        mission = TeamMission(scenario)
        block = mission.simulate(seed, first, count)

        assert contents(block) == contents(mission.read(first, block.lines))

    @settings(max_examples=40, deadline=None)
    @given(seeds, indices, st.lists(st.integers(1, 40), min_size=1, max_size=8))
    def test_missions_do_not_depend_on_the_blocks_that_they_are_simulated_in(
        self, seed: int, first: int, sizes: list[int]
    ) -> None:
        """Blocks of any size, joined, are the same as one block."""
        mission, blocks, start = TeamMission(), [], first
        for size in sizes:
            blocks.append(mission.simulate(seed, start, size))
            start += size

        whole = TeamMission().simulate(seed, first, sum(sizes))

        assert contents(whole) == contents(Block.concatenate(blocks))

    def test_one_mission_object_serves_seeds_in_turn(self) -> None:
        """What a mission kind prepares for one seed does not show in the records of another."""
        mission = TeamMission()
        expected = [contents(TeamMission().simulate(seed, 5, 9)) for seed in (1, 2, 1)]

        assert expected == [contents(mission.simulate(seed, 5, 9)) for seed in (1, 2, 1)]

    @pytest.mark.parametrize(
        "line", [b"{}\n", b"[1]\n", b"\xff\n", b'{"mission_id":"a","mission_number":0}\n']
    )
    def test_lines_of_something_else_are_refused(self, line: bytes) -> None:
        """A ValueError says that these are no records of team missions."""
        with pytest.raises(ValueError, match=r"."):
            TeamMission().read(0, [line])


class TestIdentifiers:
    """Ids are derived, never drawn."""

    def test_ids_are_unique(self, records: list[Json]) -> None:
        """No two missions, messages or decisions of a run have the same id."""
        ids = [record["mission_id"] for record in records]
        ids += [message["message_id"] for message in messages_of(records)]
        ids += [decision["decision_id"] for decision in decisions_of(records)]

        assert len(ids) == len(set(ids))

    def test_ids_differ_between_seeds_and_scenarios(self) -> None:
        """Data sets can be put together without confusing their missions."""
        easy = default_scenario().easy
        harder = msgspec.structs.replace(
            default_scenario(), easy=msgspec.structs.replace(easy, defenses=("moat",))
        )
        ids = [
            mission_id
            for mission, seed in ((TeamMission(), 0), (TeamMission(), 1), (TeamMission(harder), 0))
            for mission_id in mission.simulate(seed, 0, 50).ids
        ]

        assert len(set(ids)) == 150

    def test_ids_of_parts_begin_with_the_id_of_the_mission(self, records: list[Json]) -> None:
        """A message or decision can be traced to its mission."""
        for record in records:
            numbered = [*enumerate(record["communications"])]
            expected = [f"{record['mission_id']}-m{k}" for k, _ in numbered]
            assert expected == [message["message_id"] for _, message in numbered]
            numbered = [*enumerate(record["decisions"])]
            expected = [f"{record['mission_id']}-d{k}" for k, _ in numbered]
            assert expected == [decision["decision_id"] for _, decision in numbered]


class TestStructure:
    """A journal line."""

    def test_a_line_is_one_compact_json_object(self) -> None:
        """The journal can be read line by line, by any program."""
        for line in TeamMission().simulate(1, 0, 200).lines:
            compact = json.dumps(json.loads(line), separators=(",", ":"), ensure_ascii=False)
            assert f"{compact}\n".encode() == line

    def test_keys_stand_in_the_documented_order(self, records: list[Json]) -> None:
        """The keys of a record, and of its parts, are fixed."""
        record_keys = (
            "mission_id mission_number timestamp duration team_composition environment "
            "communications decisions metrics status training_label"
        )
        environment_keys = (
            "mission_number type difficulty topology risk_level success_probability "
            "detection_likelihood honeypot_signals defenses"
        )
        message_keys = (
            "message_id timestamp sender receiver protocol message_type content size_bytes "
            "latency_ms information_value"
        )
        decision_keys = (
            "decision_id timestamp agent decision_type rationale confidence factors outcome"
        )
        for record in records:
            assert record_keys == " ".join(record)
            assert environment_keys == " ".join(record["environment"])
            assert " ".join(record["environment"]["topology"]) == "hosts subnets"
            assert {message_keys} == {" ".join(m) for m in record["communications"]}
            assert {decision_keys} == {" ".join(d) for d in record["decisions"]}

    def test_missions_are_numbered_and_start_at_0(self, records: list[Json]) -> None:
        """Both numbers are the mission's index, and simulated time starts at 0.0."""
        numbers = list(range(len(records)))

        assert numbers == [record["mission_number"] for record in records]
        assert numbers == [record["environment"]["mission_number"] for record in records]
        assert {0.0} == {record["timestamp"] for record in records}

    def test_labels_stand_for_the_status(self, records: list[Json]) -> None:
        """0 is success, 1 failure, 2 aborted, in the record and in the block."""
        numbers = {"success": 0, "failure": 1, "aborted": 2}
        expected = [numbers[record["status"]] for record in records]

        assert list(numbers) == list(OUTCOME_NAMES)
        assert expected == [record["training_label"] for record in records]
        assert expected == TeamMission().simulate(1, 0, len(records)).labels.tolist()


class TestRules:
    """Section 6 of the design, computed again from the record alone."""

    def test_environments_are_drawn_from_the_ranges_of_their_difficulty(
        self, records: list[Json]
    ) -> None:
        """Levels, signals and defenses are those of the scenario."""
        scenario = default_scenario().by_name()
        for record in records:
            environment = record["environment"]
            difficulty = scenario[environment["difficulty"]]
            for name in ("risk_level", "success_probability", "detection_likelihood"):
                low, high = getattr(difficulty, name)
                assert low <= environment[name] <= high
            fewest, most = difficulty.honeypot_signals
            assert fewest <= len(environment["honeypot_signals"]) <= most
            assert list(difficulty.defenses) == environment["defenses"]
            is_honeypot = environment["difficulty"] == "honeypot"
            assert ("honeypot" if is_honeypot else "network") == environment["type"]

    def test_ranges_are_used_from_end_to_end(self, records: list[Json]) -> None:
        """Values come close to both ends of their range."""
        for name, difficulty in default_scenario().by_name().items():
            levels = [
                record["environment"]["risk_level"]
                for record in records
                if record["environment"]["difficulty"] == name
            ]
            low, high = difficulty.risk_level
            margin = (high - low) * 0.05
            assert min(levels) < low + margin
            assert max(levels) > high - margin

    def test_signals_are_drawn_without_repeats_from_the_seven(self, records: list[Json]) -> None:
        """Every known signal comes up, none twice in a mission."""
        known = {
            *("suspicious_timing", "fake_vulnerabilities", "too_easy_access", "honeyd_signature"),
            *("unrealistic_services", "bait_files", "fake_credentials"),
        }
        drawn = [record["environment"]["honeypot_signals"] for record in records]

        assert known == {signal for signals in drawn for signal in signals}
        assert [len(signals) for signals in drawn] == [len(set(signals)) for signals in drawn]

    def test_topologies_have_3_to_19_hosts_and_1_to_4_subnets(self, records: list[Json]) -> None:
        """Every size comes up, both ends included."""
        topologies = [record["environment"]["topology"] for record in records]

        assert set(range(3, 20)) == {topology["hosts"] for topology in topologies}
        assert set(range(1, 5)) == {topology["subnets"] for topology in topologies}

    @settings(max_examples=30, deadline=None)
    @given(scenarios(), seeds, indices)
    def test_the_analyzer_aborts_just_where_signals_are_too_many(
        self, scenario: Scenario, seed: int, index: int
    ) -> None:
        """A mission is aborted if and only if signals / 5 is above 0.7."""
        for line in TeamMission(scenario).simulate(seed, index, 10).lines:
            record = json.loads(line)
            risk = len(record["environment"]["honeypot_signals"]) / 5
            aborts = risk > 0.7
            assert aborts == (record["status"] == "aborted")
            assert ("abort" if aborts else "proceed") == record["decisions"][0]["decision_type"]
            assert risk == record["decisions"][0]["factors"]["risk"]

    def test_the_executor_proceeds_just_where_success_is_likely(self, records: list[Json]) -> None:
        """It adapts where the probability of success is 0.6 or less."""
        for record in records:
            if record["status"] == "aborted":
                continue
            likely = record["environment"]["success_probability"] > 0.6
            assert ("proceed" if likely else "adapt") == record["decisions"][1]["decision_type"]

    def test_roles_speak_and_decide_in_turn(self, records: list[Json]) -> None:
        """Who sends what to whom follows from how the mission ended."""
        flow = [
            ("scout", "analyzer", "intel_report"),
            ("analyzer", "executor", "go_decision"),
            ("executor", "exfiltrator", "execution_complete"),
            ("exfiltrator", "cleaner", "exfil_complete"),
        ]
        sent = {"success": 4, "failure": 2, "aborted": 1}
        roles = ["scout", "analyzer", "executor", "exfiltrator", "cleaner"]
        for record in records:
            assert roles == record["team_composition"]
            assert flow[: sent[record["status"]]] == [
                (message["sender"], message["receiver"], message["message_type"])
                for message in record["communications"]
            ]
            deciders = ["analyzer"] if record["status"] == "aborted" else ["analyzer", "executor"]
            assert deciders == [decision["agent"] for decision in record["decisions"]]
            assert {record["status"]} == {d["outcome"] for d in record["decisions"]}

    def test_messages_tell_what_their_sender_knows(self, records: list[Json]) -> None:
        """The contents of messages agree with the environment and the decisions."""
        for record in records:
            environment, decisions = record["environment"], record["decisions"]
            hosts, subnets = environment["topology"].values()
            contents = [
                {"type": environment["type"], "hosts": hosts, "subnets": subnets},
                {
                    "risk": decisions[0]["factors"]["risk"],
                    "confidence": decisions[0]["confidence"],
                    "hosts": hosts,
                    "subnets": subnets,
                    "defenses": environment["defenses"],
                    "signals": environment["honeypot_signals"],
                },
                {
                    "approach": decisions[-1]["decision_type"],
                    "hosts": hosts,
                    "subnets": subnets,
                },
                {"complete": True, "hosts": hosts},
            ]
            told = [message["content"] for message in record["communications"]]
            assert contents[: len(told)] == told

    def test_messages_are_measured_by_their_content(self, records: list[Json]) -> None:
        """Size is the JSON's length / 8, floored; information is a tenth for each key."""
        for message in messages_of(records):
            text = json.dumps(message["content"], separators=(",", ":"))
            assert message["protocol"] == "binary_v2"
            assert len(text) // 8 == message["size_bytes"]
            assert min(len(message["content"]) / 10, 1.0) == message["information_value"]
            assert 5 <= message["latency_ms"] < 50

    def test_confidence_is_a_tenth_for_each_known_fact(self, records: list[Json]) -> None:
        """The analyzer knows the report, defenses and signals; the executor what it was told."""
        for record in records:
            environment = record["environment"]
            seen = len(environment["defenses"]) + len(environment["honeypot_signals"])
            known = {"analyzer": 3 + seen, "executor": 4 + seen + 2}
            for decision in record["decisions"]:
                assert min(known[decision["agent"]] / 10, 1.0) == decision["confidence"]

    def test_factors_are_what_was_weighed(self, records: list[Json]) -> None:
        """The reasons for a decision stand in it, by name."""
        for record in records:
            environment = record["environment"]
            signals = len(environment["honeypot_signals"])
            factors = [
                {"risk": signals / 5, "signals": signals, "defenses": len(environment["defenses"])},
                {
                    "risk": environment["risk_level"],
                    "success_probability": environment["success_probability"],
                },
            ]
            weighed = [decision["factors"] for decision in record["decisions"]]
            assert factors[: len(weighed)] == weighed

    def test_phases_take_their_time(self, records: list[Json]) -> None:
        """Between the events of a mission lie the seconds of the role that was at work."""
        ranges = {
            "scout": (5, 20),
            "analyzer": (2, 10),
            "executor": (10, 30),
            "exfiltrator": (5, 15),
            "cleaner": (3, 10),
        }
        seen: dict[str, list[float]] = {role: [] for role in ranges}
        for record in records:
            for role, seconds in phases_of(record):
                seen[role].append(seconds)
        for role, (low, high) in ranges.items():
            assert low - 1e-9 <= min(seen[role]) < low + 0.02 * (high - low)
            assert high - 0.02 * (high - low) < max(seen[role]) <= high + 1e-9

    def test_time_never_runs_backwards(self, records: list[Json]) -> None:
        """Events have growing times between 0.0 and the mission's duration."""
        for record in records:
            times = [moment for moment, _ in events_of(record)]
            assert all(before <= after for before, after in pairwise(times))
            assert times[0] == 0.0
            assert record["duration"] == times[-1]

    def test_the_executor_decides_when_the_go_decision_arrives(self, records: list[Json]) -> None:
        """The go decision is sent as it is made, and arrives after its latency."""
        for record in records:
            if record["status"] == "aborted":
                continue
            go, (analyzer, executor) = record["communications"][1], record["decisions"]
            assert analyzer["timestamp"] == go["timestamp"]
            assert go["timestamp"] + go["latency_ms"] / 1000 == executor["timestamp"]

    def test_metrics_follow_from_the_record(self, records: list[Json]) -> None:
        """Sums and means can be computed again, to the last bit."""
        for record in records:
            messages, decisions = record["communications"], record["decisions"]
            sizes = [message["size_bytes"] for message in messages]
            information = mean([message["information_value"] for message in messages])
            confidence = mean([decision["confidence"] for decision in decisions])
            overhead = sum(sizes) / record["duration"]
            coordination = min(len(messages) / 10, 1.0) * information
            expected = {
                "message_count": len(messages),
                "decision_count": len(decisions),
                "total_bytes": sum(sizes),
                "mean_latency_ms": mean([message["latency_ms"] for message in messages]),
                "mean_information_value": information,
                "mean_confidence": confidence,
                "overhead": overhead,
                "coordination": coordination,
                "efficiency": 0.4 * confidence
                + 0.3 * coordination
                + 0.3 * (1.0 - min(overhead / 1000, 1.0)),
            }
            assert list(expected.items()) == list(record["metrics"].items())


class TestFeatures:
    """The 24 columns of section 5."""

    def test_columns_follow_from_the_record(self, records: list[Json]) -> None:
        """Whoever reads the journal can compute a mission's tensor again, bit for bit."""
        block = TeamMission().simulate(1, 0, len(records))
        expected = np.array([features_of(record) for record in records], np.float32)

        assert (len(records), 5, 24) == block.features.shape
        assert expected.tobytes() == block.features.tobytes()

    def test_every_column_has_a_name(self) -> None:
        """The index of a data set names each column once."""
        assert len(set(TeamMission().feature_names)) == 24

    def test_metrics_of_a_block_are_those_of_its_records(self, records: list[Json]) -> None:
        """Statistics and batch metadata agree with the journal."""
        metrics = TeamMission().simulate(1, 0, len(records)).metrics

        assert [record["duration"] for record in records] == metrics["duration"].tolist()
        for name in ("efficiency", "coordination"):
            assert [record["metrics"][name] for record in records] == metrics[name].tolist()


class TestMix:
    """What comes up how often."""

    def test_outcomes_are_mixed_as_documented(self, many_lines: bytes) -> None:
        """56.5 % succeed, 38.5 % fail, 5.0 % are aborted: chi-square, p > 0.001."""
        shares = {"success": 0.565, "failure": 0.385, "aborted": 0.05}
        counts = Counter(re.findall(rb'"status":"(\w+)"', many_lines))

        assert chi_square(counts, shares) < 13.8  # 2 degrees of freedom

    def test_difficulties_are_mixed_as_documented(self, many_lines: bytes) -> None:
        """20 % are easy, 50 % medium, 20 % hard, 10 % honeypots: chi-square, p > 0.001."""
        shares = {"easy": 0.2, "medium": 0.5, "hard": 0.2, "honeypot": 0.1}
        counts = Counter(re.findall(rb'"difficulty":"(\w+)"', many_lines))

        assert chi_square(counts, shares) < 16.3  # 3 degrees of freedom

    def test_a_difficulty_without_a_share_never_comes_up(self) -> None:
        """A share of 0 leaves a difficulty out."""
        shares = {"easy": 0.0, "medium": 1.0, "hard": 0.0, "honeypot": 0.0}
        scenario = Scenario(
            **{
                name: msgspec.structs.replace(difficulty, share=shares[name])
                for name, difficulty in default_scenario().by_name().items()
            }
        )
        lines = b"".join(TeamMission(scenario).simulate(0, 0, 2000).lines)

        assert {b"medium"} == set(re.findall(rb'"difficulty":"(\w+)"', lines))


class TestGolden:
    """Bytes that are a promise."""

    def test_the_records_of_version_1_are_those_that_were_published(self) -> None:
        """A change here is a decision, a new mission version, and never an accident."""
        lines = TeamMission().simulate(0, 0, 1000).lines

        assert TeamMission.version == 1
        assert hashlib.sha256(b"".join(lines)).hexdigest() == GOLDEN

    @pytest.mark.parametrize(
        "settings", [{"PYTHONHASHSEED": "1"}, {"LC_ALL": "C", "TZ": "Asia/Tokyo"}]
    )
    def test_another_process_writes_the_same_bytes(self, settings: Mapping[str, str]) -> None:
        """Neither the order of hashes nor locale or time zone shows in the records."""
        program = (
            "import hashlib; from synexs_async import TeamMission\n"
            "lines = TeamMission().simulate(0, 0, 1000).lines\n"
            "print(hashlib.sha256(b''.join(lines)).hexdigest())\n"
        )
        printed = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **settings},
            capture_output=True,
            text=True,
            check=True,
        )

        assert printed.stdout.strip() == GOLDEN


def messages_of(records: list[Json]) -> Iterator[Json]:
    """Iterate over the messages of all records."""
    for record in records:
        yield from record["communications"]


def decisions_of(records: list[Json]) -> Iterator[Json]:
    """Iterate over the decisions of all records."""
    for record in records:
        yield from record["decisions"]


def mean(values: list[float]) -> float:
    """Return the mean, added from left to right without any correction."""
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


def chi_square(counts: Mapping[bytes, int], shares: Mapping[str, float]) -> float:
    """Return how far counts are from what shares let expect."""
    assert {name.encode() for name in shares} == set(counts)
    total = sum(counts.values())
    return sum(
        (counts[name.encode()] - total * share) ** 2 / (total * share)
        for name, share in shares.items()
    )


def events_of(record: Json) -> list[tuple[float, str]]:
    """Return the times at which something happened, in the order in which it did."""
    messages, decisions = record["communications"], record["decisions"]
    order = [*messages[:1], *decisions[:1], *messages[1:2], *decisions[1:], *messages[2:]]
    moments = [(event["timestamp"], event.get("message_type", "decision")) for event in order]
    return [(0.0, "start"), *moments, (record["duration"], "end")]


def phases_of(record: Json) -> Iterator[tuple[str, float]]:
    """Return each role that worked, and for how long: up to its message or decision, or the end."""
    messages = record["communications"]
    arrivals = [0.0, *(m["timestamp"] + m["latency_ms"] / 1000 for m in messages)]
    ends = [*(m["timestamp"] for m in messages), record["duration"]]
    roles = record["team_composition"]
    for role, arrival, end in zip(roles, arrivals, ends, strict=False):
        yield role, end - arrival


def features_of(record: Json) -> list[list[float]]:
    """Return the rows of a mission: one for each message or decision, and what is padded with."""
    environment, metrics = record["environment"], record["metrics"]
    whole = [
        environment["risk_level"],
        environment["success_probability"],
        environment["detection_likelihood"],
        len(environment["honeypot_signals"]) / 10,
        len(environment["defenses"]) / 5,
        record["duration"],
        metrics["message_count"],
        metrics["decision_count"],
        metrics["mean_latency_ms"],
        metrics["overhead"],
        metrics["efficiency"],
        metrics["coordination"],
        metrics["mean_confidence"],
        metrics["mean_information_value"],
    ]
    messages = [
        [m["size_bytes"] / 1000, m["latency_ms"] / 100, m["information_value"], 1.0]
        for m in record["communications"]
    ]
    kinds = ("proceed", "abort", "wait", "adapt")
    decisions = [
        [float(d["decision_type"] == kind) for kind in kinds]
        + [d["confidence"], d["factors"]["risk"]]
        for d in record["decisions"]
    ]
    messages += [[0.0] * 4] * (5 - len(messages))
    decisions += [[0.0] * 6] * (5 - len(decisions))
    return [
        message + decision + whole for message, decision in zip(messages, decisions, strict=True)
    ]
