"""Numbers, names and times as people read them."""

from __future__ import annotations

from html import escape
from typing import Final

_SHORT: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def text(value: object) -> str:
    """Return anything as HTML's text, also within quotes; what can't be shown as a box."""
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in str(value))
    return escape(shown)


def number(value: float) -> str:
    """Return a number with about four digits: 1,234 or 0.01235."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if 1e3 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    if 1e-4 <= abs(value) < 1e3:
        return f"{value:.4g}"
    return f"{value:.3e}"


def short(value: float) -> str:
    """Return a number for an axis, where there is little room: 12k, 0.25."""
    for scale, letter in _SHORT:
        if scale <= abs(value) < 1e15:
            return f"{value / scale:.4g}{letter}"
    return f"{value:.4g}"


def percent(share: float, missions: int) -> str:
    """Return a share in percent, with the digits that so many missions can tell."""
    return f"{share * 100:.{2 if missions >= 100_000 else 1}f}%"


def duration(seconds: float) -> str:
    """Return a time span: 0.84 s, 12.3 s, 4 min 05 s, 3 h 07 min."""
    if seconds < 59.95:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def title(name: str) -> str:
    """Return the name of a number as a title: `mean_latency_ms` as "Mean latency"."""
    words = name.removesuffix("_ms").removesuffix("_seconds").replace("_", " ").strip()
    words = words or name or '""'
    return words[0].upper() + words[1:]


def signed(value: float, digits: int = 1) -> str:
    """Return a number with its sign, and so many digits behind the point."""
    shown = f"{value:+.{digits}f}"
    return shown[1:] if float(shown) == 0 else shown.replace("-", "\N{MINUS SIGN}")


def plural(count: int, noun: str) -> str:
    """Return "1 mission", "2 missions"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
