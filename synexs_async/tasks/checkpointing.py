"""The checkpointer: flushes what is done to disk, then says so in the checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from anyio.streams.memory import MemoryObjectReceiveStream

from synexs_async.events import CheckpointSaved
from synexs_async.storage.checkpoint import Checkpoint, write_checkpoint
from synexs_async.storage.files import GroupFlush
from synexs_async.storage.journal import Layout
from synexs_async.storage.progress import timestamp
from synexs_async.tasks.broadcast import Broadcast
from synexs_async.tasks.flushing import Flushing
from synexs_async.tasks.journaling import Snapshot
from synexs_async.tasks.threads import run_in_thread
from synexs_async.tasks.watermark import Watermark

if TYPE_CHECKING:
    from loguru import Logger

_SHORTEST_PAUSE: Final = 0.5
_PAUSE_A_FLUSH: Final = 8  # rest this many times as long as the last checkpoint took


class Checkpointing:
    """Writes the checkpoints of one session.

    Attributes:
        saved: the missions before the last checkpoint.
    """

    def __init__(
        self,
        layout: Layout,
        flush: GroupFlush,
        flushing: Flushing,
        log: Logger,
        events: Broadcast,
        *,
        saved: int,
        unflushed: int,
        elapsed: Callable[[], float],
    ) -> None:
        self._layout = layout
        self._flush = flush
        self._flushing = flushing
        self._log = log
        self._events = events
        self._unflushed = unflushed  # the first mission whose files may not be on disk
        self._elapsed = elapsed
        self.saved = Watermark(saved)

    async def run(self, snapshots: MemoryObjectReceiveStream[Snapshot], spaced: bool) -> None:
        """Save the snapshots as checkpoints; where `spaced`, pass over those that come too soon."""
        due = 0.0
        async with snapshots:
            async for snapshot in snapshots:
                if spaced and monotonic() < due:
                    continue
                batches = self._layout.batch_start(snapshot.mark.missions)
                await self._flushing.written.reached(batches)
                started = monotonic()
                await self.save(snapshot)
                ended = monotonic()
                due = ended + max(_SHORTEST_PAUSE, _PAUSE_A_FLUSH * (ended - started))

    async def save(self, snapshot: Snapshot, dataset_sha256: str = "") -> None:
        """Flush what lies before the snapshot, then replace the checkpoint."""
        last = self._flushing.last
        checkpoint = Checkpoint(
            snapshot.mark,
            snapshot.statistics,
            self._elapsed(),
            dataset_sha256,
            last_batch_size=last.size if last else 0,
        )
        await run_in_thread(self._write, checkpoint)
        self._unflushed = snapshot.mark.missions
        self.saved.advance(snapshot.mark.missions)
        self._log.debug(f"checkpoint saved: {snapshot.mark.missions} missions")
        await self._events.tell(CheckpointSaved(snapshot.mark.missions))

    def _write(self, checkpoint: Checkpoint) -> None:
        layout, missions = self._layout, checkpoint.mark.missions
        folder = layout.folder
        files = self._files_since(self._unflushed, missions)
        self._flush.flush(files, [folder.missions, folder.batches, folder.path])
        write_checkpoint(
            folder.checkpoint,
            checkpoint,
            timestamp=timestamp(),
            journal_file=layout.file(missions).name,
            batch_size=layout.missions_per_batch,
        )

    def _files_since(self, since: int, missions: int) -> Iterator[Path]:
        """Name the files of the missions from `since` on."""
        layout, folder = self._layout, self._layout.folder
        journals = range(layout.file_start(since), missions, layout.missions_per_file)
        first_batch, last_batch = since // layout.batch_size, missions // layout.batch_size
        batches = range(first_batch, last_batch + 1) if layout.has_batches else ()
        files = chain(
            map(folder.journal_file, journals), map(folder.batch_file, batches), [folder.ledger]
        )
        return (file for file in files if file.exists())
