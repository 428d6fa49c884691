"""Missions whose own code raised: how they stand in a block, beside those that did not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

import msgspec
import numpy as np

from synexs_async.missions.mission import (
    ERROR_OUTCOME,
    Block,
    Mission,
    check_block,
    mission_identifiers,
)
from synexs_async.missions.records import ErrorRecord

_ENDING: Final = b'"status":"error","training_label":null}\n'
_decode = msgspec.json.Decoder(ErrorRecord).decode


def is_error(line: bytes) -> bool:
    """Whether a journal line records a mission whose own code raised."""
    return line.endswith(_ENDING)


def error_block(mission: Mission, seed: int, index: int, error: str) -> Block:
    """Return the block of one mission that raised `error`.

    Of the exception just its type is recorded: what it says may differ from run to run.
    """
    identify = mission_identifiers(mission.name, mission.version, mission.parameters(), seed)
    record = ErrorRecord(mission_id=identify(index), mission_number=index, error=error)
    return _block(mission, index, [msgspec.json.encode(record) + b"\n"])


def decode_error(line: bytes) -> ErrorRecord:
    """Make the record of a mission that raised."""
    return _decode(line)


def read_block(mission: Mission, first: int, lines: Sequence[bytes]) -> Block:
    """Make the block of journal lines again, errors among them; ValueError as of `check_block`."""
    parts = []
    for failed, run in groupby(lines, is_error):
        part = list(run)
        block = _block(mission, first, part) if failed else mission.read(first, part)
        parts.append(check_block(mission, block, first, len(part)))
        first += len(part)
    return Block.concatenate(parts)


def _block(mission: Mission, first: int, lines: Sequence[bytes]) -> Block:
    count = len(lines)
    return Block(
        first,
        lines,
        [_decode(line).mission_id for line in lines],
        np.full(count, ERROR_OUTCOME),
        np.full(count, ERROR_OUTCOME),
        np.zeros((count, 1, len(mission.feature_names)), np.float32),
        {name: np.zeros(count) for name in mission.metric_names},
    )
