"""The random streams of missions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async.config import SEED_LIMIT
from synexs_async.missions.rng import mission_uniforms, philox_at

seeds = st.integers(0, SEED_LIMIT - 1)
indices = st.integers(0, 10**9) | st.integers(0, 2**200)
draws = st.integers(1, 30)

# From `kat_vectors` of the Random123 distribution: counter, key, output of philox4x64-10, each in
# words from the least significant on.
KNOWN_ANSWERS = {
    "zeros": (
        "0000000000000000 0000000000000000 0000000000000000 0000000000000000",
        "0000000000000000 0000000000000000",
        "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b",
    ),
    "ones": (
        "ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff",
        "ffffffffffffffff ffffffffffffffff",
        "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
    ),
    "digits of pi": (
        "243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89",
        "452821e638d01377 be5466cf34e90c6c",
        "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
    ),
}


def philox_words(key: int, first: int, blocks: int) -> Any:
    """Return the output for consecutive counter values, from `first` on."""
    return philox_at(key, first).random_raw(4 * blocks)


def number(words: str) -> int:
    """Read a number from its words, least significant first."""
    return sum(int(word, 16) << (64 * place) for place, word in enumerate(words.split()))


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS.values(), ids=KNOWN_ANSWERS)
def test_words_are_those_of_the_published_algorithm(counter: str, key: str, output: str) -> None:
    """Anyone with another implementation of Philox4x64-10 gets the same numbers."""
    words = philox_words(number(key), number(counter), 1)

    assert output == " ".join(f"{word:016x}" for word in words.tolist())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**128 - 1), st.integers(0, 2**256 - 1), st.integers(1, 6))
def test_consecutive_words_are_of_consecutive_counters(key: int, first: int, blocks: int) -> None:
    """A stretch of output is the same in one piece or in many, behind the last counter too."""
    pieces = [philox_words(key, (first + block) % 2**256, 1) for block in range(blocks)]

    assert np.concatenate(pieces).tolist() == philox_words(key, first, blocks).tolist()


@settings(max_examples=100, deadline=None)
@given(seeds, indices, st.integers(1, 9), draws)
def test_variates_are_the_upper_53_bits_of_a_word(
    seed: int, first: int, count: int, draws: int
) -> None:
    """Every variate is a multiple of 2**-53 in [0, 1), made from one word of the output."""
    blocks = (draws + 3) // 4

    uniforms = mission_uniforms(seed, first, count, draws)

    words = philox_words(seed, first * blocks, count * blocks).reshape(count, 4 * blocks)
    expected = [[(word >> 11) / 2**53 for word in row[:draws]] for row in words.tolist()]
    assert expected == uniforms.tolist()
    assert np.all((uniforms >= 0) & (uniforms < 1))


@settings(max_examples=100, deadline=None)
@given(seeds, indices, st.integers(1, 40), draws, st.data())
def test_a_mission_alone_has_the_stream_that_it_has_among_others(
    seed: int, first: int, count: int, draws: int, data: st.DataObject
) -> None:
    """Any mission can be simulated alone, first, last or in a block, whatever its index."""
    place = data.draw(st.integers(0, count - 1))

    alone = mission_uniforms(seed, first + place, 1, draws)

    assert mission_uniforms(seed, first, count, draws)[place].tolist() == alone[0].tolist()


@settings(max_examples=50, deadline=None)
@given(seeds, indices, draws)
def test_streams_of_missions_do_not_overlap(seed: int, first: int, draws: int) -> None:
    """No block of the generator's output serves two missions: they are independent."""
    count, words = 50, 4 * ((draws + 3) // 4)

    blocks = mission_uniforms(seed, first, count, words).reshape(-1, 4)

    assert count * words // 4 == len(np.unique(blocks, axis=0))


@settings(max_examples=50, deadline=None)
@given(st.lists(seeds, min_size=2, max_size=2, unique=True), indices)
def test_seeds_have_streams_of_their_own(pair: list[int], index: int) -> None:
    """Another seed gives other episodes, however close it is."""
    one, other = (mission_uniforms(seed, index, 1, 24).tolist() for seed in pair)

    assert one != other
