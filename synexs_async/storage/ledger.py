"""The ledger: every finished file of the data set with its digests, one JSON line each.

Only files that will never change are entered: whole batches and whole journal files. Entries of
batches stand in their order, and so do those of journal files, so that the index can be made in
one pass, whatever the size of the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from synexs_async.storage.files import append_to, replace_file


class Entry(Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """A finished file: `missions` missions from `first` on, in `size` bytes.

    `content_sha256`, of a batch alone, digests its tensors and metadata in canonical form;
    `rows` is how many missions a batch holds, those that raised left out.
    """

    file: str
    first: int
    missions: int
    size: int
    sha256: str
    content_sha256: str = ""
    rows: int = 0

    @property
    def is_batch(self) -> bool:
        """Whether this is a batch, not a journal file."""
        return bool(self.content_sha256)

    @property
    def end(self) -> int:
        """The index behind the last mission."""
        return self.first + self.missions


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Ledger:
    """The ledger of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries at the end, in one write."""
        lines = b"".join(_encode(entry) + b"\n" for entry in entries)
        if lines:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                append_to(descriptor, lines, self.path)
            finally:
                os.close(descriptor)

    def entries(self) -> Iterator[Entry]:
        """Read the entries; lines that are none are passed over, as if their files were missing."""
        return (entry for entry in self.lines() if entry is not None)

    def lines(self) -> Iterator[Entry | None]:
        """Read the lines; one that is no entry, or torn, is None."""
        try:
            lines = self.path.open("rb")
        except FileNotFoundError:
            return
        with lines:
            for line in lines:
                try:
                    yield _decode(line) if line.endswith(b"\n") else None
                except (msgspec.DecodeError, UnicodeDecodeError):
                    yield None

    def replace(self, entries: Iterable[Entry]) -> None:
        """Write the ledger anew with these entries, durably."""
        replace_file(self.path, (_encode(entry) + b"\n" for entry in entries), durable=True)

    def keep(self, wanted: Callable[[Entry], bool]) -> None:
        """Write the ledger anew with the wanted entries alone."""
        kept = (_encode(entry) + b"\n" for entry in self.entries() if wanted(entry))
        replace_file(self.path, kept, durable=False)

    def insert(self, additions: Iterable[Entry]) -> None:
        """Write the ledger anew with `additions` in their places."""
        replace_file(
            self.path,
            (_encode(entry) + b"\n" for entry in _merge(self.entries(), additions)),
            durable=False,
        )


def _merge(entries: Iterable[Entry], additions: Iterable[Entry]) -> Iterator[Entry]:
    by_number = sorted(additions, key=lambda entry: entry.first, reverse=True)
    waiting = {
        kind: [entry for entry in by_number if entry.is_batch == kind] for kind in (False, True)
    }
    for entry in entries:
        before = waiting[entry.is_batch]
        while before and before[-1].first < entry.first:
            yield before.pop()
        yield entry
    for rest in waiting.values():
        yield from reversed(rest)
