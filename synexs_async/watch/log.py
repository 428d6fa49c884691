"""The log of a run as it grows, from a chosen level up."""

from __future__ import annotations

from contextlib import aclosing
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Footer, RichLog, Static

from synexs_async.errors import FolderError
from synexs_async.monitoring.log import LogLine, follow_log
from synexs_async.monitoring.state import RunState
from synexs_async.monitoring.terminal import harmless

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_STYLES: Final = {
    "DEBUG": "dim",
    "INFO": "bold",
    "WARNING": "yellow",
    "ERROR": "bold red",
    "CRITICAL": "bold red",
}
_LINES_BEFORE: Final = 500
_MOST_LINES: Final = 5_000


class LogScreen(Screen[None]):
    """Shows the last lines of a run's log, and follows it until it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "next_level", "Level"),
        Binding("escape,l", "leave", "Back"),
    ]

    def __init__(self, state: RunState) -> None:
        super().__init__()
        self._state = state
        self._level = "INFO"
        self._width = 0

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static(id="title")
        yield RichLog(max_lines=_MOST_LINES, wrap=True, min_width=20)
        yield Footer(show_command_palette=False)

    def on_resize(self, event: Resize) -> None:
        """Begin to follow, and anew where lines have to be wrapped anew."""
        if event.size.width != self._width:
            self._width = event.size.width
            self.call_after_refresh(self._begin)

    def action_next_level(self) -> None:
        """Show the log from the next level up."""
        self._level = LEVELS[(LEVELS.index(self._level) + 1) % len(LEVELS)]
        self._begin()

    def action_leave(self) -> None:
        """Go back to the runs."""
        self.dismiss()

    def _begin(self) -> None:
        self.query_one(RichLog).clear()
        told = ("  ", f"{self._level} and above" if self._level != "DEBUG" else "all levels")
        title = Content.assemble(("Log of ", "bold"), (harmless(self._state.name), "bold"), *told)
        self.query_one("#title", Static).update(title)
        self.run_worker(self._follow(), exclusive=True)

    async def _follow(self) -> None:
        log = self.query_one(RichLog)
        width = log.scrollable_content_region.width
        lines = follow_log(self._state.folder, last=_LINES_BEFORE, level=self._level, keep=True)
        try:
            async with aclosing(lines):
                async for line in lines:
                    log.write(_drawn(line), width=width)
        except FolderError as error:
            log.write(Text(str(error)), width=width)


def _drawn(line: LogLine) -> Text:
    return Text.assemble(
        (f"{line.timestamp[11:]} ", "dim"),
        (f"{harmless(line.level):<8} ", _STYLES.get(line.level, "")),
        "\n".join(map(harmless, line.message.splitlines())),
    )
