"""The parts of the page that tell how missions ended, and whether that was to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from synexs_async.report.charts import deviation_strip, mix_bar
from synexs_async.report.figures import Figures, Mix, Share
from synexs_async.report.markup import legend, section, share_with_range
from synexs_async.report.wording import percent, plural, signed, text, title

_GROUPS_SHOWN: Final = 24
_ALL: Final = "All missions"  # a group may bear this name too


def outcomes_section(figures: Figures) -> str:
    """Show how missions ended, all of them and by group."""
    outcomes = figures.outcomes
    if not outcomes.all.missions:
        return section("Outcomes", "<p>No mission has ended yet.</p>")
    by = title(outcomes.group_by.rpartition(".")[2]).lower() if outcomes.group_by else ""
    groups = [*outcomes.groups.items()][:_GROUPS_SHOWN]
    mixes = [(_ALL, outcomes.all), *((name, mix) for name, mix in groups if mix.missions)]
    rows = "".join(_mix(name, mix, figures) for name, mix in mixes)
    notes = []
    if figures.expected_outcomes:
        notes.append("The thin bar below each is what is expected.")
    if outcomes.groups and outcomes.are_groups_sampled:
        notes.append(f"By {by}, only the missions of the sample are counted.")
    if len(outcomes.groups) > _GROUPS_SHOWN:
        notes.append(f"The first {_GROUPS_SHOWN} of {len(outcomes.groups)} groups are shown.")
    return section(
        f"How missions ended, by {by}" if by else "How missions ended",
        _legend_of(outcomes.all) + f'<ul class="mixes">{rows}</ul>',
        " ".join(notes),
    )


def expected_section(figures: Figures) -> str:
    """Hold each share against the expected one."""
    outcomes = figures.outcomes
    bodies, compared = "", list[Share]()
    for name, mix in [(_ALL, outcomes.all), *outcomes.groups.items()]:
        shares = {
            outcome: share
            for outcome, share in mix.outcomes.items()
            if share.is_as_expected is not None and (share.expected or share.count)
        }
        if all(share.is_as_expected and share.deviation is None for share in shares.values()):
            continue  # nothing is left to chance, and nothing else came
        compared += shares.values()
        ended = mix.missions - mix.errors
        rows = "".join(_compared(outcome, share, ended) for outcome, share in shares.items())
        bodies += (
            f'<tbody><tr><th colspan="4" scope="rowgroup">{text(name)} '
            f'<span class="more">{plural(ended, "mission")}</span></th></tr>{rows}</tbody>'
        )
    if not bodies:
        return ""
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
    if outcomes.all.errors:
        note += " Missions that raised an error are left out."
    return section("Is the mix the expected one?", _verdict(compared) + table, note)


def _verdict(compared: Sequence[Share]) -> str:
    outside = sum(not share.is_as_expected for share in compared)
    words = f"All {len(compared)} shares differ from the expected by no more than chance explains."
    if outside:
        words = (
            f"{outside} of {len(compared)} shares {'differs' if outside == 1 else 'differ'} from "
            "the expected by more than chance explains in 95 of 100 runs. By chance alone, about "
            f"{len(compared) / 20:.1f} would."
        )
    return f'<p class="verdict">{words}</p>'


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


def _legend_of(mix: Mix) -> str:
    named = [name for name, share in mix.outcomes.items() if share.count or share.expected]
    return legend([*named, "error"] if mix.errors else named)


def _compared(outcome: str, share: Share, missions: int) -> str:
    assert share.expected is not None
    certain = "always expected" if share.expected else "never expected"
    told = certain if share.deviation is None else signed(share.deviation)
    return (
        f'<tr><th scope="row"><span class="key {outcome}"></span>{outcome}</th>'
        f"<td>{share_with_range(share.share, share.low, share.high, missions)}</td>"
        f"<td>{percent(share.expected, missions)}</td>"
        f'<td><div class="deviation">{deviation_strip(share)}<span>{told}</span></div>'
        "</td></tr>"
    )
