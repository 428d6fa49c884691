"""The screen of the runs: their list, one of them in full, and what keeps it up to date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import ClassVar, Final

import anyio
import anyio.to_thread
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from synexs_async.monitoring.changes import Changes
from synexs_async.monitoring.state import RunState
from synexs_async.monitoring.terminal import harmless
from synexs_async.watch.log import LogScreen
from synexs_async.watch.panels import PANELS, ROWS_OF_RATE, Panel, Rate, summary
from synexs_async.watch.reading import Page, Reader

_SHORTEST_PAUSE: Final = 0.4  # seconds between two looks
_LONGEST_PAUSE: Final = 2.0  # a process that is gone changes no file
_SHARE: Final = 0.01  # of a core, which the view leaves to the run


class RunList(OptionList):
    """The runs, those at work first."""

    def __init__(self) -> None:
        super().__init__()
        self._runs: Sequence[RunState] = []
        self._shown: Path | None = None

    def show(self, runs: Sequence[RunState], shown: Path) -> None:
        """Show these runs, and which of them is shown in full."""
        if (runs, shown) == (self._runs, self._shown):
            return
        self._runs, self._shown = runs, shown
        self._draw()

    def on_resize(self) -> None:
        """Draw it for the new width."""
        self._draw()

    def _draw(self) -> None:
        width = self.scrollable_content_region.width - 2
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options(Option(summary(run, width), id=str(run.folder)) for run in self._runs)
            folders = [run.folder for run in self._runs]
            self.highlighted = folders.index(self._shown) if self._shown in folders else None


class RunsScreen(Screen[None]):
    """Shows how runs stand, now and later."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "move(1)", "Next run"),
        Binding("p", "move(-1)", "Previous run"),
        Binding("l", "log", "Log"),
        Binding("pagedown", "scroll(1)", show=False, priority=True),
        Binding("pageup", "scroll(-1)", show=False, priority=True),
    ]

    def __init__(self, roots: Sequence[Path]) -> None:
        super().__init__()
        self._roots = roots
        self._reader = Reader(roots)
        self._page = Page([], None)
        self._chosen: Path | None = None
        self._hurry = anyio.Event()

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Container(id="body"):
            yield RunList()
            with VerticalScroll(id="detail"):
                yield Static("reading …", id="absence", markup=False)
                for panel in PANELS:
                    yield panel()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to look."""
        self.run_worker(self._keep_up())

    def on_resize(self) -> None:
        """Fit into the new size."""
        self.call_after_refresh(self._make_room)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the run that was chosen in the list."""
        assert event.option_id is not None
        self._choose(Path(event.option_id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done: there may be no other run to go to, or none at all."""
        if action == "move":
            return len(self._page.runs) > 1
        return self._page.detail is not None if action == "log" else True

    def action_move(self, step: int) -> None:
        """Show the next run, or the one before."""
        if self._page.detail is not None:
            shown = self._page.folders.index(self._page.detail.state.folder)
            self._choose(self._page.folders[(shown + step) % len(self._page.runs)])

    def action_log(self) -> None:
        """Open the log of the run that is shown."""
        if self._page.detail is not None:
            self.app.push_screen(LogScreen(self._page.detail.state))

    def action_scroll(self, pages: int) -> None:
        """Move through what has no room."""
        detail = self.query_one("#detail", VerticalScroll)
        detail.scroll_page_down() if pages > 0 else detail.scroll_page_up()

    def _choose(self, folder: Path) -> None:
        self._chosen = folder
        self._hurry.set()

    async def _keep_up(self) -> None:
        """Look at the runs over and over, when something has changed, and never in haste."""
        folders: set[Path] = set()
        while True:
            heard = folders
            with Changes(*self._roots, *heard) as changes:
                while folders == heard:
                    started = process_time()
                    self._hurry = anyio.Event()
                    self._show(await anyio.to_thread.run_sync(self._reader.read, self._chosen))
                    folders = {run.folder for run in self._page.runs if not run.has_ended}
                    await self._rest(changes, started)

    async def _rest(self, changes: Changes, started: float) -> None:
        """Wait until there is reason to look again; `started` is the processor time before."""
        await self._pause(_SHORTEST_PAUSE)  # what was seen is drawn meanwhile
        used = process_time() - started
        await self._pause(min(used / _SHARE, _LONGEST_PAUSE) - _SHORTEST_PAUSE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hear, changes, tasks.cancel_scope)
            await self._hurry.wait()
            tasks.cancel_scope.cancel()

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._hurry.wait()

    async def _hear(self, changes: Changes, scope: anyio.CancelScope) -> None:
        await changes.wait(_LONGEST_PAUSE)
        scope.cancel()

    def _make_room(self) -> None:
        """Where there is room, set the parts apart by a line, and draw the curve higher."""
        least, most = ROWS_OF_RATE
        panels = [panel for panel in self.query(Panel) if panel.height]
        rate = self.query_one(Rate)
        rows = self.query_one("#detail", VerticalScroll).size.height
        rows -= sum(panel.height for panel in panels if panel is not rate) + 1
        apart = len(panels) - 1
        is_airy = rows - apart > least
        self.set_class(is_airy, "-airy")
        rate.make_rows(min(max(rows - apart * is_airy, least), most))

    def _show(self, page: Page) -> None:
        had, self._page = self._page, page
        detail = page.detail
        absence = self.query_one("#absence", Static)
        absence.display = detail is None
        self.set_class(len(page.runs) > 1, "-several")
        if detail is None:
            for panel in self.query(Panel):
                panel.hide()
            absence.update(harmless(f"waiting for a run in {', '.join(map(str, self._roots))}"))
        else:
            self.query_one(RunList).show(page.runs, detail.state.folder)
            for panel in self.query(Panel):
                panel.show(detail)
            self._make_room()
        if len(had.runs) != len(page.runs):
            self.refresh_bindings()
            if len(page.runs) > 1:
                self.query_one(RunList).focus()
