"""The program around the two screens: its theme, its layout, and how it is left."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from synexs_async.watch.runs import RunsScreen


class WatchApp(App[None]):
    """Shows runs until it is left.

    Args:
        roots: folders of runs, or folders that hold some; they may appear later.
    """

    TITLE = "synexs_async watch"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - as Textual has it
    VERTICAL_BREAKPOINTS = [(0, "-low"), (24, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, roots: Sequence[Path]) -> None:
        super().__init__()
        self.theme = "ansi-dark"  # the terminal's own colours, whether it is dark or light
        self.animation_level = "none"
        self._roots = roots

    def on_mount(self) -> None:
        """Show the runs, until SIGTERM too: the terminal has to be given back as it was."""
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM, partial(self.exit, return_code=128 + signal.SIGTERM)
        )
        self.push_screen(RunsScreen(self._roots))
