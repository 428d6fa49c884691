"""A run from its start to its end, for the program that embeds it."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, get_args

import anyio
import anyio.lowlevel

from synexs_async.config import RunConfig
from synexs_async.errors import StorageFailed
from synexs_async.events import Finished, OnLag
from synexs_async.missions.failed import decode_error, is_error
from synexs_async.missions.mission import Mission
from synexs_async.session import READ_AHEAD, Prepared, Session, prepare
from synexs_async.storage.folder import RunFolder, acquire
from synexs_async.storage.journal import JournalReader
from synexs_async.storage.progress import OutcomeCounts, Progress, RunStatus
from synexs_async.tasks.broadcast import Broadcast, EventStream
from synexs_async.tasks.logs import log_to_file
from synexs_async.tasks.threads import run_in_thread
from synexs_async.tasks.watermark import Watermark

_RECORDS_A_READ: Final = 256
_RECORDS_A_TURN: Final = 32  # of the event loop; to decode them takes a quarter of a millisecond


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run stands when a session of it has ended.

    Attributes:
        status: "completed", "interrupted" where it was told to stop, or "failed".
        missions: missions in the journal, of `total`.
        new_missions: those that this session simulated.
        outcomes: counts over all sessions; where this one ended while it read again what lies
            behind the last checkpoint, those that the one before told last.
        seconds: this session's time.
        dataset_sha256: the digest of a complete data set, else None.
        team_id: the run's label.
        output: the run's folder.
        archived: where an earlier run was moved to, if one was.
    """

    status: RunStatus
    missions: int
    total: int
    new_missions: int
    outcomes: OutcomeCounts
    seconds: float
    dataset_sha256: str | None
    team_id: str
    output: Path
    archived: Path | None


async def run(config: RunConfig) -> RunReport:
    """Run missions to the end, or on from where an earlier session ended.

    Cancelling it stops the run in order: what was simulated is committed, a last checkpoint is
    written, and the same call goes on from there later.

    Raises:
        UsageError: the folder can't be used for this run; nothing was changed.
        RunFailed: the run stopped in the middle, with all that was committed kept.
    """
    async with open_run(config) as live:
        pass
    return live.report


@asynccontextmanager
async def open_run(config: RunConfig) -> AsyncIterator[LiveRun]:
    """Run missions beside the body of an `async with`; leaving the body waits for their end.

    An exception in the body, or its cancellation, stops the run in order. The run's own errors
    are those of `run`, raised when the body is left.
    """
    mission = await run_in_thread(config.resolve_mission)
    with ExitStack() as held:
        prepared = await run_in_thread(_take, config, mission, held)
        if prepared.recovery.complete:
            yield LiveRun(prepared, None)
            return
        failure: BaseException | None = None
        log_file = prepared.layout.folder.log_file(datetime.now())
        try:
            async with log_to_file(log_file, config.log_level) as (log, log_written):
                session = Session(config, prepared, log, log_written)
                try:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(session.run)
                        try:
                            yield LiveRun(prepared, session)
                        except anyio.get_cancelled_exc_class():
                            raise
                        except BaseException as error:
                            failure = error
                            session.stop()
                        finally:
                            session.release_consumers()
                finally:
                    failure = failure or session.failure
        finally:
            if failure is not None:
                raise failure  # as itself, not in a group, and also where all this is cancelled


def _take(config: RunConfig, mission: Mission, held: ExitStack) -> Prepared:
    """Take the run's folder, and make it ready; `held` gives it back."""
    folder = RunFolder(Path(config.output))
    held.callback(acquire(folder).release)
    try:
        prepared = prepare(config, mission, folder)
    except OSError as error:
        raise StorageFailed(error) from error
    held.callback(prepared.close)
    return prepared


class LiveRun:
    """A run that is going on, or that was found complete."""

    def __init__(self, prepared: Prepared, session: Session | None) -> None:
        self._prepared = prepared
        self._session = session

    @property
    def output(self) -> Path:
        """The run's folder."""
        return self._prepared.layout.folder.path

    @property
    def progress(self) -> Progress:
        """How the run stands now; of a run that was found complete, how it ended."""
        if self._session is not None:
            return self._session.reporting.snapshot()
        progress = self._prepared.recovery.last_progress
        assert progress is not None  # else the run was not found complete
        return progress

    @property
    def report(self) -> RunReport:
        """How the run stands, as it is reported at the end."""
        prepared, session = self._prepared, self._session
        checkpoint = prepared.recovery.checkpoint
        if session is None:
            missions = total = checkpoint.mark.missions
            outcomes = OutcomeCounts(**checkpoint.statistics.counts())
        else:
            missions, total = session.missions, session.total
            outcomes = session.reporting.snapshot().stats
        return RunReport(
            status=session.reporting.status if session else "completed",
            missions=missions,
            total=total,
            new_missions=missions - session.already_there if session else 0,
            outcomes=outcomes,
            seconds=session.seconds if session else 0.0,
            dataset_sha256=session.dataset_sha256 if session else checkpoint.dataset_sha256,
            team_id=prepared.run_file.team_id,
            output=self.output,
            archived=prepared.archived,
        )

    def records(self, start: int = 0, on_lag: OnLag = "wait") -> RecordStream:
        """Iterate over the committed records from mission `start` on, in order, as they come.

        A record is what the mission kind's `decode` makes of a journal line: of the team mission
        a MissionRecord; of a mission that raised an ErrorRecord.

        Records of earlier sessions are read from the journal first. With "wait" the run does not
        get more than 4,096 missions ahead while somebody iterates; with "drop" the run goes its
        own way, and who is further behind misses what lies between. Memory stays flat either way.
        Close the iterator (`contextlib.aclosing`), or leave the run's body, to let the run go on
        alone.
        """
        if start < 0:
            raise ValueError(f"start: expected 0 or more, not {start}")
        return RecordStream(self._prepared, self._session, start, may_drop=_may_drop(on_lag))

    def events(self, on_lag: OnLag = "drop") -> EventStream:
        """Iterate over what happens from now on, to the end of the run: `Finished` is always told.

        With "drop", who lags by more than 1,024 events misses the oldest, which are counted; with
        "wait" the run waits. `Stopping` and `Finished` wait for nobody, and are not missed.
        """
        _may_drop(on_lag)
        if self._session is not None:
            return self._session.events.listen(on_lag)
        found_complete = Broadcast()
        found_complete.end(Finished("completed", self.report.missions))
        return found_complete.listen(on_lag)

    def stop(self) -> None:
        """Stop in order, as cancelling does; the body goes on."""
        if self._session is not None:
            self._session.stop()

    def give_up(self) -> None:
        """Stop at once, without writing what is in flight; it is made again on resume."""
        if self._session is not None:
            self._session.give_up()


class RecordStream:
    """The records of a run as they are committed, to iterate over.

    Attributes:
        dropped: how many records were passed over, because nobody took them in time.
    """

    def __init__(
        self, prepared: Prepared, session: Session | None, start: int, *, may_drop: bool
    ) -> None:
        self._prepared = prepared
        self._session = session
        self._may_drop = may_drop
        self._reader = JournalReader(prepared.layout, start)
        self._position = Watermark(start)
        self._lines: deque[bytes] = deque()
        self._reading = anyio.Lock()
        self._leave: weakref.finalize[..., RecordStream] | None = None
        self._ended = False
        self.dropped = 0

    def __aiter__(self) -> RecordStream:
        return self

    async def __anext__(self) -> Any:
        """Wait for the next record."""
        if self._position.value % _RECORDS_A_TURN == 0:
            await anyio.lowlevel.checkpoint()
        while not self._lines:
            async with self._reading:
                if self._ended:
                    raise StopAsyncIteration
                if not self._lines:
                    await self._fill()
        line = self._lines.popleft()
        self._position.advance(self._position.value + 1)
        return decode_error(line) if is_error(line) else self._prepared.mission.decode(line)

    async def aclose(self) -> None:
        """Read no further; the run goes on alone."""
        self._ended = True
        self._lines.clear()
        if self._leave is not None:
            self._leave()

    async def _fill(self) -> None:
        """Wait for records, and take some in; at the end, end."""
        self._enter()
        reader = self._reader
        end = await self._committed_beyond(reader.position)
        if end is None:
            await self.aclose()
            return
        if self._may_drop and end - reader.position > READ_AHEAD:
            newest = end - READ_AHEAD // 2
            self.dropped += newest - reader.position
            self._reader = reader = JournalReader(self._prepared.layout, newest)
            self._position.advance(newest)
        end = min(end, reader.position + _RECORDS_A_READ)
        # In the thread, so that cancelling whoever waits for a record loses none.
        await run_in_thread(lambda: self._lines.extend(reader.read(end)))

    def _enter(self) -> None:
        """Hold the run back from now on, unless records may be missed."""
        if self._session is None or self._may_drop or self._leave is not None:
            return
        self._session.add_reader(self._position)
        # Who breaks out of a loop over the stream may drop it, without closing it.
        loop = asyncio.get_running_loop()
        self._leave = weakref.finalize(self, _leave, loop, self._session, self._position)
        self._leave.atexit = False

    async def _committed_beyond(self, position: int) -> int | None:
        """Wait for missions behind `position`; None when there will be none."""
        if self._session is None:
            missions = self._prepared.recovery.checkpoint.mark.missions
            return missions if missions > position else None
        committed = self._session.committed
        return committed.value if await committed.reached(position + 1) else None


def _leave(loop: asyncio.AbstractEventLoop, session: Session, position: Watermark) -> None:
    """Hold the run back no longer; garbage may be found in any thread, and at any time."""
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(session.remove_reader, position)


def _may_drop(on_lag: OnLag) -> bool:
    if on_lag not in get_args(OnLag):
        listed = " or ".join(map(repr, get_args(OnLag)))
        raise ValueError(f"on_lag: expected {listed}, not {on_lag!r}")
    return on_lag == "drop"
