"""The process's own random generators, seeded for each mission that may draw from them."""

from __future__ import annotations

import random
import sys

import numpy as np


def seed_global_generators(word: int) -> None:
    """Make a mission that draws from the process's own generators reproducible too.

    Those are Python's, NumPy's old one, and torch's where torch is imported already. `word` has
    32 bits.
    """
    random.seed(word)
    np.random.seed(word)
    torch = sys.modules.get("torch")
    if torch is not None:
        # `torch.manual_seed` does the same, and takes a millisecond to note who called it.
        torch.default_generator.manual_seed(word)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(word)
