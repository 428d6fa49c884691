"""Random streams: a private one for each mission, made from the counter-based generator Philox.

The seed is the key and the mission's index sits in the counter, so that any mission's stream can
be had alone, and those of consecutive missions are one consecutive piece of NumPy's raw output.
NumPy promises that raw output from version to version, but not what the methods of ``Generator``
make of it, so variates are made here.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

WORDS_PER_BLOCK: Final = 4  # one Philox4x64 block is four 64-bit words

_COUNTER_LIMIT: Final = 2**256

Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]


def philox_at(key: int, block: int) -> np.random.Philox:
    """Return Philox4x64-10 with its counter at `block`.

    The counter is that of the published algorithm (Salmon et al., "Parallel random numbers: as easy
    as 1, 2, 3", SC11, and its Random123 test vectors). NumPy increments its own before each block,
    hence the step back.
    """
    return np.random.Philox(key=key, counter=(block - 1) % _COUNTER_LIMIT)


class MissionStreams:
    """The streams of many missions, for whoever asks for them in order: that costs the least."""

    def __init__(self, seed: int, draws: int) -> None:
        self._seed = seed
        self._draws = draws
        self._blocks = -(-draws // WORDS_PER_BLOCK)
        self._next = -1
        self._philox: np.random.Philox

    def uniforms(self, first: int, count: int) -> Floats:
        """Return the uniform variates of missions `first` to `first + count - 1`.

        Mission i owns the counter values i*k to i*k + k - 1, where k = ceil(draws / 4).

        Returns:
            float64 in [0, 1) with 53 random bits each, shape [count, draws].
        """
        if first != self._next:
            self._philox = philox_at(self._seed, first * self._blocks)
        self._next = first + count
        raw: Words = self._philox.random_raw(count * self._blocks * WORDS_PER_BLOCK)
        words = raw.reshape(count, -1)[:, : self._draws]
        return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mission_uniforms(seed: int, first: int, count: int, draws: int) -> Floats:
    """Return the uniform variates of missions `first` to `first + count - 1`, from their streams.

    Returns:
        float64 in [0, 1) with 53 random bits each, shape [count, draws].
    """
    return MissionStreams(seed, draws).uniforms(first, count)


def mission_generator(seed: int, index: int) -> np.random.Generator:
    """Return the private generator of one mission: Philox with `seed` as key.

    The index is in the upper half of the counter, so that each mission has 2**128 blocks of its
    own. What the methods of `Generator` make of the raw words may differ between NumPy versions.
    """
    return np.random.Generator(philox_at(seed, index << 128))
