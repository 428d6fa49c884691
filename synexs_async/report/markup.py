"""Pieces of the page that its parts share."""

from __future__ import annotations

from collections.abc import Sequence

from synexs_async.report.svg import element
from synexs_async.report.wording import percent, text


def section(heading: str, body: str, note: str = "") -> str:
    """Return a part of the page; `body` is markup, `note` what is said below it."""
    below = f'<p class="note">{text(note)}</p>' if note else ""
    return f"<section><h2>{text(heading)}</h2>{body}{below}</section>"


def panel(heading: str, picture: str, told: str) -> str:
    """Return a chart with its heading; `told` is markup, in words what the chart shows."""
    return element("figure", element("h3", text(heading)), picture, element("figcaption", told))


def legend(names: Sequence[str]) -> str:
    """Return which colour stands for which outcome."""
    items = "".join(f'<li><span class="key {name}"></span>{text(name)}</li>' for name in names)
    return f'<ul class="legend" aria-hidden="true">{items}</ul>'


def share_with_range(
    share: float | None, low: float | None, high: float | None, missions: int
) -> str:
    """Return a share of so many missions, which must be known, and its range."""
    assert share is not None
    assert low is not None
    assert high is not None
    between = f"{percent(low, missions).removesuffix('%')}\N{EN DASH}{percent(high, missions)}"
    return f'{percent(share, missions)} <span class="more">{between}</span>'
