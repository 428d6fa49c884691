"""A shuffled order of a data set's rows that can be resumed in its middle."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sized
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

from synexs_async.errors import ConfigError

State = dict[str, int]


class ResumableShuffle(Sampler[int]):
    """A shuffled order of a data set's rows, another one in each epoch, that can be resumed.

    The order depends on the seed, the epoch and the number of rows. Each pass over the sampler is
    an epoch, and the next pass is the next one; `set_epoch` chooses another.

    `torchdata.stateful_dataloader.StatefulDataLoader` keeps its state with its own, and goes on
    with exactly the rows that it has not given yet, whatever its workers had fetched ahead. With
    torch's DataLoader `state_dict` counts what the loader has fetched.

    Args:
        rows: the data set to shuffle.
        seed: chooses the orders.

    Raises:
        ConfigError: the seed is no whole number, 0 or more.
    """

    def __init__(self, rows: Sized, *, seed: int = 0) -> None:
        self._course = _Course(length=len(rows), seed=_whole("seed", seed))

    def __len__(self) -> int:
        return self._course.length

    def __iter__(self) -> Iterator[int]:
        return _Pass(self._course)

    @property
    def epoch(self) -> int:
        """The epoch of the next pass."""
        return self._course.epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass; from its start, unless it is the one to resume."""
        if _whole("epoch", epoch) != self._course.epoch:
            self._course.epoch, self._course.start = epoch, 0

    def state_dict(self) -> State:
        """Return where the pass that is going on stands, else where the next one begins."""
        return self._course.state()

    def load_state_dict(self, state: State) -> None:
        """Let the next pass go on from there.

        Raises:
            ConfigError: it is no state of a shuffle of so many rows.
        """
        self._course.load(state)


@dataclass(slots=True)
class _Course:
    """What a shuffle and its passes share: where the next pass begins, and which is going on."""

    length: int
    seed: int
    epoch: int = 0
    start: int = 0
    going_on: _Pass | None = None

    def state(self) -> State:
        """Return where the pass that is going on stands, else where the next one begins."""
        return (
            self.going_on.state_dict() if self.going_on else self.state_at(self.epoch, self.start)
        )

    def state_at(self, epoch: int, position: int) -> State:
        """Return the state after `position` rows of an epoch."""
        return {"seed": self.seed, "epoch": epoch, "position": position, "rows": self.length}

    def load(self, state: State) -> None:
        """Let the next pass go on from there; ConfigError where it can't."""
        try:
            seed, epoch, position, rows = (
                _whole(name, state[name]) for name in ("seed", "epoch", "position", "rows")
            )
            if rows != self.length or position > rows:
                raise ConfigError("rows", rows, f"{self.length}")
        except (KeyError, TypeError, ConfigError) as error:
            expected = f"the state of a ResumableShuffle of {self.length} rows"
            raise ConfigError("state_dict", state, expected) from error
        self.seed, self.epoch, self.start, self.going_on = seed, epoch, position, None

    def begin(self, one: _Pass) -> tuple[int, int]:
        """Let a pass be the one that is going on; return its epoch and position."""
        epoch, position = self.epoch, self.start
        self.going_on, self.epoch, self.start = one, epoch + 1, 0
        return epoch, position


class _Pass(Iterator[int]):
    """One pass over a shuffle. It begins with its first row: loaders make some that never do."""

    def __init__(self, course: _Course) -> None:
        self._course = course
        self._epoch: int | None = None
        self._position = 0
        self._order = torch.empty(0, dtype=torch.int64)

    def __next__(self) -> int:
        if self._epoch is None:
            self._begin()
        if self._position == len(self._order):
            if self._course.going_on is self:
                self._course.going_on = None
            raise StopIteration
        index = int(self._order[self._position])
        self._position += 1
        return index

    def state_dict(self) -> State:
        """Return where it stands, for a loader to keep."""
        if self._epoch is None:
            return self._course.state_at(self._course.epoch, self._course.start)
        return self._course.state_at(self._epoch, self._position)

    def load_state_dict(self, state: State) -> None:
        """Go on from there."""
        self._course.load(state)
        self._begin()

    def _begin(self) -> None:
        self._epoch, self._position = self._course.begin(self)
        self._order = _order(self._course.seed, self._epoch, self._course.length)


def _order(seed: int, epoch: int, length: int) -> torch.Tensor:
    """Shuffle 0 to `length` - 1."""
    digest = hashlib.blake2b(f"{seed} {epoch}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
    return torch.randperm(length, generator=generator)


def _whole(name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(name, value, "a whole number, 0 or more")
    return value
