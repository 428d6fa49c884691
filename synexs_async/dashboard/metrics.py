"""Runs in the text format of OpenMetrics 1.0, which Prometheus reads.

See https://prometheus.io/docs/specs/om/open_metrics_spec/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, Literal, get_args

from synexs_async.dashboard.views import Run
from synexs_async.monitoring.state import MonitoredStatus, seconds_of
from synexs_async.storage.progress import Progress

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_STATUSES: Final = tuple(chain.from_iterable(map(get_args, get_args(MonitoredStatus))))


@dataclass(frozen=True, slots=True)
class _Family:
    """A metric of every run that has told of itself."""

    name: str
    type: Literal["counter", "gauge"]
    help: str
    value: Callable[[Progress], float | None]
    unit: str = ""


_FAMILIES: Final = (
    _Family("synexs_run_missions_planned", "gauge", "Missions that the run will have.",
            lambda told: told.mission_total),
    _Family("synexs_run_missions_saved", "gauge", "Missions before the last checkpoint.",
            lambda told: told.checkpoint_missions),
    _Family("synexs_run_batches", "counter", "Batches written.",
            lambda told: told.batches_written),
    _Family("synexs_run_working_seconds", "counter", "Working time over all sessions.",
            lambda told: told.elapsed_seconds, "seconds"),
    _Family("synexs_run_missions_per_second", "gauge", "Rate of the present or last session.",
            lambda told: told.rate_missions_per_sec),
    _Family("synexs_run_remaining_seconds", "gauge", "Expected time to the end.",
            lambda told: told.eta_seconds, "seconds"),
    _Family("synexs_run_loop_delay_seconds", "gauge", "Longest delay of the event loop lately.",
            lambda told: told.loop_lag_ms / 1000, "seconds"),
    _Family("synexs_run_resident_memory_bytes", "gauge", "Memory of the main process.",
            lambda told: told.rss_bytes, "bytes"),
    _Family("synexs_run_waiting_blocks", "gauge", "Blocks that wait for the journal.",
            lambda told: told.blocks_waiting),
    _Family("synexs_run_waiting_batches", "gauge", "Batches that wait to be written.",
            lambda told: told.batches_waiting),
    _Family("synexs_run_told_timestamp_seconds", "gauge", "When the run told of itself last.",
            lambda told: seconds_of(told.timestamp), "seconds"),
)  # fmt: skip


def metrics_of(runs: Sequence[Run]) -> str:
    """Return the metrics of runs as text."""
    return "\n".join([*_lines(runs), "# EOF", ""])


def _lines(runs: Sequence[Run]) -> Iterator[str]:
    yield from _head("synexs_run", "info", "What a run is.")
    for run in runs:
        yield _sample("synexs_run_info", 1, run=run.id, name=run.name, mission=run.mission,
                      mission_version=run.mission_version, seed=run.seed)  # fmt: skip
    yield from _head("synexs_run_status", "stateset", "What a run is doing, or how it ended.")
    for run in runs:
        for status in _STATUSES:
            labels = {"run": run.id, "synexs_run_status": status}
            yield _sample("synexs_run_status", int(run.status == status), **labels)
    yield from _head("synexs_run_missions", "counter", "Missions in the journal by outcome.")
    for run in runs:
        counts = run.progress.stats.by_outcome() if run.progress else {}
        for outcome, count in counts.items():
            yield _sample("synexs_run_missions_total", count, run=run.id, outcome=outcome)
    for family in _FAMILIES:
        yield from _head(family.name, family.type, family.help, family.unit)
        name = f"{family.name}_total" if family.type == "counter" else family.name
        for run in runs:
            value = family.value(run.progress) if run.progress else None
            if value is not None:
                yield _sample(name, value, run=run.id)


def _head(name: str, kind: str, text: str, unit: str = "") -> Iterator[str]:
    yield f"# TYPE {name} {kind}"
    if unit:
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {text}"


def _sample(sample: str, value: float, /, **labels: object) -> str:
    listed = ",".join(f'{label}="{_escape(str(text))}"' for label, text in labels.items())
    return f"{sample}{{{listed}}} {value}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
