"""Several runs and one deadline, in plain asyncio: what is not done by then is done next time.

python examples/many_runs.py --runs 3 --missions 20000 --seconds 5
python examples/many_runs.py --runs 3 --missions 20000 --seconds 5     # again: goes on
"""

import asyncio
from argparse import ArgumentParser
from pathlib import Path

import uvloop
from loguru import logger

from synexs_async import FolderError, RunConfig, read_progress, run


async def work(configs: list[RunConfig], seconds: float) -> bool:
    """Take the runs on, side by side; whether all were complete before the time was up.

    Cancelling a run stops it in order, so what each has done by then is kept. One that fails
    stops the others in the same way.
    """
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            for config in configs:
                tasks.create_task(run(config))
    except TimeoutError:
        return False
    return True


def describe(folder: Path) -> str:
    """Tell how a run stands."""
    try:
        progress = read_progress(folder)
    except FolderError:
        return f"{folder}: not begun"
    done, total = progress.mission_current, progress.mission_total
    return f"{folder}: {done:,} of {total:,} missions, {progress.status}"


def main() -> None:
    """Work until the time is up, and tell what came of it."""
    parser = ArgumentParser(description="Take several runs on until the time is up.")
    parser.add_argument("--root", type=Path, default=Path("runs/many"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--missions", type=int, default=20_000, help="of each run")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()

    logger.remove()  # each run keeps a log of its own
    folders = [options.root / f"seed-{seed}" for seed in range(options.runs)]
    configs = [
        RunConfig(output=folder, seed=seed, missions=options.missions, workers=1)
        for seed, folder in enumerate(folders)
    ]
    complete = uvloop.run(work(configs, options.seconds))
    for folder in folders:
        print(describe(folder))
    print("all complete" if complete else "time is up; run it again to go on")


if __name__ == "__main__":
    main()
