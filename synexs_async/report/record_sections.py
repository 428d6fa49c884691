"""The parts of the page that come from the records of missions: numbers, and confidence."""

from __future__ import annotations

from typing import Final

from synexs_async.report.charts import confidence_chart, histogram
from synexs_async.report.figures import ENDINGS, Confidence, Distribution, Figures
from synexs_async.report.markup import legend, panel, section, share_with_range
from synexs_async.report.wording import number, plural, signed, title

_WEAK: Final = 0.05  # a correlation that says little


def distributions_section(figures: Figures) -> str:
    """Show how the numbers of missions are spread."""
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
    body = f'{legend(endings)}<div class="panels">{panels}</div>'
    return section("How missions differ", body, " ".join(notes))


def confidence_section(confidence: Confidence | None) -> str:
    """Show whether missions that are sure of their decisions succeed."""
    if confidence is None:
        return ""
    rows = ""
    for of in confidence.bins:
        share = share_with_range(of.success_share, of.low, of.high, of.missions)
        rows += (
            f"<tr><th scope='row'>{of.confidence:.2f}</th><td>{of.missions:,}</td>"
            f"<td>{share}</td></tr>"
        )
    table = (
        "<table class='narrow'><thead><tr><th scope='col'>Confidence</th>"
        "<th scope='col'>Missions</th><th scope='col'>Succeeded<span class='more'> and its 95% "
        f"range</span></th></tr></thead><tbody>{rows}</tbody></table>"
    )
    chart = panel(
        "Successes by mean confidence",
        confidence_chart(confidence),
        "Larger dots stand for more missions, lines through them for the 95% range. On the dashed "
        "line as many succeed as the confidence says.",
    )
    body = f'<div class="beside">{chart}{table}</div>'
    return section("Do confident missions succeed?", _correlation(confidence) + body)


def _spread(name: str, of: Distribution) -> str:
    heading = title(name)
    if of.unit and not heading.endswith(of.unit):
        heading += f" ({of.unit})"
    told = (
        f"median <b>{number(of.median)}</b>, mean {number(of.mean)}; 90% between "
        f"{number(of.p05)} and {number(of.p95)}"
    )
    if of.minimum == of.maximum:
        told = f"always <b>{number(of.minimum)}</b>"
    if far := of.below + of.above:
        told += f"; {far:,} further out, between {number(of.minimum)} and {number(of.maximum)}"
    if of.left_out:
        told += f"; {of.left_out:,} too large to be shown"
    return panel(heading, histogram(heading, of), told)


def _correlation(confidence: Confidence) -> str:
    value = confidence.correlation
    if value is None:
        return ""
    how = "more often" if value > 0 else "less often"
    words = f"Missions that are surer of their decisions succeed {how}"
    if abs(value) < max(_WEAK, 2 / confidence.missions**0.5):
        words = "How sure missions are of their decisions hardly tells whether they succeed"
    return f'<p class="verdict">{words} (correlation {signed(value, 2)}).</p>'


def _what_was_read(figures: Figures) -> str:
    sample, missions = figures.sample, figures.run.missions
    if sample.is_whole and sample.missions == missions:
        words = f"From the records of all {missions:,} missions."
        if missions == 1:
            words = "From the record of the only mission."
    elif sample.is_whole:
        words = f"From {sample.missions:,} records of {plural(missions, 'mission')}."
    else:
        words = (
            f"From the records of {sample.missions:,} of {missions:,} missions, in "
            f"{sample.chunks} evenly spread chunks."
        )
    if sample.damaged_lines:
        lines = plural(sample.damaged_lines, "damaged line")
        words += (
            f" {lines} of the journal {'was' if sample.damaged_lines == 1 else 'were'} skipped."
        )
    return words
