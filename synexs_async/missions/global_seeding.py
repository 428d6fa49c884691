"""Seeding the process's own generators, so that missions which draw from them are reproducible."""

from __future__ import annotations

import random
from threading import Event
from typing import Final

import numpy as np

_left_out: Final = Event()


def seed_global_generators(seed: int, index: int) -> None:
    """Seed `random` and `numpy.random` for a mission, unless that is left out."""
    if _left_out.is_set():
        return
    word = int(np.random.SeedSequence((seed, index)).generate_state(1)[0])
    random.seed(word)
    np.random.seed(word)


def leave_out_global_seeding() -> None:
    """Leave the generators alone from now on, in this process: shows who draws from them."""
    _left_out.set()
