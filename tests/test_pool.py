"""The pool of workers, without a run around it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from synexs_async import RunConfig, load_mission
from synexs_async.config import identity_of
from synexs_async.storage.protocol import Setup
from synexs_async.tasks.pool import WorkerPool

TALLY = f"{Path(__file__).with_name('plain_missions.py')}:journal_only"


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """Set workers up of which one hangs over mission 1."""
    mission = load_mission(TALLY, {"at": 1, "what": "hang"})
    identity = identity_of(RunConfig(mission=mission), mission)
    return Setup.of(tmp_path, identity, mission, simulates=True)


async def test_work_that_is_cancelled_costs_nobody_else_a_try(setup: Setup) -> None:
    """Its worker ends with it, and is not taken for one that died over the next."""
    warnings: list[str] = []
    async with WorkerPool(1, setup, warnings.append) as pool:
        await pool.simulate(0, 1)
        async with anyio.create_task_group() as producer:
            producer.start_soon(pool.simulate, 1, 1)
            await anyio.wait_all_tasks_blocked()
            producer.cancel_scope.cancel()
        simulated = await pool.simulate(2, 1)

    assert (2, []) == (simulated.parts[0].rows.first, warnings)  # type: ignore[union-attr]
    assert 0 == pool.deaths
