"""A plot that grows while a run goes on: as a notebook, cell by cell, or as a script.

pip install matplotlib     # and ipympl, in a notebook
python examples/live_plot.py --missions 20000 --output runs/plot     # ends with live_plot.png

In a notebook (VS Code and Jupytext read the `# %%` marks) put `%matplotlib widget` first. The run
has an event loop in a thread of its own, so this works where a loop is running already, and the
run goes on while matplotlib draws.
"""

# %%
from argparse import ArgumentParser
from collections import Counter
from collections.abc import AsyncIterable, Iterable
from pathlib import Path

import anyio
import matplotlib.pyplot as plt
from anyio.from_thread import start_blocking_portal
from loguru import logger

from synexs_async import MissionRecord, RunConfig, open_run

OUTCOMES = ("success", "failure", "aborted")
DIFFICULTIES = ("easy", "medium", "hard", "honeypot")
SECONDS_A_FRAME = 0.2

# %%
parser = ArgumentParser(description="Plot a run while it goes on.")
parser.add_argument("--missions", type=int, default=20_000)
parser.add_argument("--output", type=Path, default=Path("runs/plot"))
options, _ = parser.parse_known_args()  # a notebook's kernel has arguments of its own
config = RunConfig(missions=options.missions, output=options.output)


# %%
async def take(records: AsyncIterable[MissionRecord], seconds: float) -> list[MissionRecord]:
    """Take the records that come in so many seconds, at least one; none at the end."""
    taken: list[MissionRecord] = []
    deadline = anyio.current_time() + seconds
    async for record in records:
        taken.append(record)
        if anyio.current_time() > deadline:
            break
    return taken


# %%
class Picture:
    """The mix of outcomes as missions come in, and by difficulty."""

    def __init__(self) -> None:
        self.figure, (over_time, self._bars) = plt.subplots(
            1, 2, figsize=(11, 4), layout="constrained"
        )
        self._lines = [over_time.plot([], [], label=outcome)[0] for outcome in OUTCOMES]
        over_time.set(xlabel="missions", ylabel="share", ylim=(0, 1), title="outcomes so far")
        over_time.legend()
        self._over_time = over_time
        self._missions: list[int] = []
        self._shares: dict[str, list[float]] = {outcome: [] for outcome in OUTCOMES}
        self._counts = Counter[tuple[str, str]]()

    def add(self, records: Iterable[MissionRecord]) -> None:
        """Count records in, and draw."""
        self._counts.update((record.environment.difficulty, record.status) for record in records)
        total = self._counts.total()
        self._missions.append(total)
        for outcome, line in zip(OUTCOMES, self._lines, strict=True):
            count = sum(self._counts[difficulty, outcome] for difficulty in DIFFICULTIES)
            self._shares[outcome].append(count / total)
            line.set_data(self._missions, self._shares[outcome])
        self._over_time.set_xlim(0, total)
        self._draw_bars()
        self.figure.canvas.draw()
        self.figure.canvas.flush_events()

    def _draw_bars(self) -> None:
        self._bars.clear()
        self._bars.set(ylabel="missions", title="by difficulty")
        bottom = [0] * len(DIFFICULTIES)
        for outcome in OUTCOMES:
            counts = [self._counts[difficulty, outcome] for difficulty in DIFFICULTIES]
            self._bars.bar(DIFFICULTIES, counts, bottom=bottom, label=outcome)
            bottom = [low + count for low, count in zip(bottom, counts, strict=True)]


# %%
logger.remove()  # the run keeps a log of its own
picture = Picture()
plt.show(block=False)
with (
    start_blocking_portal(backend_options={"use_uvloop": True}) as portal,
    portal.wrap_async_context_manager(open_run(config)) as live,
):
    records = live.records()
    while taken := portal.call(take, records, SECONDS_A_FRAME):
        picture.add(taken)

# %%
picture.figure.savefig(live.output / "live_plot.png")
print(f"{live.report.status}: {live.report.missions:,} missions, {live.report.outcomes}")
