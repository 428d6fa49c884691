"""The page: a report's figures as one HTML file that needs nothing else, and runs no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, Final

import msgspec

from synexs_async.report.charts import (
    Line,
    confidence_chart,
    deviation_strip,
    histogram,
    mix_bar,
    resumed_at,
    time_chart,
)
from synexs_async.report.figures import (
    ENDINGS,
    Confidence,
    ConfidenceBin,
    Distribution,
    Figures,
    Mix,
    Moment,
    Share,
)
from synexs_async.report.svg import element
from synexs_async.report.wording import duration, number, percent, plural, signed, text, title
from synexs_async.storage.folder import MISSIONS_PER_FILE

_GROUPS_SHOWN: Final = 24
_PARAMETERS_SHOWN: Final = 200
_TABLES_SIDE_BY_SIDE: Final = 6
_LONGEST_VALUE: Final = 200  # characters
_MEGABYTE: Final = 1e6
_STATUS: Final = {
    "completed": "complete",
    "interrupted": "interrupted",
    "failed": "failed",
    "running": "still running",
    "lost": "ended without a word",
    "waiting": "not begun",
}
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page_of(figures: Figures) -> str:
    """Return the page of a report."""
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    sections = (
        _header(figures),
        _outcomes(figures),
        _expected(figures),
        _distributions(figures),
        _confidence(figures.confidence),
        _timeline(figures.timeline),
        _identity(figures),
        _footer(figures),
    )
    name = text(f"{figures.run.name}: {figures.run.identity.mission} run")
    return _PAGE.format(title=name, style=style, body="\n".join(filter(None, sections)))


def _header(figures: Figures) -> str:
    run, of_all = figures.run, figures.outcomes.all
    status = _STATUS.get(run.status, run.status)
    tiles = [_tile("Missions", f"{run.missions:,}", f"of {run.total:,}")]
    success = of_all.outcomes["success"]
    if success.share is not None:
        tiles.append(
            _tile("Succeeded", percent(success.share, run.missions), f"{success.count:,} missions")
        )
    if of_all.errors:
        share = percent(of_all.errors / of_all.missions, run.missions)
        tiles.append(_tile("Raised an error", f"{of_all.errors:,}", f"{share} of all"))
    if run.missions_per_second is not None:
        tiles.append(_tile("Speed", f"{run.missions_per_second:,.0f}", "missions a second"))
    tiles.append(
        _tile(
            "Working time",
            duration(run.elapsed_seconds),
            f"in {plural(len(run.sessions), 'session')}" if run.sessions else "over all sessions",
        )
    )
    identity = run.identity
    return (
        f'<header><p class="kind">{text(identity.mission)} run · seed {identity.seed}</p>'
        f'<h1>{text(run.name)} <span class="status {text(run.status)}">{text(status)}</span></h1>'
        f'<dl class="tiles">{"".join(tiles)}</dl></header>'
    )


def _tile(name: str, value: str, more: str) -> str:
    return (
        f'<div><dt>{text(name)}</dt><dd><span class="value">{text(value)}</span> '
        f'<span class="more">{text(more)}</span></dd></div>'
    )


def _outcomes(figures: Figures) -> str:
    outcomes = figures.outcomes
    if not outcomes.all.missions:
        return _section("Outcomes", "<p>No mission has ended yet.</p>")
    by = title(outcomes.group_by.rpartition(".")[2]).lower() if outcomes.group_by else ""
    mixes = {"All missions": outcomes.all}
    mixes |= {title(name): mix for name, mix in _first(outcomes.groups).items() if mix.missions}
    rows = "".join(_mix(name, mix, figures) for name, mix in mixes.items())
    notes = []
    if figures.expected_outcomes:
        notes.append("The thin bar below each is what is expected.")
    if outcomes.groups and outcomes.are_groups_sampled:
        notes.append(f"By {by}, only the missions of the sample are counted.")
    if len(outcomes.groups) > _GROUPS_SHOWN:
        notes.append(f"The first {_GROUPS_SHOWN} of {len(outcomes.groups)} groups are shown.")
    return _section(
        f"How missions ended, by {by}" if by else "How missions ended",
        _legend(outcomes.all) + f'<ul class="mixes">{rows}</ul>',
        " ".join(notes),
    )


def _mix(name: str, mix: Mix, figures: Figures) -> str:
    told = [
        f"{outcome} {percent(share.count / mix.missions, mix.missions)}"
        for outcome, share in mix.outcomes.items()
        if share.count
    ]
    if mix.errors:
        told.append(f"error {percent(mix.errors / mix.missions, mix.missions)}")
    has_expected = figures.expected_outcomes and mix.outcomes["success"].expected is not None
    return (
        f'<li><p><strong>{text(name)}</strong> <span class="more">'
        f'{plural(mix.missions, "mission")}</span><span class="told">{" · ".join(told)}</span></p>'
        f"{mix_bar(mix)}{mix_bar(mix, is_expected=True) if has_expected else ''}</li>"
    )


def _legend(mix: Mix) -> str:
    named = [name for name, share in mix.outcomes.items() if share.count or share.expected]
    return _keys([*named, "error"] if mix.errors else named)


def _keys(names: list[str]) -> str:
    items = "".join(f'<li><span class="key {name}"></span>{text(name)}</li>' for name in names)
    return f'<ul class="legend" aria-hidden="true">{items}</ul>'


def _expected(figures: Figures) -> str:
    """Hold each share against the expected one."""
    if not figures.expected_outcomes or not figures.outcomes.all.missions:
        return ""
    outcomes = figures.outcomes
    mixes = {"All missions": outcomes.all, **outcomes.groups}
    bodies, within = "", []
    for name, mix in mixes.items():
        ended = mix.missions - mix.errors
        compared = {
            outcome: share
            for outcome, share in mix.outcomes.items()
            if share.is_as_expected is not None and (share.expected or share.count)
        }
        if not compared or all(share.deviation is None for share in compared.values()):
            continue
        within += [bool(share.is_as_expected) for share in compared.values()]
        rows = "".join(_compared(outcome, share, ended) for outcome, share in compared.items())
        bodies += (
            f'<tbody><tr><th colspan="4" scope="rowgroup">{text(title(name))} '
            f'<span class="more">{plural(ended, "mission")}</span></th></tr>{rows}</tbody>'
        )
    if not bodies:
        return ""
    outside = within.count(False)
    verdict = (
        f"All {len(within)} shares differ from the expected ones by no more than chance explains."
    )
    if outside:
        verdict = (
            f"{outside} of {len(within)} shares {'differs' if outside == 1 else 'differ'} from the "
            f"expected by more than chance explains in 95 of 100 runs. By chance alone, about "
            f"{len(within) / 20:.1f} would."
        )
    table = (
        "<div class='wide'><table><thead><tr><th scope='col'>Outcome</th><th scope='col'>Observed"
        "<span class='more'> and its 95% range</span></th><th scope='col'>Expected</th>"
        "<th scope='col'>Off by<span class='more'> so many standard errors</span></th></tr></thead>"
        f"{bodies}</table></div>"
    )
    note = (
        "A dot in the shaded part is a deviation that chance explains: 95 of 100 lie there. The "
        "strip reaches four standard errors to either side."
    )
    return _section("Is the mix the expected one?", f'<p class="verdict">{verdict}</p>{table}', note)


def _compared(outcome: str, share: Share, missions: int) -> str:
    assert share.share is not None
    assert share.expected is not None
    told = "never expected" if share.deviation is None else signed(share.deviation)
    return (
        f'<tr><th scope="row"><span class="key {outcome}"></span>{outcome}</th>'
        f"<td>{percent(share.share, missions)} {_between(share, missions)}</td>"
        f"<td>{percent(share.expected, missions)}</td>"
        f'<td><div class="deviation">{deviation_strip(share.deviation)}<span>{told}</span></div>'
        "</td></tr>"
    )


def _between(of: Share | ConfidenceBin, missions: int) -> str:
    assert of.low is not None
    assert of.high is not None
    low = percent(of.low, missions).removesuffix("%")
    return f'<span class="more">{low}\N{EN DASH}{percent(of.high, missions)}</span>'


def _distributions(figures: Figures) -> str:
    if not figures.distributions:
        return ""
    endings = [
        ending
        for ending in ENDINGS
        if any(ending in of.counts for of in figures.distributions.values())
    ]
    panels = "".join(_spread(name, of) for name, of in figures.distributions.items())
    notes = [_what_was_read(figures)]
    if figures.further_metrics:
        notes.append(f"Further metrics are left out: {', '.join(figures.further_metrics)}.")
    body = f'{_keys(endings)}<div class="panels">{panels}</div>'
    return _section("How missions differ", body, " ".join(notes))


def _spread(name: str, of: Distribution) -> str:
    heading = title(name)
    if of.unit and not heading.endswith(of.unit):
        heading += f" ({of.unit})"
    told = (
        f"median <b>{number(of.median)}</b>, mean {number(of.mean)}; 90% between "
        f"{number(of.p05)} and {number(of.p95)}"
    )
    if far := of.below + of.above:
        told += f"; {far:,} further out, between {number(of.minimum)} and {number(of.maximum)}"
    if of.left_out:
        told += f"; {of.left_out:,} too large to be shown"
    return _panel(heading, histogram(heading, of), told)


def _confidence(confidence: Confidence | None) -> str:
    if confidence is None:
        return ""
    rows = "".join(
        f"<tr><th scope='row'>{of.confidence:.2f}</th><td>{of.missions:,}</td>"
        f"<td>{percent(of.success_share, of.missions)} {_between(of, of.missions)}</td></tr>"
        for of in confidence.bins
    )
    table = (
        "<table class='narrow'><thead><tr><th scope='col'>Confidence</th>"
        "<th scope='col'>Missions</th><th scope='col'>Succeeded<span class='more'> and its 95% "
        f"range</span></th></tr></thead><tbody>{rows}</tbody></table>"
    )
    panel = _panel(
        "Successes by mean confidence",
        confidence_chart(confidence),
        "Larger dots stand for more missions, lines through them for the 95% range. On the dashed "
        "line as many succeed as the confidence says.",
    )
    body = f'<div class="beside">{panel}{table}</div>'
    return _section("Do confident missions succeed?", _correlation(confidence) + body)


def _correlation(confidence: Confidence) -> str:
    value = confidence.correlation
    if value is None:
        return ""
    how = "more often" if value > 0 else "less often"
    words = f"Missions that are surer of their decisions succeed {how}"
    if abs(value) < 0.05:
        words = "How sure missions are of their decisions hardly tells whether they succeed"
    return f'<p class="verdict">{words} (correlation {signed(value, 2)}).</p>'


def _timeline(moments: list[Moment]) -> str:
    if len(moments) < 2 or moments[0].elapsed_seconds == moments[-1].elapsed_seconds:
        return ""
    last = moments[-1]
    panels: list[tuple[str, str, str, list[Line]]] = [
        (
            "Missions and checkpoints",
            "missions",
            f'<span class="key first"></span>{last.missions:,} in the journal; '
            f'<span class="key second"></span>{last.checkpoint_missions:,} behind a checkpoint',
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
        _panel(name, time_chart(f"{name} over working time", unit, moments, lines), told)
        for name, unit, told, lines in panels
    )
    notes = "Over the working time of all sessions."
    if resumed_at(moments):
        notes += " A dotted upright line is where the run was away, and went on later."
    return _section("How the run went", f'<div class="panels two">{drawn}</div>', notes)


def _range(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"between {number(round(min(known), 1))} and {number(round(max(known), 1))}"


def _identity(figures: Figures) -> str:
    run = figures.run
    identity = run.identity
    facts: dict[str, Any] = {
        "Mission kind": f"{identity.mission}, version {identity.mission_version}",
        "Seed": identity.seed,
        "Missions": f"{run.missions:,} of {run.total:,}",
        "Last checkpoint": f"{run.checkpoint_missions:,} missions",
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
        items = "".join(f"<li>{text(of.replace('T', ' '))}</li>" for of in run.sessions[-50:])
        sessions = f"<h3>Sessions began</h3><ol class='sessions'>{items}</ol>"
    return _section(
        "Which run this is",
        f'<dl class="facts">{listed}</dl>{digest}{_parameters(identity.parameters)}{sessions}',
    )


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


def _footer(figures: Figures) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in figures.versions.items())
    made = figures.made.replace("T", " ").partition(".")[0]
    return (
        f"<footer><p>Made {text(made)} with {text(versions)}. The same figures, for programs, "
        "stand beside this page in <code>report.json</code>.</p></footer>"
    )


def _what_was_read(figures: Figures) -> str:
    sample, missions = figures.sample, figures.run.missions
    if sample.is_whole and sample.missions == missions:
        words = f"From the records of all {plural(missions, 'mission')}."
    elif sample.is_whole:
        words = f"From {sample.missions:,} records of {plural(missions, 'mission')}."
    else:
        words = (
            f"From the records of {sample.missions:,} of {missions:,} missions, in "
            f"{sample.chunks} evenly spread chunks."
        )
    if sample.damaged_lines:
        lines = plural(sample.damaged_lines, "damaged line")
        words += f" {lines} of the journal {'was' if sample.damaged_lines == 1 else 'were'} skipped."
    return words


def _section(heading: str, body: str, note: str = "") -> str:
    below = f'<p class="note">{text(note)}</p>' if note else ""
    return f"<section><h2>{text(heading)}</h2>{body}{below}</section>"


def _panel(heading: str, picture: str, told: str) -> str:
    return element("figure", element("h3", text(heading)), picture, element("figcaption", told))


def _first(groups: Mapping[str, Mix]) -> dict[str, Mix]:
    return dict(list(groups.items())[:_GROUPS_SHOWN])
