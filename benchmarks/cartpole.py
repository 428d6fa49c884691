"""How fast CartPole episodes are played, beside a bare loop that does no more than that.

    python benchmarks/cartpole.py [--missions 40000] [--rounds 3] [--output DIR]

The bare loop is one process: `gymnasium.make`, and for each episode a reset with a seed, random
actions, and a line of `json.dumps` with all steps. Its time begins when the environment is built.
The lean one does without Gymnasium's checks of each step (`disable_env_checker`), as the run does,
which checks no more than the actions of policies.

The run is the real command with `--record-steps`, so that its lines hold the same steps; it writes
batches beside them, hashes, checkpoints and flushes. The steady rate leaves the start-up out, and
the import of torch: it counts the episodes behind the first milestone in the run's log that comes
after the first written batches, from the moment of that milestone to the end, with the last flush
and the index. What was played before the milestone and not yet put into batches is written within
that time too, uncounted. Take many episodes: the start-up is two seconds.

Besides the workers that simulate there are the main process and one that writes batches. On two
cores, two workers are twice as fast as the bare loop just if all processes together take no more
processor time an episode than that loop does.

All is written into a folder in DIR that is removed at the end; it takes 20 KB a mission and round.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from statistics import median

import gymnasium
from measuring import clock, scratch_folder, show_table
from throughput import lines_of_log, moment_of, time_run

from synexs_async.storage.folder import RunFolder

_WORKERS = (1, 2)


def main() -> None:
    """Measure, and print the table."""
    parser = ArgumentParser(description="Measure CartPole episodes beside a bare loop.")
    parser.add_argument("--missions", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    options = parser.parse_args()
    missions = options.missions

    rounds = []
    with scratch_folder(options.output) as scratch:
        for number in range(options.rounds):
            bare, lean = (
                missions / play_bare(scratch / f"bare{number}_{is_lean}.jsonl", missions, is_lean)
                for is_lean in (False, True)
            )
            figures = [bare, lean]
            for workers in _WORKERS:
                folder = RunFolder(scratch / f"run{number}_{workers}")
                mission = ("--mission=gym:CartPole-v1", "--policy=random", "--record-steps")
                whole, _ = time_run(folder, missions, workers, *mission)
                rate = steady_rate(folder, missions)
                figures += [missions / whole, rate, rate / bare]
            rounds.append(figures)

    rounds.append([median(column) for column in zip(*rounds, strict=True)])
    names = [*(str(number) for number in range(1, len(rounds))), "median"]
    columns = ["round", "bare loop", "lean"]
    for workers in _WORKERS:
        columns += [f"{workers} worker{'s' * (workers > 1)}, whole", "steady", "to bare"]
    show_table(
        f"CartPole episodes a second: {missions:,} episodes, steps recorded",
        columns,
        [
            [name, *(f"{figure:,.0f}" if figure > 100 else f"{figure:.2f}" for figure in figures)]
            for name, figures in zip(names, rounds, strict=True)
        ],
    )


def steady_rate(folder: RunFolder, missions: int) -> float:
    """Return episodes a second from the first milestone behind the first written batches on."""
    begun = moment_of(lines_of_log(folder, "batches written")[0])
    end = moment_of(lines_of_log(folder, "complete:")[-1])
    for line in lines_of_log(folder, "Progress: "):
        moment, played = moment_of(line), int(line.partition("Progress: ")[2].partition("/")[0])
        if moment > begun and played < missions:
            return (missions - played) / (end - moment).total_seconds()
    raise SystemExit("the run was over before it was steady: take more --missions")


def play_bare(path: Path, missions: int, is_lean: bool) -> float:
    """Play and write episodes in this process, and return the seconds that it took."""
    environment = gymnasium.make("CartPole-v1", disable_env_checker=is_lean)
    space = environment.action_space
    space.seed(0)
    with clock() as elapsed, path.open("w", encoding="utf-8") as file:
        for seed in range(missions):
            observation, _ = environment.reset(seed=seed)
            observations, actions, rewards = [observation.tolist()], [], []
            terminated = truncated = False
            while not (terminated or truncated):
                action = space.sample()
                observation, reward, terminated, truncated, _ = environment.step(action)
                observations.append(observation.tolist())
                actions.append(int(action))
                rewards.append(reward)
            steps = {"observations": observations, "actions": actions, "rewards": rewards}
            file.write(json.dumps({"seed": seed, "terminated": terminated, **steps}) + "\n")
    return elapsed.seconds


if __name__ == "__main__":
    main()
