"""A program that embeds runs, at once and one after the other, and counts what they leave behind.

python tests/faults/host.py FOLDER COUNT
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from pathlib import Path
from typing import Final

import anyio
from loguru import logger

from synexs_async import RunConfig, run

_PATIENCE: Final = 5.0  # seconds


def main() -> None:
    """Fail with what was left behind, if anything was."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    logger.remove()
    anyio.run(at_once, folder, ["run_first"])  # imports, and what Python keeps of them
    before = held()
    anyio.run(at_once, folder, [f"run_{number}" for number in range(count)])
    anyio.run(in_turn, folder, [f"run_again_{number}" for number in range(count)])
    after = held()
    if before != after:
        sys.exit(f"left behind: {before} became {after}")


def held() -> dict[str, object]:
    """Count what a process holds."""
    gc.collect()
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join(_PATIENCE)  # anyio tells its own to end, and does not wait for it
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    descriptors = Path("/proc/self/fd")
    return {
        "file descriptors": len(list(descriptors.iterdir())) if descriptors.exists() else 0,
        "threads": threading.active_count(),
        "children": children.read_text() if children.exists() else "",
        "log handlers": len(logger._core.handlers),  # type: ignore[attr-defined] # noqa: SLF001
    }


def config(folder: Path) -> RunConfig:
    """Return the run that `harness.SMALL` asks for."""
    return RunConfig(
        missions=100,
        seed=21,
        batch_size=16,
        sequence_length=6,
        checkpoint_every=40,
        output=folder,
    )


async def at_once(folder: Path, names: list[str]) -> None:
    """Run all beside one another."""
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(run, config(folder / name))
    expect_no_tasks()


async def in_turn(folder: Path, names: list[str]) -> None:
    """Run one after the other."""
    for name in names:
        await run(config(folder / name))
        expect_no_tasks()


def expect_no_tasks() -> None:
    """See that a run has left no task of its own on the loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        sys.exit(f"left behind: {others}")


if __name__ == "__main__":
    main()
