"""What a person sees while it runs: log lines, and on a terminal a live progress line.

A terminal may stop taking output (Ctrl-S, a slow line) or be gone, so writing is done in a thread,
and one that fails or hangs stops nothing.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TextIO

import anyio
import anyio.to_thread
from loguru import logger

from synexs_async.tasks.logs import LINE_FORMAT, LineQueue

if TYPE_CHECKING:
    from loguru import Message, Record
    from rich.progress import Progress as Bar

    from synexs_async.runner import LiveRun
    from synexs_async.storage.progress import Progress

_REFRESH_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 2.0
_STYLES: Final = {"WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}

_Line = tuple[str, TextIO, str]  # text, where to, style


class Console:
    """The console of a process that is all ours: loguru's own handler is replaced."""

    def __init__(self, level: str) -> None:
        self._is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._lines: LineQueue[_Line] = LineQueue()
        self._live: LiveRun | None = None
        self._bar: Bar | None = None
        self._is_open = True
        self.hangs = False
        logger.remove()
        # Tries that are made again are many; without a handler each would be a line on stderr.
        logging.getLogger("stamina").addHandler(logging.NullHandler())
        # A format that is a function leaves tracebacks out: they are in the log file.
        logger.add(self._take, level=level, format=lambda _: LINE_FORMAT, filter=self._is_wanted)

    def say(self, text: str) -> None:
        """Show a line."""
        self._lines.put((text, sys.stdout, ""))

    def complain(self, text: str) -> None:
        """Show what went wrong, on standard error."""
        self._lines.put((f"synexs_async: error: {text}", sys.stderr, _STYLES["ERROR"]))

    def watch(self, live: LiveRun) -> None:
        """Show how this run stands from now on."""
        self._live = live

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Show lines while the block lasts, and what is left at its end, if that can be done."""
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope(shield=True)
            tasks.start_soon(self._show, scope)
            try:
                yield
            finally:
                self._lines.close()
                scope.deadline = anyio.current_time() + _PATIENCE_SECONDS

    async def _show(self, scope: anyio.CancelScope) -> None:
        with scope:
            closing = False
            while not closing:
                lines: list[_Line] = []
                with anyio.move_on_after(_REFRESH_SECONDS if self._bar else None) as waiting:
                    lines = await self._lines.take()
                closing = not lines and not waiting.cancelled_caught
                progress = self._live.progress if self._live and self._is_terminal else None
                await anyio.to_thread.run_sync(
                    self._write, lines, progress, closing, abandon_on_cancel=True
                )
        self.hangs = scope.cancelled_caught

    def _take(self, message: Message) -> None:
        self._lines.put((str(message), sys.stdout, _STYLES.get(message.record["level"].name, "")))

    def _is_wanted(self, record: Record) -> bool:
        """Whether a log line is to be shown: not what the live line or the summary says too."""
        extra = record["extra"]
        return not (extra.get("summary") or (self._is_terminal and extra.get("milestone")))

    def _write(self, lines: list[_Line], progress: Progress | None, last: bool) -> None:
        if not self._is_open:
            return
        try:
            if self._is_terminal:
                self._draw(lines, progress, last)
            else:
                for text, stream, _ in lines:
                    print(text, file=stream, flush=True)
        except OSError:  # the terminal is gone, or nobody reads the pipe
            self._is_open = False
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())  # else Python fails to flush at the exit
            os.close(nowhere)

    def _draw(self, lines: list[_Line], progress: Progress | None, last: bool) -> None:
        from rich import progress as rich_progress

        if self._bar is None:
            self._bar = rich_progress.Progress(
                rich_progress.BarColumn(30),  # not all of the line: a Ctrl-C is echoed behind it
                rich_progress.TextColumn("{task.percentage:3.0f}%  {task.description}"),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.add_task("starting", total=None)
            self._bar.start()
        if progress is not None:
            self._bar.update(
                self._bar.task_ids[0],
                total=progress.mission_total,
                completed=progress.mission_current,
                description=_describe(progress),
            )
        if last:
            self._bar.stop()
        for text, _, style in lines:
            self._bar.console.print(text, style=style, markup=False, highlight=False)
        if not last:
            self._bar.refresh()


def _describe(progress: Progress) -> str:
    parts = [
        f"{progress.mission_current:,}/{progress.mission_total:,}",
        f"{progress.rate_missions_per_sec:,.0f}/s",
    ]
    if progress.eta_seconds is not None:
        minutes, seconds = divmod(round(progress.eta_seconds), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours}:{minutes:02}:{seconds:02} left")
    return "  ".join(parts)
