"""The ledger: every finished file of the data set with its digests, one JSON line each.

Only files that will never change are entered: whole batches and whole journal files. Entries of
batches stand in their order, and so do those of journal files, so that the index can be made in
one pass, whatever the size of the run. Each line bears a checksum of its own: what it says of a
file is not looked up again, so a damaged line must not be taken at its word.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Final

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


_CHECK: Final = b',"check":"'
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def encode_line(entry: Entry) -> bytes:
    """Return an entry's line, its checksum as the last member."""
    body = _encode(entry)[:-1]
    return body + _ending(body)


def decode_line(line: bytes) -> Entry | None:
    """Return a line's entry, None where it is torn, damaged, or none at all."""
    body, separator, _ = line.rpartition(_CHECK)
    if not separator or line != body + _ending(body):
        return None
    try:
        return _decode(body + b"}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _ending(body: bytes) -> bytes:
    return b'%b%08x"}\n' % (_CHECK, zlib.crc32(body))


class Ledger:
    """The ledger of one run; threads may change it side by side."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changing = Lock()

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries at the end, in one write."""
        lines = b"".join(map(encode_line, entries))
        if not lines:
            return
        with self._changing:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                append_to(descriptor, lines, self.path)
            finally:
                os.close(descriptor)

    def entries(self) -> Iterator[Entry]:
        """Read the entries; lines that are none are passed over, as if their files were missing."""
        return (entry for entry in self.lines() if entry is not None)

    def lines(self) -> Iterator[Entry | None]:
        """Read the lines; one that is no entry, torn or damaged, is None."""
        try:
            lines = self.path.open("rb")
        except FileNotFoundError:
            return
        with lines:
            yield from map(decode_line, lines)

    def replace(self, entries: Iterable[Entry]) -> None:
        """Write the ledger anew with these entries, durably."""
        replace_file(self.path, map(encode_line, entries), durable=True)

    def keep(self, wanted: Callable[[Entry], bool]) -> None:
        """Write the ledger anew, durably, with the wanted entries alone."""
        with self._changing:
            self.replace(entry for entry in self.entries() if wanted(entry))

    def insert(self, additions: Iterable[Entry]) -> None:
        """Write the ledger anew, durably, with `additions` in their places.

        Their files must be on disk: who reads an entry trusts a file of its size.
        """
        with self._changing:
            self.replace(_merge(self.entries(), additions))


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
