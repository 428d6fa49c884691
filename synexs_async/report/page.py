"""The page: a report's figures as one HTML file that needs nothing else, and runs no script."""

from __future__ import annotations

from importlib import resources
from typing import Final

from synexs_async.report.figures import Figures
from synexs_async.report.outcome_sections import expected_section, outcomes_section
from synexs_async.report.record_sections import confidence_section, distributions_section
from synexs_async.report.run_sections import identity_section, timeline_section
from synexs_async.report.wording import duration, number, percent, plural, text

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
        outcomes_section(figures),
        expected_section(figures),
        distributions_section(figures),
        confidence_section(figures.confidence),
        timeline_section(figures.timeline),
        identity_section(figures),
        _footer(figures),
    )
    name = text(f"{figures.run.name}: {figures.run.identity.mission} run")
    return _PAGE.format(title=name, style=style, body="\n".join(filter(None, sections)))


def _header(figures: Figures) -> str:
    run, of_all = figures.run, figures.outcomes.all
    status = _STATUS.get(run.status, run.status)
    tiles = [_tile("Missions", f"{run.missions:,}", f"of {run.total:,}")]
    for name, count in (
        ("Succeeded", of_all.outcomes["success"].count),
        ("Raised an error", of_all.errors),
    ):
        if count or (name == "Succeeded" and of_all.missions):
            share = percent(count / of_all.missions, run.missions)
            tiles.append(_tile(name, share, plural(count, "mission")))
    if run.missions_per_second:
        tiles.append(_tile("Speed", number(run.missions_per_second), "missions a second"))
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


def _footer(figures: Figures) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in figures.versions.items())
    made = figures.made.replace("T", " ").partition(".")[0]
    return (
        f"<footer><p>Made {text(made)} with {text(versions)}. The same figures, for programs, "
        "stand beside this page in <code>report.json</code>.</p></footer>"
    )
