"""Reports: the figures are those of the journal, the page is one file, whatever it has to show."""

from __future__ import annotations

import json
import math
import resource
import statistics
from collections import Counter
from collections.abc import Mapping
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import nothing_changes
from conftest import Command
from datasets import read_json
from hypothesis import example, given
from hypothesis import strategies as st

from synexs_async import (
    BlockMission,
    IdentityMismatch,
    Mission,
    RunConfig,
    TeamMission,
    mission,
    read_progress,
    write_report,
)
from synexs_async.cli import main
from synexs_async.config import identity_of
from synexs_async.missions.context import Context, Outcome
from synexs_async.missions.failed import error_block
from synexs_async.missions.mission import Block
from synexs_async.missions.plain import NoParameters
from synexs_async.missions.statistics import Statistics
from synexs_async.missions.team import simulate_mission
from synexs_async.report import sampling
from synexs_async.report.distributions import Values
from synexs_async.report.outcomes import mix_of_all
from synexs_async.storage.folder import RunFile, RunFolder, acquire, adopt, settle
from synexs_async.storage.journal import JournalWriter, Layout, Mark
from synexs_async.storage.progress import (
    OutcomeCounts,
    Progress,
    group_counts,
    timestamp,
    write_progress,
)

HOSTILE = ("<script>alert(1)</script>", "</style><b>&amp;", "'\"><img src=x onerror=alert(1)>")
OUTCOMES = ("success", "failure", "aborted")
EMPTY_ELEMENTS = {"meta", "rect", "line", "circle", "path"}


@mission(group_by="result.tier")
def hostile(ctx: Context[NoParameters]) -> Outcome:
    """Give names to everything that a page must not take for its own."""
    if ctx.index % 5 == 4:
        raise ValueError(HOSTILE[0])
    name = HOSTILE[ctx.index % 3]
    ctx.metric(name, ctx.index)
    ctx.metric("wait_ms", ctx.rng.exponential(3.0))
    ctx.decision("judge", name, {"confidence": 0.25})
    return Outcome(OUTCOMES[ctx.index % 3], result={"tier": name})  # type: ignore[arg-type]


@mission(group_by="result.")
def nameless(ctx: Context[NoParameters]) -> Outcome:
    """Give empty names."""
    ctx.metric("", ctx.index)
    return Outcome("success", result={"": "some"})


@mission(group_by="result")
def every_other_named(ctx: Context[NoParameters]) -> Outcome:
    """Be of a group that is called as all of them are, or of none."""
    return Outcome("success", result="All missions" if ctx.index % 2 else None)


@mission()
def always_raises(ctx: Context[NoParameters]) -> Outcome:
    """Never end."""
    raise ValueError


class Coin(BlockMission):
    """A kind whose lines hold what every line must, and no more."""

    name = "coin"

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Fall on the same side always."""
        line = b'{"mission_id":"x","mission_number":%d,"status":"success"}\n'
        heads = np.zeros(count, np.int64)
        return Block(
            first,
            [line % index for index in range(first, first + count)],
            ["x"] * count,
            heads,
            heads,
            np.zeros((count, 1, 0), np.float32),
            {"duration": np.zeros(count)},
        )

    def expected_outcomes(self) -> Mapping[str, Mapping[str, float]]:
        """Expect what a fair coin gives."""
        return {"": {"success": 0.5, "failure": 0.5}}


class TailsOnly(Coin):
    """Falls on the side that it never should."""

    def expected_outcomes(self) -> Mapping[str, Mapping[str, float]]:
        """Expect the other side."""
        return {"": {"failure": 1.0}}


class Page(HTMLParser):
    """What a page is made of; it fails where elements are not closed in their order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.pictures: list[dict[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(content)
        assert [] == self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter an element."""
        self.tags[tag] += 1
        self.attributes += attrs
        if tag == "svg":
            self.pictures.append(dict(attrs))
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Pass an empty element."""
        assert tag in EMPTY_ELEMENTS
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        assert tag == self._open.pop()

    def handle_data(self, data: str) -> None:
        """Read text."""
        self.text += data


def page_of(folder: Path) -> Page:
    """Read a run's page."""
    return Page((folder / "report.html").read_text("utf-8"))


def report_of(folder: Path, kind: Mission | None = None) -> dict[str, Any]:
    """Write a run's report; return its figures."""
    assert folder / "report.html" == write_report(folder, kind)
    return read_json(folder / "report.json")


def records_of(folder: Path) -> list[dict[str, Any]]:
    """Read all records, the plain way."""
    files = sorted((folder / "missions").iterdir())
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def written_run(path: Path, count: int, kind: Mission | None = None) -> Layout:
    """Leave what a report reads of a run, as `--on-error record` would, without running it."""
    kind = kind or TeamMission()
    identity = identity_of(RunConfig(output=path, mission=kind), kind)
    folder = RunFolder(path)
    path.mkdir()
    settle(folder, RunFile(identity, "team"))
    layout = Layout.of(folder, identity, has_batches=True)
    writer, counted = JournalWriter(layout, Mark()), Statistics.of(kind)
    for first in range(0, count, kind.block_size):
        try:
            block = kind.simulate(0, first, min(kind.block_size, count - first))
        except ValueError:
            block = error_block(kind, 0, first, "ValueError")
        counted.add(block)
        writer.append(block)
    writer.close()
    tell(folder, count, counted, kind.group_by)
    return layout


def tell(folder: RunFolder, count: int, counted: Statistics, group_by: str = "") -> None:
    """Write the progress file of a run that was interrupted."""
    progress = Progress(
        timestamp=timestamp(),
        status="interrupted",
        mission_current=count,
        mission_total=2 * count,
        progress_percent=50.0,
        elapsed_seconds=2.0,
        rate_missions_per_sec=count / 2,
        eta_seconds=None,
        stats=OutcomeCounts(**counted.counts()),
        seed=0,
        pid=1,
        host="",
        checkpoint_missions=0,
        batches_written=0,
        loop_lag_ms=1.0,
        rss_bytes=1,
        group_by=group_by,
        groups=group_counts(counted),
    )
    write_progress(folder.progress, progress)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let the command run 300 team missions."""
    folder = tmp_path_factory.mktemp("report") / "a run"
    finished = Command().run("--missions", 300, "--output", folder)
    assert 0 == finished.returncode
    assert f"  report    {folder}/report.html\n" in finished.stdout
    return folder


class TestFigures:
    """The figures are those that anybody can count."""

    def test_a_run_ends_with_its_report(self, ended: Path) -> None:
        """The command leaves a report of the complete run, and says where."""
        told, index = read_json(ended / "report.json"), read_json(ended / "run.json")
        assert told["run"]["identity"] == index["identity"]
        assert ("completed", 300, 300) == tuple(
            told["run"][key] for key in ("status", "missions", "checkpoint_missions")
        )
        assert len(told["run"]["sessions"]) == 1
        checkpoint = read_json(ended / "checkpoint.json")
        assert checkpoint["dataset_sha256"] == told["run"]["dataset_sha256"]
        assert told["timeline"][-1]["missions"] == 300

    def test_outcomes_are_those_of_the_journal(self, ended: Path) -> None:
        """Counts and shares, of all and by difficulty, agree with a count by hand."""
        outcomes = read_json(ended / "report.json")["outcomes"]
        records = records_of(ended)
        counted = Counter((of["environment"]["difficulty"], of["status"]) for of in records)
        assert not outcomes["are_groups_sampled"]
        assert ["easy", "medium", "hard", "honeypot"] == list(outcomes["groups"])
        for name, mix in outcomes["groups"].items():
            missions = sum(counted[name, outcome] for outcome in OUTCOMES)
            assert (missions, 0) == (mix["missions"], mix["errors"])
            for outcome, share in mix["outcomes"].items():
                assert counted[name, outcome] == share["count"]
                assert counted[name, outcome] / missions == share["share"]
                assert share["low"] <= share["share"] <= share["high"]
        in_all = Counter(of["status"] for of in records)
        assert in_all == {
            name: share["count"] for name, share in outcomes["all"]["outcomes"].items()
        }

    def test_distributions_are_those_of_the_journal(self, ended: Path) -> None:
        """The duration and each metric: quantiles, mean, and a count of each mission."""
        told, records = read_json(ended / "report.json"), records_of(ended)
        assert {"missions": 300, "is_whole": True, "chunks": 1, "damaged_lines": 0} == told[
            "sample"
        ]
        assert ["duration", *records[0]["metrics"]] == list(told["distributions"])
        for name, spread in told["distributions"].items():
            values = [{**of["metrics"], "duration": of["duration"]}[name] for of in records]
            assert math.isclose(statistics.fmean(values), spread["mean"])
            assert math.isclose(statistics.median(values), spread["median"])
            assert (min(values), max(values)) == (spread["minimum"], spread["maximum"])
            for ending, counts in spread["counts"].items():
                assert sum(counts) == sum(of["status"] == ending for of in records)
            low, high = spread["edges"][:2]
            inside = sum(low <= value < high for value in values)
            assert inside == sum(counts[0] for counts in spread["counts"].values())

    def test_confidence_is_that_of_the_decisions(self, ended: Path) -> None:
        """Of each mean confidence, how many missions had it and how many of them succeeded."""
        counted: Counter[float] = Counter()
        succeeded: Counter[float] = Counter()
        for record in records_of(ended):
            mean = statistics.fmean(of["confidence"] for of in record["decisions"])
            counted[round(mean * 20) / 20] += 1
            succeeded[round(mean * 20) / 20] += record["status"] == "success"
        told = read_json(ended / "report.json")["confidence"]
        assert told["missions"] == 300
        assert [
            (confidence, counted[confidence], succeeded[confidence] / counted[confidence])
            for confidence in sorted(counted)
        ] == [(of["confidence"], of["missions"], of["success_share"]) for of in told["bins"]]
        assert -1 <= told["correlation"] < 0

    def test_damaged_lines_are_skipped_and_counted(self, tmp_path: Path) -> None:
        """One bad line costs one record, whatever it has become."""
        layout = written_run(tmp_path / "run", 50)
        file = layout.folder.journal_file(0)
        lines = file.read_bytes().splitlines(keepends=True)
        lines[7] = lines[7][:100] + b"\n"
        lines[20] = b"\xff\xfe\n"
        lines[30] = lines[30].replace(b'"mission_number":30', b'"mission_number":45')
        file.write_bytes(b"".join(lines[:-1]) + lines[-1][:-9])
        told = report_of(tmp_path / "run")
        assert (46, 2) == (told["sample"]["missions"], told["sample"]["damaged_lines"])
        assert told["outcomes"]["all"]["missions"] == 50
        assert "2 damaged lines of the journal were skipped" in page_of(tmp_path / "run").text

    def test_a_run_that_goes_on_is_reported_as_far_as_it_told(self, tmp_path: Path) -> None:
        """What the journal holds beyond that, torn or not, is left for a later report."""
        layout = written_run(tmp_path / "run", 50)
        counted = Statistics.of(TeamMission())
        counted.add(TeamMission().simulate(0, 0, 40))
        tell(layout.folder, 40, counted)
        with layout.folder.journal_file(0).open("ab") as file:
            file.write(b'{"mission_id":"')
        told = report_of(tmp_path / "run")
        assert (40, 0) == (told["sample"]["missions"], told["sample"]["damaged_lines"])
        assert told["distributions"]["duration"]["missions"] == 40
        assert told["run"]["dataset_sha256"] is None

    def test_of_a_large_run_evenly_spread_chunks_are_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sample is the same each time, says so, and is as good for each part of the run."""
        monkeypatch.setattr(sampling, "_MISSIONS", 200)
        monkeypatch.setattr(sampling, "_CHUNKS", 10)
        layout = written_run(tmp_path / "run", 2000)
        told = report_of(tmp_path / "run")
        assert {"missions": 200, "is_whole": False, "chunks": 10, "damaged_lines": 0} == told[
            "sample"
        ]
        assert told["distributions"] == report_of(tmp_path / "run")["distributions"]
        assert "200 of 2,000 missions, in 10 evenly spread chunks" in page_of(tmp_path / "run").text
        assert told["outcomes"]["all"]["missions"] == 2000

        sample = sampling.JournalSample(layout, 2000, json_record)
        parts = Counter(record.mission_number // 200 for record in sample)
        assert set(range(10)) == set(parts)
        assert max(parts.values()) <= 40

    @pytest.mark.parametrize(("told", "sampled"), [(1000, 200), (1000, 999), (2000, 1999)])
    def test_of_a_run_that_goes_on_what_it_told_is_sampled(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: int, sampled: int
    ) -> None:
        """Evenly, though its journal is ahead of that, and ends in the middle of a line."""
        monkeypatch.setattr(sampling, "_MISSIONS", sampled)
        monkeypatch.setattr(sampling, "_CHUNKS", sampled // 20)
        layout = written_run(tmp_path / "run", 2000)
        with layout.folder.journal_file(0).open("ab") as file:
            file.write(b'{"mission_id":"')
        sample = sampling.JournalSample(layout, told, json_record)
        parts = Counter(record.mission_number * 10 // told for record in sample)
        assert [0.1] * 10 == pytest.approx([parts[part] / sampled for part in range(10)], rel=0.2)
        assert 0 == sample.damaged

    def test_records_that_are_large_are_read_in_part(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Time and memory are bounded by bytes as well."""
        monkeypatch.setattr(sampling, "_BYTES", 100_000)
        monkeypatch.setattr(sampling, "_CHUNKS", 10)
        written_run(tmp_path / "run", 200)
        sample = report_of(tmp_path / "run")["sample"]
        assert not sample["is_whole"]
        assert 30 <= sample["missions"] <= 60

    @pytest.mark.parametrize("count", [0, 1])
    def test_the_smallest_runs_have_a_report(self, tmp_path: Path, count: int) -> None:
        """A run of one mission, or none yet, is no special case to whoever looks at it."""
        written_run(tmp_path / "run", count)
        assert count == report_of(tmp_path / "run")["outcomes"]["all"]["missions"]
        assert page_of(tmp_path / "run").tags["section"] >= 2

    @example([2.0**52 + 2])
    @given(st.lists(st.floats() | st.integers(), min_size=1))
    def test_each_number_is_in_one_place(self, numbers: list[float]) -> None:
        """A number lies in a bin, far out on either side, or is none that can be shown."""
        values = Values()
        for value in numbers:
            values.add(value, 0)
        spread = values.distribution("")
        if spread is None:
            return
        in_bins = sum(map(sum, spread.counts.values()))
        assert len(numbers) == in_bins + spread.below + spread.above + spread.left_out
        assert all(low < high for low, high in pairwise(spread.edges))
        assert len(spread.edges) <= 40


def json_record(line: bytes) -> Any:
    """Decode a line for the sample."""
    from synexs_async.report.records import record_decoder

    return record_decoder("")(line)


class TestExpectations:
    """The mix is held against what follows from the mission's parameters."""

    def test_the_built_in_scenario_s_mix(self) -> None:
        """Success 56.5%, failure 38.5%, aborted 5.0%, and each difficulty by its share."""
        expected = TeamMission().expected_outcomes()
        mix = {name: sum(of[name] for of in expected.values()) for name in OUTCOMES}
        assert {"success": 0.565, "failure": 0.385, "aborted": 0.05} == pytest.approx(mix)
        shares = {name: sum(of.values()) for name, of in expected.items()}
        assert {"easy": 0.2, "medium": 0.5, "hard": 0.2, "honeypot": 0.1} == pytest.approx(shares)

    def test_what_is_expected_is_what_the_specification_simulates(self) -> None:
        """For another scenario too: the mean of many missions is near."""
        tables = TeamMission().parameters()
        tables["medium"] |= {"success_probability": [0.1, 0.9], "honeypot_signals": [2, 6]}
        kind = TeamMission.with_parameters(tables)
        expected = kind.expected_outcomes()["medium"]
        records = (simulate_mission(kind.scenario, 3, index) for index in range(2000))
        counted = Counter(of.status for of in records if of.environment.difficulty == "medium")
        for outcome, probability in expected.items():
            spread = math.sqrt(probability * (1 - probability) / 2000)
            assert abs(counted[outcome] / 2000 - probability) < 5 * spread  # type: ignore[index]

    @given(st.integers(0, 5000), st.integers(0, 5000), st.floats(0.001, 0.999))
    def test_a_range_holds_the_expected_share_when_chance_explains_it(
        self, successes: int, failures: int, expected: float
    ) -> None:
        """Range and deviation are two ways to say the same."""
        told = mix_of_all(
            OutcomeCounts(success_count=successes, failure_count=failures),
            {"": {"success": expected, "failure": 1 - expected}},
        ).outcomes["success"]
        if successes + failures == 0:
            assert (None, None) == (told.share, told.is_as_expected)
            return
        assert told.deviation is not None
        if abs(abs(told.deviation) - 1.959964) > 1e-6:
            assert told.is_as_expected == (abs(told.deviation) < 1.959964)

    def test_a_kind_of_one_s_own_says_what_it_expects(self, tmp_path: Path) -> None:
        """A later report, which does not import the kind, still knows."""
        kind, path = Coin(), tmp_path / "run"
        written_run(path, 20, kind)
        with_kind = report_of(path, kind)
        success = with_kind["outcomes"]["all"]["outcomes"]["success"]
        assert (0.5, False) == (success["expected"], success["is_as_expected"])
        assert with_kind["outcomes"] == report_of(path)["outcomes"]
        assert {} == with_kind["distributions"]
        assert "2 of 2 shares differ" in page_of(path).text
        with pytest.raises(IdentityMismatch, match="mission"):
            write_report(path, TeamMission())

        (path / "report.json").write_bytes(b"[" * 5000)
        assert {} == report_of(path)["expected_outcomes"]


class TestPage:
    """The page is one file that can be handed on."""

    def test_the_page_needs_nothing_else(self, ended: Path) -> None:
        """No script, nothing from elsewhere, and each picture says what it shows."""
        content, page = (ended / "report.html").read_text("utf-8"), page_of(ended)
        assert not page.tags.keys() & {"script", "link", "img", "iframe", "object", "a"}
        names = {name for name, _ in page.attributes}
        assert not names & {"src", "href", "xlink:href", "srcset", "action"}
        assert not any(name.startswith("on") for name in names)
        assert "url(" not in content
        assert "@import" not in content
        assert "://" not in content
        assert page.tags["svg"] >= 10 + 2 * 5 + 10
        assert all(of.get("aria-label") or of.get("aria-hidden") for of in page.pictures)
        assert (1, 1) == (page.tags["h1"], page.tags["main"])

    def test_the_page_tells_what_the_figures_say(self, ended: Path) -> None:
        """Identity, digest, shares and expectations stand in words."""
        told, text = read_json(ended / "report.json"), page_of(ended).text
        success = told["outcomes"]["all"]["outcomes"]["success"]
        assert told["run"]["dataset_sha256"] in text
        assert f"success {success['share']:.1%}" in text
        assert "56.5%" in text
        assert "From the records of all 300 missions." in text
        assert "team, version 1" in text

    def test_hostile_names_are_text(self, tmp_path: Path) -> None:
        """Whatever missions, groups, metrics and folders are called, it is shown and no more."""
        folder = tmp_path / "<i>run & 'co'"
        written_run(folder, 30, hostile)
        told = report_of(folder)
        page = page_of(folder)
        assert not page.tags.keys() & {"script", "img", "i", "a"}
        assert all(name in page.text for name in HOSTILE)
        assert "<i>run & 'co'" in page.text
        assert set(HOSTILE) < told["distributions"].keys()
        assert "ms" == told["distributions"]["wait_ms"]["unit"]
        assert (30, 6) == tuple(told["outcomes"]["all"][key] for key in ("missions", "errors"))
        assert set(HOSTILE) == set(told["outcomes"]["groups"])
        assert {} == told["expected_outcomes"]
        assert [0.25] == [of["confidence"] for of in told["confidence"]["bins"]]

    def test_names_may_be_empty(self, tmp_path: Path) -> None:
        """A metric without a name, and a field of groups that has none."""
        written_run(tmp_path / "run", 5, nameless)
        assert "" in report_of(tmp_path / "run")["distributions"]
        assert 'How missions ended, by ""' in page_of(tmp_path / "run").text

    def test_a_group_may_be_called_as_all_of_them_are(self, tmp_path: Path) -> None:
        """It stands beside them."""
        written_run(tmp_path / "run", 50, every_other_named)
        report_of(tmp_path / "run")
        words = page_of(tmp_path / "run").text
        assert "All missions 50 missions" in words
        assert "All missions 25 missions" in words

    def test_what_chance_can_t_explain_is_said_in_words(self, tmp_path: Path) -> None:
        """An outcome that always should have come, and one that never should."""
        kind = TailsOnly()
        written_run(tmp_path / "run", 20, kind)
        report_of(tmp_path / "run", kind)
        words = page_of(tmp_path / "run").text
        assert ("always expected" in words, "never expected" in words) == (True, True)

    def test_a_run_of_errors_alone_has_a_report(self, tmp_path: Path) -> None:
        """Where every mission raised there are no shares, and nothing is divided by zero."""
        written_run(tmp_path / "run", 10, always_raises)
        told = report_of(tmp_path / "run")
        assert told["outcomes"]["all"]["outcomes"]["success"]["share"] is None
        assert "error 100.0%" in page_of(tmp_path / "run").text


class TestInTheFolder:
    """A report is no part of the run."""

    def test_a_report_that_can_t_be_written_changes_nothing(
        self, command: Command, tmp_path: Path
    ) -> None:
        """A run whose disk takes no report has ended well, and says that there is none."""
        kind = "tests/plain_missions.py:journal_only"
        finished = command.run(
            *("--mission", kind, "--missions", 20, "--output", tmp_path / "run"),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)),
        )
        assert (0, "") == (finished.returncode, finished.stderr)
        assert "no report: " in finished.stdout
        assert "completed" == read_progress(tmp_path / "run").status
        assert not (tmp_path / "run" / "report.html").exists()

    def test_reports_are_moved_aside_with_their_run(self, tmp_path: Path) -> None:
        """`--no-resume` leaves no report of the old run behind."""
        layout = written_run(tmp_path / "run", 5)
        write_report(tmp_path / "run")
        identity = identity_of(RunConfig(output=tmp_path / "run", seed=5), TeamMission())
        with acquire(layout.folder):
            _, archived = adopt(layout.folder, RunFile(identity, "other"), resume=False)
        assert archived is not None
        assert {"report.html", "report.json"} <= {file.name for file in archived.iterdir()}
        assert not layout.folder.report.exists()

    def test_the_command_writes_the_report_anew(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It prints where the page is; an older one is replaced."""
        folder = written_run(tmp_path / "run", 5).folder
        folder.report.write_text("old")
        assert main(["report", str(folder.path)]) == 0
        assert f"{folder.report}\n" == capsys.readouterr().out
        assert page_of(folder.path).tags["main"] == 1

    def test_where_is_no_run_is_no_report(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One line says so, nothing is changed, and the exit code is 2."""
        (tmp_path / "file").write_text("mine")
        with nothing_changes(tmp_path):
            assert main(["report", str(tmp_path)]) == 2
        assert f"synexs_async: error: {tmp_path}: holds no run: there is no run.json in it\n" == (
            capsys.readouterr().err
        )
