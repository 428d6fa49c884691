"""The figures of a report: what `report.json` holds, and the page is drawn from.

Shares are between 0 and 1. Their ranges are Wilson's score intervals: were the true share the
expected one, the expected share would lie within in 95 of 100 runs.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from synexs_async.storage.folder import Identity

FORMAT_VERSION: Final = 1
ENDINGS: Final = ("success", "failure", "aborted", "error", "other")  # as they are drawn
EXPECTABLE: Final = ENDINGS[:3]


class RunFigures(Struct, frozen=True):
    """Which run it is, and how it stands.

    Attributes:
        name: the name of its folder.
        status: "running", "completed", "interrupted", "failed", or "lost" where its process is
            gone without a word; "waiting" before its first mission.
        missions: those that the report speaks of, of `total`.
        elapsed_seconds: working time over all sessions.
        missions_per_second: missions by that time.
        sessions: when each began, local time, as the logs are named.
        dataset_sha256: the digest of a complete data set, else null.
    """

    name: str
    team_id: str
    identity: Identity
    status: str
    missions: int
    total: int
    elapsed_seconds: float
    missions_per_second: float | None
    checkpoint_missions: int
    sessions: list[str]
    dataset_sha256: str | None


class Sample(Struct, frozen=True):
    """The missions whose records were read, for all that is not counted by the run itself.

    Attributes:
        missions: how many were read.
        is_whole: whether that is all of them; else they are `chunks` evenly spread pieces.
        damaged_lines: lines that are no records, and were passed over.
    """

    missions: int
    is_whole: bool
    chunks: int
    damaged_lines: int


class Share(Struct, frozen=True):
    """How often an outcome came, among the missions that ended without an error.

    Attributes:
        count: how often.
        share: null where no mission ended without an error.
        low: the lower end of the share's range, `high` the upper one.
        expected: the expected share, null where none is known.
        deviation: how far the share is from the expected one, in standard errors; null where it
            can't be said, as where the outcome should always or never come.
        is_as_expected: whether the range holds the expected share.
    """

    count: int
    share: float | None
    low: float | None
    high: float | None
    expected: float | None
    deviation: float | None
    is_as_expected: bool | None


class Mix(Struct, frozen=True):
    """The outcomes of some missions; `missions` counts those that raised (`errors`) too."""

    missions: int
    errors: int
    outcomes: dict[str, Share]


class Outcomes(Struct, frozen=True):
    """The outcomes of all missions, and by group.

    Attributes:
        group_by: the path of the field in a record that groups are the values of; "" for none.
        are_groups_sampled: whether groups were counted in the sample alone, which is not all.
    """

    group_by: str
    are_groups_sampled: bool
    all: Mix
    groups: dict[str, Mix]


class Distribution(Struct, frozen=True):
    """How a number is spread over the missions that were read.

    Attributes:
        unit: "" where none is known.
        edges: k + 1 edges of the k bins; the last bin holds its upper edge too.
        counts: k counts for each outcome.
        below: values below the first edge, `above` those above the last: far from all others.
        left_out: values that are no finite numbers of less than 1e150.
    """

    unit: str
    missions: int
    mean: float
    standard_deviation: float
    minimum: float
    p05: float
    p25: float
    median: float
    p75: float
    p95: float
    maximum: float
    edges: list[float]
    counts: dict[str, list[int]]
    below: int
    above: int
    left_out: int


class ConfidenceBin(Struct, frozen=True):
    """Missions whose decisions were about as confident; see `Share` for the range."""

    confidence: float
    missions: int
    success_share: float
    low: float
    high: float


class Confidence(Struct, frozen=True):
    """How often missions succeed, by the mean confidence of their decisions.

    Attributes:
        missions: those that recorded a confidence.
        step: what confidences were rounded to.
        correlation: of confidence with success, null where either is always the same.
    """

    missions: int
    step: float
    correlation: float | None
    bins: list[ConfidenceBin]


class Moment(Struct, frozen=True):
    """A line of `series.jsonl`, with the rate since the one before (null for the first)."""

    time: float
    elapsed_seconds: float
    missions: int
    missions_per_second: float | None
    checkpoint_missions: int
    batches_written: int
    loop_lag_ms: float
    rss_bytes: int


class Figures(Struct, frozen=True):
    """All of a report.

    Attributes:
        made: when, ISO 8601.
        versions: of what made the report.
        expected_outcomes: how probable each outcome is, by group, where the mission kind says so.
        confidence: null where no mission recorded one.
        further_metrics: names of metrics that were too many to be shown.
    """

    made: str
    versions: dict[str, str]
    run: RunFigures
    sample: Sample
    outcomes: Outcomes
    expected_outcomes: dict[str, dict[str, float]]
    distributions: dict[str, Distribution]
    further_metrics: list[str]
    confidence: Confidence | None
    timeline: list[Moment]
    format_version: int = FORMAT_VERSION
