"""The parts of the page that tell of the run itself: how it went, and which one it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from synexs_async.report.charts import Line, resumed_at, time_chart
from synexs_async.report.figures import Figures, Moment
from synexs_async.report.markup import panel, section
from synexs_async.report.wording import number, plural, text
from synexs_async.storage.folder import MISSIONS_PER_FILE

_MEGABYTE: Final = 1e6
_SESSIONS_SHOWN: Final = 50
_PARAMETERS_SHOWN: Final = 200
_TABLES_SIDE_BY_SIDE: Final = 6
_LONGEST_VALUE: Final = 200  # characters


def timeline_section(moments: list[Moment]) -> str:
    """Show how the run went, where it was long enough to tell."""
    if len(moments) < 3 or moments[0].elapsed_seconds == moments[-1].elapsed_seconds:
        return ""
    last = moments[-1]
    saved = (
        f'<span class="key first"></span>{last.missions:,} in the journal; '
        f'<span class="key second"></span>{last.checkpoint_missions:,} behind a checkpoint'
    )
    panels: list[tuple[str, str, str, list[Line]]] = [
        (
            "Missions and checkpoints",
            "missions",
            saved,
            [
                ("first", lambda moment: moment.missions),
                ("second", lambda moment: moment.checkpoint_missions),
            ],
        ),
        (
            "Speed",
            "missions a second",
            f"{_range([of.missions_per_second for of in moments])} missions a second",
            [("first", lambda moment: moment.missions_per_second)],
        ),
        (
            "Longest delays of the event loop",
            "ms",
            f"{_range([of.loop_lag_ms for of in moments])} ms",
            [("first", lambda moment: moment.loop_lag_ms)],
        ),
        (
            "Memory of the main process",
            "MB",
            f"{_range([of.rss_bytes / _MEGABYTE for of in moments])} MB",
            [("first", lambda moment: moment.rss_bytes / _MEGABYTE)],
        ),
    ]
    drawn = "".join(
        panel(name, time_chart(f"{name} over working time", unit, moments, lines), told)
        for name, unit, told, lines in panels
    )
    notes = "Over the working time of all sessions."
    if resumed_at(moments):
        notes += " A dotted upright line is where the run was away, and went on later."
    return section("How the run went", f'<div class="panels two">{drawn}</div>', notes)


def identity_section(figures: Figures) -> str:
    """Tell what the data set is a function of, and when it was worked on."""
    run = figures.run
    identity = run.identity
    facts: dict[str, Any] = {
        "Mission kind": f"{identity.mission}, version {identity.mission_version}",
        "Seed": identity.seed,
        "Missions": f"{run.missions:,} of {run.total:,}",
        "Last checkpoint": plural(run.checkpoint_missions, "mission"),
        "Batch size": identity.batch_size,
        "Sequence length": identity.sequence_length,
        "Journal files": f"{plural(MISSIONS_PER_FILE[identity.mission_files], 'mission')} each",
        "Team id": run.team_id,
    }
    listed = "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in facts.items())
    digest = (
        f"<p>Digest of the data set <code>{text(run.dataset_sha256)}</code></p>"
        if run.dataset_sha256
        else "<p>The data set is not complete yet, so it has no digest.</p>"
    )
    sessions = ""
    if run.sessions:
        items = "".join(
            f"<li>{text(of.replace('T', ' '))}</li>" for of in run.sessions[-_SESSIONS_SHOWN:]
        )
        sessions = f"<h3>Sessions began</h3><ol class='sessions'>{items}</ol>"
    return section(
        "Which run this is",
        f'<dl class="facts">{listed}</dl>{digest}{_parameters(identity.parameters)}{sessions}',
    )


def _range(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"between {number(min(known))} and {number(max(known))}"


def _parameters(parameters: Mapping[str, Any]) -> str:
    if not parameters:
        return ""
    columns = _columns(parameters)
    head = ""
    if columns:
        names = "".join(f"<th scope='col'>{text(name)}</th>" for name in parameters)
        head = f"<thead><tr><td></td>{names}</tr></thead>"
        rows = [(key, [table[key] for table in parameters.values()]) for key in columns]
    else:
        rows = [(name, [value]) for name, value in _flat(parameters)]
    shown = "".join(
        f"<tr><th scope='row'>{text(name)}</th>"
        + "".join(f"<td>{text(_value(value))}</td>" for value in values)
        + "</tr>"
        for name, values in rows[:_PARAMETERS_SHOWN]
    )
    more = len(rows) - _PARAMETERS_SHOWN
    note = f"<p class='note'>{more:,} more stand in run.json.</p>" if more > 0 else ""
    table = f"<table class='parameters'>{head}<tbody>{shown}</tbody></table>"
    return f"<h3>Parameters</h3><div class='wide'>{table}</div>{note}"


def _columns(parameters: Mapping[str, Any]) -> list[str]:
    """Return the keys that all of a few tables share, which can stand side by side; else none."""
    tables = list(parameters.values())
    if not 2 <= len(tables) <= _TABLES_SIDE_BY_SIDE:
        return []
    if not all(isinstance(table, Mapping) and table.keys() == tables[0].keys() for table in tables):
        return []
    return list(tables[0])


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _value(value: Any) -> str:
    """Return a parameter as text: a list of simple values without its brackets."""
    if isinstance(value, list) and value and not any(isinstance(of, list | dict) for of in value):
        shown = ", ".join(map(_value, value))
    else:
        shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]} …"
