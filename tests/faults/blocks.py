"""Runs whose missions are simulated in blocks of other sizes, each in a folder of its own.

python tests/faults/blocks.py FOLDER SIZE …
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
from loguru import logger

from synexs_async import RunConfig, TeamMission, run


async def main(folder: Path, sizes: list[int]) -> None:
    """Run `harness.SMALL` with each size, beside one another."""
    async with anyio.create_task_group() as tasks:
        for size in sizes:
            config = RunConfig(
                missions=100,
                seed=21,
                batch_size=16,
                sequence_length=6,
                checkpoint_every=40,
                output=folder / f"blocks_of_{size}",
                mission=type("Blocks", (TeamMission,), {"block_size": size})(),
            )
            tasks.start_soon(run, config)


if __name__ == "__main__":
    logger.remove()
    anyio.run(main, Path(sys.argv[1]), [int(size) for size in sys.argv[2:]])
