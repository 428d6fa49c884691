"""Seeding the process's own generators, so that missions which draw from them are reproducible."""

from __future__ import annotations

import random
import sys
from threading import Event
from typing import Final

import numpy as np

_left_out: Final = Event()


def seed_global_generators(word: int) -> None:
    """Seed Python's generator, NumPy's old one, and torch's where torch is imported already.

    `word` has 32 bits. Nothing is done where it is left out.
    """
    if _left_out.is_set():
        return
    random.seed(word)
    np.random.seed(word)
    torch = sys.modules.get("torch")
    if torch is not None:
        # `torch.manual_seed` does the same, and takes a millisecond to note who called it.
        torch.default_generator.manual_seed(word)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(word)


def leave_out_global_seeding() -> None:
    """Leave the generators alone from now on, in this process: shows who draws from them."""
    _left_out.set()
