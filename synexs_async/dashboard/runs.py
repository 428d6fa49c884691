"""The runs below the root as all pages see them: found by id, and read once for all who ask."""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Final, Generic, TypeVar

import anyio
import anyio.to_thread
import msgspec

from synexs_async.dashboard.logs import Logs
from synexs_async.dashboard.views import Run, RunList
from synexs_async.errors import FolderError
from synexs_async.monitoring.state import RunState, find_runs, name_below, read_state
from synexs_async.storage.folder import RunFolder

MOST_LISTED: Final = 200
FRESH: Final = 1.0  # seconds; a run tells of itself every two
_REST: Final = 20  # times as long as reading took
_STALEST: Final = 30.0
_REMEMBERED: Final = 32
_PLAIN: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)

T = TypeVar("T")


class Shared(Generic[T]):
    """Something on disk that is read once a second at most, however many ask for it.

    What takes long to read is read less often, so that it never takes more than a small part of
    the time.

    A look at a few files every second costs less than being told of each change that a fast run
    makes, and sees what no file tells: that the run's process is gone.
    """

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._lock = anyio.Lock()
        self._value: T | None = None
        self._stale_at = 0.0

    async def get(self) -> T:
        """Return it, at most a second old."""
        async with self._lock:
            began = monotonic()
            if self._value is None or began >= self._stale_at:
                self._value = await anyio.to_thread.run_sync(self._read)
                ended = monotonic()
                self._stale_at = ended + min(max(FRESH, _REST * (ended - began)), _STALEST)
            return self._value


class Memory:
    """Answers that hold until what they were made of changes: the latest ones, by what was asked.

    So the pages that show one run have its series and its log read for them once.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    async def get(self, asked: Hashable, mark: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the answer to what is asked, made anew where its mark is another one."""
        answer = self._answers.setdefault(asked, _Answer())
        self._answers.move_to_end(asked)
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        async with answer.lock:
            if answer.mark != mark:
                answer.content = await make()
                answer.mark = mark
            return answer.content


class _Answer:
    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.mark: str | None = None
        self.content = b""


@dataclass(frozen=True, slots=True)
class AllRuns:
    """All runs by their ids, those at work first, and the answer that lists them: a RunList."""

    states: dict[str, RunState]
    listed: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """A run as it was found, and texts that change when what they stand for does."""

    state: RunState
    identity: str
    series: str
    log: str


class Runs:
    """Finds runs below a root. What leads out of it by a link is not there.

    Attributes:
        root: the folder.
        logs: the ends of their logs.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).absolute()
        self._listed = Shared(self._find)
        self._found = AllRuns({}, b"")
        self._looks: dict[str, Shared[Look]] = {}
        self.logs = Logs()

    async def all(self) -> AllRuns:
        """Find all runs."""
        found = await self._listed.get()
        if found is not self._found:
            for gone in [run_id for run_id in self._looks if run_id not in found.states]:
                del self._looks[gone]
                self.logs.forget(gone)
            self._found = found
        return found

    async def look(self, run_id: str) -> Look:
        """Look at one run; KeyError where there is none of this id."""
        if run_id not in self._found.states and run_id not in (await self.all()).states:
            raise KeyError(run_id)
        state = self._found.states[run_id]
        shared = self._looks.setdefault(
            run_id, Shared(lambda: self._look_at(state.folder, state.name))
        )
        try:
            return await shared.get()
        except FolderError as error:
            self.logs.forget(run_id)
            raise KeyError(run_id) from error

    def expect_inside(self, path: Path) -> None:
        """See that a file or folder of a run lies below the root, wherever its name leads.

        Raises:
            FolderError: it does not, or leads nowhere, as a link to itself.
        """
        try:
            is_inside = path.resolve().is_relative_to(self.root.resolve())
        except (OSError, RuntimeError) as error:  # of a loop: RuntimeError before Python 3.13
            raise FolderError(path, "leads nowhere") from error
        if not is_inside:
            raise FolderError(path, "leads out of the folder that is shown")

    def _find(self) -> AllRuns:
        states = {
            identify(state.folder.relative_to(self.root)): state
            for state in find_runs(self.root)
            if self._has_own_files(RunFolder(state.folder))
        }
        shown = [Run.of(run_id, state) for run_id, state in islice(states.items(), MOST_LISTED)]
        name = name_below(self.root, self.root)
        listed = RunList(name, shown, more=len(states) - len(shown))
        return AllRuns(states, msgspec.json.encode(listed))

    def _has_own_files(self, run: RunFolder) -> bool:
        """Whether what a folder that was found by no link tells lies below the root as well."""
        try:
            for path in (run.run_file, run.progress):
                if path.is_symlink():  # hardly ever, and to resolve each of many takes long
                    self.expect_inside(path)
        except FolderError:
            return False
        return True

    def _look_at(self, folder: Path, name: str) -> Look:
        run = RunFolder(folder)
        for path in (run.run_file, run.progress):
            self.expect_inside(path)
        state = read_state(folder, name)
        identity = hashlib.blake2b(msgspec.json.encode(state.identity), digest_size=4).hexdigest()
        return Look(state, identity, _mark(run.series), _newest(run.logs))


def identify(path: Path) -> str:
    """Name a run in addresses: by its path below the root where that is plain, else by a digest."""
    text = path.as_posix()
    if _PLAIN.fullmatch(text):
        return text.replace("/", "~")
    return "~" + hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()


def _mark(path: Path) -> str:
    try:
        there = path.stat()
    except OSError:
        return ""
    return f"{there.st_mtime_ns:x}-{there.st_size:x}"


def _newest(logs: Path) -> str:
    """Tell the logs of a run from those a moment ago."""
    try:
        with os.scandir(logs) as entries:
            found = [(there.st_mtime_ns, there.st_size) for there in (e.stat() for e in entries)]
    except OSError:
        return ""
    return "-".join(f"{number:x}" for number in max(found, default=()))
