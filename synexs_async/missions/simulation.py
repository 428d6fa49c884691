"""Simulating a block so that one mission which raises does not take the others with it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator

from msgspec import Struct

from synexs_async.missions.failed import read_block
from synexs_async.missions.loading import spelled_module
from synexs_async.missions.mission import Block, Mission, check_block


class Raised(Struct, frozen=True, tag=True):
    """A mission whose own code raised.

    Attributes:
        index: the mission.
        error: the exception's type, with its module where that is not Python's own; of a module
            that was loaded from its file, or is the main one, that is the file's stem.
        message: what it says.
        traceback: where it came from, as text of several lines.
    """

    index: int
    error: str
    message: str
    traceback: str

    @classmethod
    def by(cls, index: int, error: BaseException) -> Raised:
        """Tell of an exception."""
        if isinstance(error, MissionRaised):
            return error.raised
        kind = type(error)
        name = kind.__qualname__
        if kind.__module__ != "builtins":
            name = f"{spelled_module(kind.__module__)}.{name}"
        trace = "".join(traceback.format_exception(error)).rstrip()
        return cls(index, as_text(name), as_text(str(error)), as_text(trace))

    @property
    def sentence(self) -> str:
        """The exception in a line."""
        message = self.message.partition("\n")[0]
        return f"{self.error}: {message}" if message else self.error


def as_text(words: str) -> str:
    """Return words so that they can be written, whatever names of files are among them."""
    return words.encode(errors="backslashreplace").decode()


class MissionRaised(Exception):
    """A mission raised in another process."""

    def __init__(self, raised: Raised) -> None:
        super().__init__(raised.sentence)
        self.raised = raised


def simulate_parts(mission: Mission, seed: int, first: int, count: int) -> Iterator[Block | Raised]:
    """Simulate missions together, or one at a time where one of them raises."""
    return _parts(
        first,
        count,
        lambda first, count: check_block(
            mission, mission.simulate(seed, first, count), first, count
        ),
    )


def read_parts(mission: Mission, first: int, lines: list[bytes]) -> Iterator[Block | Raised]:
    """Make the block of journal lines again; what can't be read is given as raised."""
    return _parts(
        first,
        len(lines),
        lambda start, count: read_block(mission, start, lines[start - first :][:count]),
    )


def _parts(first: int, count: int, make: Callable[[int, int], Block]) -> Iterator[Block | Raised]:
    try:
        yield make(first, count)
    except (Exception, SystemExit) as error:  # a mission that exits must not end its process
        if count == 1:
            yield Raised.by(first, error)
            return
        for index in range(first, first + count):
            yield from _parts(index, 1, make)
