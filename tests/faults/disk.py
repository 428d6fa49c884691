"""A model of a disk behind a cache, weaker than any file system of today.

What was flushed is there after a cut of the power. Of all else, any part may be: each name that was
made, changed or removed since its folder was flushed, independently of the others, whatever their
order was; and of each file that was not flushed, nothing, a beginning, or its whole length with
zeros, holes or garbage in it. Only a renaming is never done by half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from random import Random
from typing import Final

_SECTOR: Final = 512
_ROOT: Final = 0


@dataclass(frozen=True)
class Effect:
    """One call's effect; paths are relative to the folder above the run's."""

    operation: str
    path: PurePosixPath
    other: PurePosixPath | None = None
    offset: int = 0
    data: bytes = b""


def effects(record: Path, root: Path) -> Iterator[Effect]:
    """Read what `shim.c` has recorded."""
    content = record.read_bytes()
    at = 0
    while at < len(content):
        end = content.index(b"\n", at)
        operation, path, other, offset, size = content[at:end].decode().split("\t")
        at = end + 1 + int(size)
        yield Effect(
            operation,
            PurePosixPath(path).relative_to(root),
            PurePosixPath(other).relative_to(root) if other else None,
            int(offset),
            content[end + 1 : at],
        )


def effects_of_copying(root: Path) -> Iterator[Effect]:
    """Return effects that make what lies in a folder, flushed."""
    for entry in sorted(root.rglob("*")):
        path = PurePosixPath(entry.relative_to(root))
        if entry.is_dir():
            yield Effect("mkdir", path)
        else:
            yield Effect("create", path)
            yield Effect("write", path, data=entry.read_bytes())
    yield Effect("syncfs", PurePosixPath())


@dataclass
class _File:
    """A file: what of it is on disk, and what was done to it since."""

    durable: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None cuts off there

    def content(self, limit: int | None = None) -> bytes:
        """Return the content after the first `limit` pending bytes; after all without a limit."""
        content = bytearray(self.durable)
        for offset, data in self.pending:
            if data is None:
                del content[offset:]
                content.extend(bytes(offset - len(content)))
                continue
            written = data if limit is None else data[:limit]
            content.extend(bytes(max(offset - len(content), 0)))
            content[offset : offset + len(written)] = written
            if limit is not None:
                limit -= len(data)
                if limit <= 0:
                    break
        return bytes(content)

    def flush(self) -> None:
        self.durable, self.pending = self.content(), []


@dataclass
class _Naming:
    """Names that change together: (folder, name, what it names now), None for nothing."""

    changes: tuple[tuple[int, str, int | None], ...]
    unflushed: set[int]


class Disk:
    """A disk with an empty root folder."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[int, dict[str, int]] = {_ROOT: {}}  # as processes see them
        self._base: dict[int, dict[str, int]] = {_ROOT: {}}  # on disk, all before `_namings`
        self._namings: list[_Naming] = []
        self._next = _ROOT + 1

    def apply(self, effect: Effect) -> None:
        """Let an effect happen, in the cache."""
        match effect.operation:
            case "mkdir":
                node = self._new(effect.path)
                self._names[node] = {}
            case "create":
                self._files[self._new(effect.path)] = _File()
            case "write":
                self._file(effect.path).pending.append((effect.offset, effect.data))
            case "truncate":
                self._file(effect.path).pending.append((effect.offset, None))
            case "unlink":
                folder, name = self._place(effect.path)
                self._change((folder, name, None))
            case "rename":
                assert effect.other is not None
                folder, name = self._place(effect.path)
                target, new_name = self._place(effect.other)
                node = self._names[folder][name]
                self._change((folder, name, None), (target, new_name, node))
            case "fsync":
                self._flush(self._node(effect.path))
            case "syncfs":
                self._flush(None)
            case unknown:
                raise ValueError(f"unknown effect: {unknown}")

    def read(self, path: PurePosixPath) -> bytes | None:
        """Return a file's content, as processes see it; None where there is none."""
        names = self._names[self._node(path.parent)]
        return self._files[names[path.name]].content() if path.name in names else None

    def cut(self, chance: Random, target: Path) -> None:
        """Lay out, in an empty folder, one of the states that a cut of the power may leave now."""
        share = chance.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        names = self._surviving(lambda naming: not naming.unflushed or chance.random() < share)
        outcome = chance.choice((*_OUTCOMES, None))
        self._lay_out(_ROOT, names, target, chance, outcome)

    def _lay_out(
        self,
        folder: int,
        names: dict[int, dict[str, int]],
        target: Path,
        chance: Random,
        outcome: Callable[[_File, Random], bytes] | None,
    ) -> None:
        for name, node in names.get(folder, {}).items():
            if node in self._files:
                file = self._files[node]
                become = outcome or chance.choice(_OUTCOMES)
                content = become(file, chance) if file.pending else file.durable
                (target / name).write_bytes(content)
            else:
                (target / name).mkdir()
                self._lay_out(node, names, target / name, chance, outcome)

    def _surviving(self, survives: Callable[[_Naming], bool]) -> dict[int, dict[str, int]]:
        names = {folder: dict(entries) for folder, entries in self._base.items()}
        for naming in self._namings:
            if survives(naming):
                _rename(names, naming)
        return names

    def _flush(self, node: int | None) -> None:
        """Flush a file, or the names in a folder; with None everything."""
        for number, file in self._files.items():
            if node in (number, None):
                file.flush()
        for naming in self._namings:
            naming.unflushed -= {node} if node is not None else naming.unflushed
        while self._namings and not self._namings[0].unflushed:
            _rename(self._base, self._namings.pop(0))

    def _change(self, *changes: tuple[int, str, int | None]) -> None:
        naming = _Naming(changes, {folder for folder, _, _ in changes})
        _rename(self._names, naming)
        self._namings.append(naming)

    def _new(self, path: PurePosixPath) -> int:
        node, self._next = self._next, self._next + 1
        self._change((*self._place(path), node))
        return node

    def _place(self, path: PurePosixPath) -> tuple[int, str]:
        return self._node(path.parent), path.name

    def _node(self, path: PurePosixPath) -> int:
        node = _ROOT
        for part in path.parts:
            node = self._names[node][part]
        return node

    def _file(self, path: PurePosixPath) -> _File:
        return self._files[self._node(path)]


def _rename(names: dict[int, dict[str, int]], naming: _Naming) -> None:
    for folder, name, node in naming.changes:
        entries = names.setdefault(folder, {})
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _kept(file: _File, _: Random) -> bytes:
    return file.content()


def _lost(file: _File, _: Random) -> bytes:
    return file.durable


def _torn(file: _File, chance: Random) -> bytes:
    written = sum(len(data) for _, data in file.pending if data is not None)
    return file.content(chance.randint(0, written))


def _zeros(file: _File, _: Random) -> bytes:
    return file.durable.ljust(len(file.content()), b"\0")


def _holes(file: _File, chance: Random) -> bytes:
    new = file.content()
    old = file.durable.ljust(len(new), b"\0")
    sectors = range(0, len(old), _SECTOR)
    return b"".join(
        chance.choice((old, new.ljust(len(old), b"\0")))[start : start + _SECTOR]
        for start in sectors
    )


def _garbage(file: _File, chance: Random) -> bytes:
    size = len(file.content()) - len(file.durable)
    return file.durable + chance.randbytes(chance.randint(0, max(size, 0)))


_OUTCOMES: Final = (_kept, _lost, _torn, _zeros, _holes, _garbage)
