"""Missions of one's own, as blocks: what is theirs alone (see test_own_missions.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from air import AirMission, Quick
from datasets import read_json

from synexs_async import Block, MissionFailed, RunConfig, run


class Spoilt(AirMission):
    """Does something to each block that it gives."""

    def __init__(self, spoil: Callable[[Block], Block]) -> None:
        super().__init__()
        self.spoil = spoil

    def simulate(self, seed: int, first: int, count: int) -> Block:
        """Simulate missions, and spoil their block."""
        return self.spoil(super().simulate(seed, first, count))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda block: replace(block, lines=[line[:-1] for line in block.lines]), "its only newl"),
        (lambda block: replace(block, lines=[b"\n" + line for line in block.lines]), "its only ne"),
        (lambda block: replace(block, lines=[b"" for _ in block.lines]), "its only newline"),
        (lambda block: block[:-1], "expected the 1 lines from mission 0 on, not 0 from"),
        (lambda block: replace(block, first=block.first + 1), "not 1 from mission 1 on"),
        (lambda block: replace(block, ids=[]), "ids: expected 1, one a line, not 0"),
        (lambda block: replace(block, groups=[]), "groups: expected 1, one a line, not 0"),
        (lambda block: replace(block, labels=block.labels[:0]), "labels: expected 1, one a line"),
        (
            lambda block: replace(block, labels=block.labels.astype(np.int32)),
            "labels: expected int64, not int32",
        ),
        (lambda block: replace(block, metrics={}), "metrics: there is no 'coordination'"),
        (
            lambda block: replace(block, features=block.features[:, :, :0]),
            r"features: expected the shape \[1, rows, 1\], not \[1, 1, 0\]",
        ),
    ],
)
async def test_a_block_that_breaks_the_protocol_stops_the_run(
    tmp_path: Path, spoil: Callable[[Block], Block], problem: str
) -> None:
    """Its mission is named with what is wrong; nothing of it is committed."""
    with pytest.raises(MissionFailed, match=f"mission 0 raised ValueError: .*{problem}"):
        await run(RunConfig(missions=8, output=tmp_path, mission=Spoilt(spoil)))

    assert [] == list((tmp_path / "missions").iterdir())
    assert "failed" == read_json(tmp_path / "progress.json")["status"]


class Talkative(Quick):
    """Gives one metric more than it declares, which may be anything."""

    def read(self, first: int, lines: Any) -> Block:
        """Make the block of these lines, with a metric that nobody asked for."""
        block = super().read(first, lines)
        return replace(block, metrics={**block.metrics, "extra": np.full(len(block), np.nan)})


@pytest.mark.parametrize("raising", [1, 7])
async def test_metrics_that_are_not_declared_are_left_out(tmp_path: Path, raising: int) -> None:
    """Beside missions that raised, before them and behind them."""

    def trip(index: int) -> None:
        if index == raising:
            raise ValueError

    mission = Talkative(trip)
    await run(RunConfig(missions=16, output=tmp_path, mission=mission, on_error="record"))

    checkpoint = read_json(tmp_path / "checkpoint.json")
    assert {*mission.metric_names} == {*checkpoint["team_stats"]}
    assert (
        15
        == checkpoint["stats"]["success_count"]
        + checkpoint["stats"]["failure_count"]
        + (checkpoint["stats"]["abort_count"])
    )
