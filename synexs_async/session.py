"""One session of a run: its tasks, and how they end.

They are nested so that stopping is producing nothing more. The mission loop has a cancel scope of
its own, the one thing that a stop cancels. Behind it the channels close, and the consumers,
shielded, drain what is in them. The progress reporter stays around those until the end is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from synexs_async.config import RunConfig, derived_team_id, identity_of
from synexs_async.errors import FolderError, MissionFailed, StorageFailed, leaves_of
from synexs_async.events import Finished, Stopping
from synexs_async.missions.mission import Block, Mission
from synexs_async.storage.files import GroupFlush, remove_temporary_files
from synexs_async.storage.folder import (
    RunFile,
    RunFolder,
    adopt,
    check_kinds,
    settle,
)
from synexs_async.storage.index import write_index
from synexs_async.storage.journal import JournalWriter, Layout
from synexs_async.storage.ledger import Ledger
from synexs_async.storage.progress import RunStatus, timestamp
from synexs_async.storage.protocol import Setup
from synexs_async.storage.recovery import Recovery, examine, repair
from synexs_async.tasks.assignment import Assignment
from synexs_async.tasks.broadcast import Broadcast
from synexs_async.tasks.checkpointing import Checkpointing
from synexs_async.tasks.flushing import Flushing
from synexs_async.tasks.journaling import Journaling, Snapshot
from synexs_async.tasks.placing import place_of
from synexs_async.tasks.pool import WorkerPool
from synexs_async.tasks.progress import Reporting
from synexs_async.tasks.replaying import replay_journal
from synexs_async.tasks.threads import run_in_thread
from synexs_async.tasks.watermark import Watermark

if TYPE_CHECKING:
    from loguru import Logger

_BLOCKS_IN_FLIGHT: Final = 16
_PATIENCE: Final = 0.5  # seconds; another writer takes more to import torch
READ_AHEAD: Final = 4096  # missions that a run may be ahead of whoever reads its records


@dataclass(frozen=True, slots=True)
class Prepared:
    """A folder that is ready for a session."""

    mission: Mission
    run_file: RunFile
    layout: Layout
    recovery: Recovery
    writer: JournalWriter
    group_flush: GroupFlush
    archived: Path | None

    def close(self) -> None:
        """Give the files back."""
        self.writer.close()
        self.group_flush.close()


def prepare(config: RunConfig, mission: Mission, folder: RunFolder) -> Prepared:
    """Make a locked folder ready: claim it for this run, and clear away what was in flight.

    Raises:
        UsageError: it can't be used for this run; nothing was changed.
    """
    identity = identity_of(config, mission)
    wanted = RunFile(identity, config.team_id or derived_team_id(identity))
    run_file, archived = adopt(folder, wanted, resume=config.resume)
    layout = Layout.of(folder, identity, has_batches=bool(mission.feature_names))
    try:
        check_kinds(folder)
        recovery = examine(layout, config.missions, mission)
    except OSError as error:
        problem = (
            f"can't be read: {error.strerror}; restore it from a copy, or choose another --output"
        )
        raise FolderError(Path(error.filename or folder.path), problem) from error
    settle(folder, run_file)
    repair(layout, recovery)
    writer = JournalWriter(layout, recovery.checkpoint.mark, recovery.digest)
    flush = GroupFlush(folder.path, folder.missions, folder.batches)
    return Prepared(mission, run_file, layout, recovery, writer, flush, archived)


class Session:
    """Takes a run on from what its folder holds.

    Attributes:
        committed: the missions in the journal that this session has seen; closed at the end.
        dataset_sha256: the data set's digest once the run is complete.
        failure: what made the run fail, if anything did.
    """

    def __init__(
        self,
        config: RunConfig,
        prepared: Prepared,
        log: Logger,
        log_written: Callable[[], Awaitable[None]],
    ) -> None:
        checkpoint, extent = prepared.recovery.checkpoint, prepared.recovery.extent
        layout, folder = prepared.layout, prepared.layout.folder
        self.total = config.missions
        self._config = config
        self._prepared = prepared
        self._log = log
        self._log_written = log_written
        self._started = monotonic()
        self._ended: float | None = None
        self._elapsed_before = prepared.recovery.elapsed_time
        self._readers: set[Watermark] = set()
        self._is_alone = False
        self._producing = anyio.CancelScope()
        self._draining = anyio.CancelScope(shield=True)
        self._reporting_scope = anyio.CancelScope(shield=True)
        self.already_there = extent.missions
        self.dataset_sha256: str | None = None
        self.failure: BaseException | None = None

        self.events = Broadcast()
        ledger = Ledger(folder.ledger)
        self._writer = prepared.writer
        self._pool = WorkerPool(
            config.worker_count,
            Setup.of(folder.path, prepared.run_file.identity, prepared.mission),
            log.warning,
            patience=_PATIENCE,
        )
        self._place = place_of(
            Assignment(
                prepared.mission,
                layout,
                config.seed,
                extent.missions,
                config.missions,
                config.checkpoint_interval,
                config.on_error,
                self._readers_follow,
                log,
            ),
            prepared.run_file.identity,
            config,
        )
        self._journaling = Journaling(
            self._writer,
            ledger,
            checkpoint.statistics,
            already_there=extent.missions,
            interval=config.checkpoint_interval,
        )
        self._flushing = Flushing(
            self._pool,
            layout,
            ledger,
            log,
            self.events,
            first=layout.batch_start(checkpoint.mark.missions),
            total=config.missions,
            workers=config.worker_count,
        )
        self._checkpointing = Checkpointing(
            layout,
            prepared.group_flush,
            self._flushing,
            log,
            self.events,
            saved=checkpoint.mark.missions,
            unflushed=prepared.recovery.first_unsure(layout),
            elapsed=self.elapsed,
        )
        self.reporting = Reporting(
            folder,
            self._journaling,
            self._flushing,
            self._checkpointing,
            log,
            self.events,
            already_there=extent.missions,
            told=prepared.recovery.told,
            total=config.missions,
            seed=config.seed,
            interval=config.checkpoint_interval,
            group_by=prepared.mission.group_by,
            elapsed=self.elapsed,
        )
        self.committed = self._journaling.committed

    def elapsed(self) -> float:
        """Return the seconds of work, over all sessions."""
        return self._elapsed_before + self.seconds

    @property
    def seconds(self) -> float:
        """The seconds of this session, to its end where it has ended."""
        return (self._ended or monotonic()) - self._started

    @property
    def missions(self) -> int:
        """The missions in the journal, also while those of earlier sessions are read again."""
        return max(self.committed.value, self.already_there)

    def stop(self) -> None:
        """Stop in order: simulate nothing more, write what was simulated, then end."""
        self._producing.cancel()
        self._limit_draining()

    def give_up(self) -> None:
        """Stop at once; what is committed stays committed."""
        self._producing.cancel()
        self._draining.cancel()

    def add_reader(self, reader: Watermark) -> None:
        """Let the run be no further ahead of `reader` than memory allows, unless it is alone."""
        if not self._is_alone:
            self._readers.add(reader)

    def remove_reader(self, reader: Watermark) -> None:
        """Wait for `reader` no longer."""
        reader.close()
        self._readers.discard(reader)

    def release_consumers(self) -> None:
        """Wait for no consumer from now on: nobody is there to read, or to listen."""
        self._is_alone = True
        self.events.release()
        for reader in tuple(self._readers):
            self.remove_reader(reader)

    async def run(self) -> None:
        """Run to the end, to a stop, or to a failure, which is kept in `failure`."""
        self._log_beginning()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._report)
                try:
                    await self._work()
                except Exception as error:
                    self.failure = _cause_of(error)
                finally:
                    self._reporting_scope.cancel()
        finally:
            self._ended = monotonic()
            self.committed.close()
            self.reporting.status = self._status()
            self._log_end()
            with anyio.CancelScope(shield=True):
                await self._log_written()  # who follows the log leaves when the other file says so
                await self.reporting.write()
            self.events.end(Finished(self.reporting.status, self.missions))

    async def _report(self) -> None:
        with self._reporting_scope:
            await self.reporting.run()

    async def _work(self) -> None:
        send, receive = anyio.create_memory_object_stream[Block](_BLOCKS_IN_FLIGHT)
        async with self._place, anyio.create_task_group() as tasks:
            tasks.start_soon(self._consume, receive)
            tasks.start_soon(self._produce, send)

    async def _produce(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Send the missions that the journal holds already, then new ones."""
        prepared = self._prepared
        there = self.already_there
        finished = False
        try:
            with self._producing:
                async with blocks:
                    await replay_journal(
                        self._place.read,
                        prepared.layout,
                        prepared.recovery.checkpoint.mark,
                        there,
                        blocks,
                    )
                    await self._place.simulate(blocks)
                    finished = True
        except anyio.BrokenResourceError:
            pass  # a consumer failed; what it raised is the reason
        finally:
            if not finished:
                self.events.tell_at_once(Stopping(self.missions))
                self._limit_draining()

    async def _consume(self, blocks: MemoryObjectReceiveStream[Block]) -> None:
        """Turn blocks into journal, batches and checkpoints, until there are no more blocks."""
        onward_send, onward_receive = anyio.create_memory_object_stream[Block](_BLOCKS_IN_FLIGHT)
        points_send, points_receive = anyio.create_memory_object_stream[Snapshot](0)
        at_its_word = self._config.checkpoint_every is not None
        with self._draining:
            async with self._pool:
                async with anyio.create_task_group() as consumers:
                    consumers.start_soon(
                        self._journaling.run, blocks, onward_send, points_send, at_its_word
                    )
                    consumers.start_soon(self._checkpointing.run, points_receive, not at_its_word)
                    consumers.start_soon(self._flush, onward_receive)
                await self._finish()
        if self._draining.cancelled_caught:
            self._log.warning("gave up writing what was in flight; it will be made again")

    async def _flush(self, blocks: MemoryObjectReceiveStream[Block]) -> None:
        prepared = self._prepared
        if missing := prepared.recovery.missing_batches:
            await self._flushing.rebuild(self._place.read, missing, prepared.group_flush)
        await self._flushing.run(blocks)

    async def _finish(self) -> None:
        """Write the last checkpoint; of a complete run, with the digest of its data set."""
        snapshot = self._journaling.snapshot
        if self._pool.deaths:
            await run_in_thread(remove_temporary_files, self._prepared.layout.folder.batches)
        if snapshot.mark.missions == self._config.missions:
            cuda_available = await self._flushing.learn_about_cuda()
            digest = await run_in_thread(self._write_index, cuda_available)
            await self._checkpointing.save(snapshot, digest)
            self.dataset_sha256 = digest
        else:
            await self._checkpointing.save(snapshot)

    def _write_index(self, cuda_available: bool | None) -> str:
        last = (self._writer.last_file(), self._flushing.last)
        return write_index(
            self._prepared.layout.folder,
            self._prepared.run_file.identity,
            missions=self._config.missions,
            feature_names=self._prepared.mission.feature_names,
            label_names=self._prepared.mission.label_names,
            last=[entry for entry in last if entry is not None],
            created=timestamp(),
            cuda_available=cuda_available,
        )

    async def _readers_follow(self, index: int) -> None:
        for reader in tuple(self._readers):
            await reader.reached(index - READ_AHEAD)

    def _limit_draining(self) -> None:
        deadline = anyio.current_time() + self._config.grace
        self._draining.deadline = min(self._draining.deadline, deadline)

    def _status(self) -> RunStatus:
        if self.failure is not None:
            return "failed"
        return "completed" if self.dataset_sha256 else "interrupted"

    def _log_beginning(self) -> None:
        for warning in self._prepared.recovery.warnings:
            self._log.warning(warning)
        total = self._config.missions
        if self.already_there:
            self._log.info(f"resuming at mission {self.already_there} of {total}")
        else:
            self._log.info(f"starting {total} missions, seed {self._config.seed}")

    def _log_end(self) -> None:
        missions = self.missions
        log = self._log.bind(summary=True)
        match self.reporting.status:
            case "failed":
                told = isinstance(self.failure, MissionFailed)  # with its traceback, when it raised
                log = log if told else log.opt(exception=self.failure)
                log.error(f"failed after {missions} missions: {self.failure}")
            case "completed":
                log.info(f"complete: {missions} missions, data set {self.dataset_sha256}")
            case _:
                log.info(f"stopped after {missions} of {self.total} missions")


def _cause_of(error: Exception) -> BaseException:
    """Find the error that the others follow from."""
    leaves = list(leaves_of(error))
    told = [leaf for leaf in leaves if not isinstance(leaf, anyio.BrokenResourceError)]
    cause = (told or leaves)[0]
    if isinstance(cause, OSError):
        failure = StorageFailed(cause)
        failure.__cause__ = cause
        return failure
    return cause
