"""Text for a terminal, which takes some characters as orders: they are shown, not obeyed."""

from __future__ import annotations

from typing import Final

_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_IN_LINES: Final = {code: sign for code, sign in _CONTROLS.items() if chr(code) not in "\n\t"}


def harmless(text: str) -> str:
    """Return text with its control characters spelled out."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def harmless_lines(text: str) -> str:
    """Do the same, but for line breaks and tabs."""
    return text.translate(_IN_LINES)
