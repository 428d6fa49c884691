"""Bytes that are a promise: of a whole data set, and from Python to Python."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from datasets import index_of
from harness import session
from sameness import PYTHONS, RECORDS, other_python, records_by

from synexs_async import TeamMission

GOLDEN_JOURNAL = "0613be1d55c3836ef48149cedba34798f137ca1181d1f769e98fd41dee85f0e9"
GOLDEN_DATA_SET = "d98f4ea179cc74f4319f44c3c4814cb444f477fde38543a583b1e1ecdcf05e5a"
WHAT_TO_DO = (
    "the data of team missions, version 1, have changed. If that was not meant, mend it. "
    "If it was, it is another mission kind: raise TeamMission.version, tell it in CHANGELOG.md, "
    "and only then change the digests here"
)


def test_the_data_set_of_version_1_is_the_one_that_was_published(tmp_path: Path) -> None:
    """Journal by its bytes, batches by their content, whichever build of torch wrote them."""
    assert 1 == TeamMission.version
    ended = session(tmp_path / "run")
    assert 0 == ended.code, ended.summary

    index = index_of(tmp_path / "run")
    journal = (tmp_path / "run" / "missions" / "mission_000000000.jsonl").read_bytes()

    assert GOLDEN_JOURNAL == hashlib.sha256(journal).hexdigest(), WHAT_TO_DO
    assert GOLDEN_DATA_SET == index["dataset_sha256"], WHAT_TO_DO


@pytest.mark.parametrize("version", PYTHONS)
def test_every_python_makes_the_same_records(version: str) -> None:
    """In blocks and one at a time: records and features are the same to the last bit."""
    python = other_python(version)
    if python is None:
        pytest.skip(f"no Python {version} with NumPy and msgspec (see SYNEXS_PYTHONS)")

    assert list(RECORDS) == records_by(python).split(), WHAT_TO_DO
