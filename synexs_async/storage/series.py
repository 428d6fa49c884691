"""series.jsonl: how a run went over time, in a bounded number of samples, a line each.

It is kept beside the progress file, so that a monitor that is opened late still draws the whole
run. When it is full, neighbours are joined and samples become twice as far apart.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from synexs_async.storage.files import append_to, read_small_file, replace_file
from synexs_async.storage.folder import RunFolder

MOST_SAMPLES: Final = 512
_SHORTEST_STEP: Final = 1.0  # seconds of work between samples


class Sample(Struct, frozen=True):
    """A moment of a run.

    Attributes:
        time: wall-clock time, seconds since 1970-01-01 00:00 UTC.
        elapsed_seconds: working time over all sessions.
        missions: missions in the journal.
        loop_lag_ms: the longest delay of the event loop since the sample before.
        rss_bytes: memory of the main process, the most since the sample before.
        blocks_waiting: blocks of missions that wait for the journal.
        batches_waiting: batches that are not written yet, of missions in the journal.
        batches_written: batches in the folder.
        checkpoint_missions: missions before the last checkpoint.
    """

    time: float
    elapsed_seconds: float
    missions: int
    success_count: int
    failure_count: int
    abort_count: int
    error_count: int
    loop_lag_ms: float
    rss_bytes: int
    blocks_waiting: int
    batches_waiting: int
    batches_written: int
    checkpoint_missions: int


class SeriesWriter:
    """Adds samples to a run's series, those of earlier sessions kept.

    Reads what is there on construction; plain file access, to be called where it may block.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._samples = _read(path)
        self._step = _SHORTEST_STEP
        if len(self._samples) > 1:
            span = self._samples[-1].elapsed_seconds - self._samples[0].elapsed_seconds
            self._step = max(span / len(self._samples), _SHORTEST_STEP)
        self._begun = False
        self._pending: Sample | None = None

    def add(self, sample: Sample, *, is_last: bool = False) -> None:
        """Take a sample in; it is written where the last one is old enough, or it `is_last`."""
        _drop_what_is_undone(self._samples, sample)
        joined = _join([self._pending, sample]) if self._pending else sample
        last = self._samples[-1].elapsed_seconds if self._samples else None
        if not (is_last or last is None or sample.elapsed_seconds - last >= self._step):
            self._pending = joined
            return
        self._pending = None
        self._samples.append(joined)
        if not self._begun or len(self._samples) > MOST_SAMPLES:
            self._begun = True
            self._thin()
            replace_file(self._path, map(_line, self._samples), durable=False)
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            append_to(descriptor, _line(joined), self._path)
        finally:
            os.close(descriptor)

    def _thin(self) -> None:
        """Join neighbours until there is room; the first sample stays, where the run began."""
        while len(self._samples) > MOST_SAMPLES:
            first, *rest = self._samples
            pairs = [rest[start : start + 2] for start in range(0, len(rest), 2)]
            self._samples = [first, *map(_join, pairs)]
            self._step *= 2


def read_series(folder: str | os.PathLike[str]) -> list[Sample]:
    """Read how a run went, oldest first; empty where nothing is there.

    Missions and working time never fall from one sample to the next.
    """
    return _read(RunFolder(Path(folder)).series)


def rates(samples: Sequence[Sample]) -> list[float]:
    """Return missions a second of working time between neighbours: n - 1 numbers of n samples."""
    return [
        max(later.missions - earlier.missions, 0)
        / max(later.elapsed_seconds - earlier.elapsed_seconds, 1e-3)
        for earlier, later in pairwise(samples)
    ]


def _read(path: Path) -> list[Sample]:
    """Read whole samples; lines that a crash has torn are passed over."""
    try:
        lines = read_small_file(path).splitlines()
    except OSError:
        return []
    samples: list[Sample] = []
    for line in lines:
        try:
            sample = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        _drop_what_is_undone(samples, sample)
        samples.append(sample)
    return samples


def _drop_what_is_undone(samples: list[Sample], sample: Sample) -> None:
    """Drop samples of working time, or of missions, that a crash took: `sample` begins before."""
    while samples and (
        samples[-1].elapsed_seconds > sample.elapsed_seconds
        or samples[-1].missions > sample.missions
    ):
        samples.pop()


def _join(samples: Sequence[Sample]) -> Sample:
    """Make one sample of neighbours: the last, with the worst of all."""
    return msgspec.structs.replace(
        samples[-1],
        loop_lag_ms=max(sample.loop_lag_ms for sample in samples),
        rss_bytes=max(sample.rss_bytes for sample in samples),
        blocks_waiting=max(sample.blocks_waiting for sample in samples),
        batches_waiting=max(sample.batches_waiting for sample in samples),
    )


def _line(sample: Sample) -> bytes:
    return _encode(sample) + b"\n"


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Sample).decode
