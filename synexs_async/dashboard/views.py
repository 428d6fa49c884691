"""What the API answers: these types are its schema, at /api/schema.json."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from synexs_async.missions.grouping import group_of
from synexs_async.monitoring.log import LogLine
from synexs_async.monitoring.search import Found
from synexs_async.monitoring.state import MonitoredStatus, RunState
from synexs_async.storage.folder import Identity
from synexs_async.storage.progress import Progress
from synexs_async.storage.series import Sample, rates


class Run(Struct, frozen=True):
    """A run at a moment.

    Attributes:
        id: names it in addresses.
        name: where it lies below the root.
        status: `waiting` before it tells anything; `lost` where it says that it is running, and
            its process is gone or was silent for a minute.
        progress: what it told last, as in progress.json; null while it is waiting.
    """

    id: str
    name: str
    status: MonitoredStatus
    mission: str
    mission_version: int
    seed: int
    team_id: str
    progress: Progress | None

    @classmethod
    def of(cls, run_id: str, state: RunState) -> Run:
        """Show a state."""
        identity = state.identity
        return cls(
            id=run_id,
            name=state.name,
            status=state.status,
            mission=identity.mission,
            mission_version=identity.mission_version,
            seed=identity.seed,
            team_id=state.team_id,
            progress=state.progress,
        )


class RunList(Struct, frozen=True):
    """The runs below the root, those at work first, by name; `more` were left out."""

    root: str
    runs: list[Run]
    more: int = 0


class RunDetail(Struct, frozen=True):
    """A run, and what its data set is a function of (run.json).

    Attributes:
        identity_digest: the `identity` of its RunNews.
    """

    run: Run
    identity: Identity
    identity_digest: str


class RunNews(Struct, frozen=True):
    """What a run's event stream tells.

    Attributes:
        identity: another text where another run has taken the folder.
        series: another text whenever the series has changed, "" where there is none.
        log: another text whenever the log has.
    """

    run: Run
    identity: str
    series: str
    log: str


class Series(Struct, frozen=True):
    """A run over time: a list of equal length for each field of series.jsonl.

    Attributes:
        rate: missions a second of working time since the sample before; null for the first.
    """

    time: list[float]
    elapsed_seconds: list[float]
    missions: list[int]
    rate: list[float | None]
    success_count: list[int]
    failure_count: list[int]
    abort_count: list[int]
    error_count: list[int]
    loop_lag_ms: list[float]
    rss_bytes: list[int]
    blocks_waiting: list[int]
    batches_waiting: list[int]
    batches_written: list[int]
    checkpoint_missions: list[int]

    @classmethod
    def of(cls, samples: list[Sample]) -> Series:
        """Turn samples into columns."""
        columns = {
            name: [getattr(sample, name) for sample in samples] for name in Sample.__struct_fields__
        }
        rate = [None, *(round(value, 2) for value in rates(samples))] if samples else []
        return cls(**columns, rate=rate)


class Log(Struct, frozen=True):
    """The end of a run's log, oldest line first.

    Attributes:
        more: whether lines of the level may lie further back: a look takes a bounded time.
    """

    lines: list[LogLine]
    more: bool


class MissionSummary(Struct, frozen=True):
    """A mission in a list.

    Attributes:
        outcome: `success`, `failure`, `aborted` or `error`.
        duration: simulated seconds; null where the record has none.
        group: the field that the kind's outcomes are counted by, "" without one.
    """

    index: int
    mission_id: str
    outcome: str
    duration: float | None
    group: str

    @classmethod
    def of(cls, record: dict[str, Any], group_by: str) -> MissionSummary:
        """Shorten a record, whatever its kind."""
        duration = record.get("duration")
        return cls(
            index=record["mission_number"],
            mission_id=str(record.get("mission_id", "")),
            outcome=str(record.get("status", "")),
            duration=duration if isinstance(duration, int | float) else None,
            group=group_of(record, group_by) if group_by else "",
        )


class MissionList(Struct, frozen=True):
    """A page of missions, newest first.

    Attributes:
        before: asks for the next page; null where the journal's beginning was reached.
        searched: how many missions were looked through for this page. A page may be short, or
            empty, and still have a next one: each request takes a bounded time.
    """

    missions: list[MissionSummary]
    before: int | None
    searched: int

    @classmethod
    def of(cls, found: Found, group_by: str) -> MissionList:
        """Shorten what was found."""
        missions = [MissionSummary.of(record, group_by) for record in found.missions]
        return cls(missions, found.before, found.searched)


class MissionDetail(Struct, frozen=True):
    """A mission, with its record as it stands in the journal."""

    summary: MissionSummary
    record: dict[str, Any]


class Problem(Struct, frozen=True):
    """Why a request was refused, in one line."""

    error: str


def schema() -> dict[str, Any]:
    """Return the JSON schema of all answers, by their names under `$defs`."""
    answers = (RunList, RunDetail, RunNews, Series, Log, MissionList, MissionDetail, Problem)
    _, definitions = msgspec.json.schema_components(answers, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": dict(sorted(definitions.items())),
    }
