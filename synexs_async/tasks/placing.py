"""Chooses the place where a kind's missions are simulated."""

from __future__ import annotations

from synexs_async.config import RunConfig
from synexs_async.missions.asynchronous import AsyncMission
from synexs_async.storage.folder import Identity
from synexs_async.storage.protocol import Setup
from synexs_async.tasks.assignment import Assignment, Placement
from synexs_async.tasks.concurrent import AsTasks
from synexs_async.tasks.loop import OnLoop
from synexs_async.tasks.pool import WorkerPool
from synexs_async.tasks.simulating import InWorkers


def place_of(assignment: Assignment, identity: Identity, config: RunConfig) -> Placement:
    """Return the place that the mission kind names."""
    mission = assignment.mission
    if mission.place == "loop":
        return OnLoop(assignment)
    setup = Setup.of(
        assignment.layout.folder.path, identity, mission, simulates=True, timeout=config.timeout
    )
    pool = WorkerPool(config.worker_count, setup, assignment.log.warning)
    if isinstance(mission, AsyncMission):
        return AsTasks(assignment, mission, pool, config.concurrency, config.timeout)
    return InWorkers(assignment, pool, config.worker_count)
