"""`doctor` and `missions`: real mission files, examined by the command as a real process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Command

from synexs_async.cli import main

MISSIONS = """
import os, random, signal, subprocess, time
import anyio.lowlevel
import numpy as np
from synexs_async import Outcome, mission

STATE = {"calls": 0}

@mission(metrics=["score"])
def sound(ctx):
    '''Draw a number from the mission's own generator.'''
    ctx.metric("score", float(ctx.rng.random()))
    ctx.advance(1.0)
    return "success"

@mission()
def global_random(ctx):
    ctx.step(random.random())
    return "success"

@mission()
def global_numpy(ctx):
    ctx.step(float(np.random.random()))
    return "success"

@mission()
def clock(ctx):
    ctx.step({"read": time.perf_counter_ns()})
    return "success"

@mission()
def state(ctx):
    STATE["calls"] += 1
    ctx.step(STATE["calls"])
    return "success"

@mission()
def order_of_a_set(ctx):
    ctx.step(list({f"name {number}" for number in range(20)}))
    return "success"

@mission()
def raises(ctx):
    if ctx.index == 3:
        raise ValueError("three is too many")
    if ctx.index == 2:
        raise ValueError(f"at \\udc80 {time.perf_counter_ns()}")
    return "success"

@mission()
def raises_the_second_time(ctx):
    STATE["calls"] += 1
    if STATE["calls"] > 4:
        raise ValueError("enough")
    return "success"

@mission()
def ends(ctx):
    if ctx.index == 1:
        subprocess.Popen(["sleep", "5"])
        while True:
            pass
    if ctx.index == 2:
        os._exit(7)
    if ctx.index == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return "success"

@mission()
def exits_the_second_time(ctx):
    STATE["calls"] += 1
    if STATE["calls"] > 6:
        os._exit(0)
    return "success"

@mission()
async def shares(ctx):
    STATE["index"] = ctx.index
    await anyio.lowlevel.checkpoint()
    ctx.step(STATE["index"])
    return "success"

@mission()
async def shares_nothing(ctx):
    await anyio.lowlevel.checkpoint()
    if ctx.index == 1:
        raise SystemExit("enough")
    return "success"

@mission(features=["x"], encode=lambda record: [float(time.perf_counter_ns() % 997)])
def unsteady_encode(ctx):
    return "success"
"""

BLOCKS = """
import numpy as np
from synexs_async import Block, BlockMission

class Blocks(BlockMission):
    name = "blocks"
    feature_names = ("x",)
    shift = 0.0
    columns = 1

    def simulate(self, seed, first, count):
        lines = [b'{"seed":%d,"index":%d}\\n' % (seed, i) for i in range(first, first + count)]
        return self.made(first, lines, 0.0)

    def read(self, first, lines):
        return self.made(first, lines, self.shift)

    def made(self, first, lines, value):
        n = len(lines)
        zeros = np.zeros(n, np.int64)
        features = np.full((n, 1, self.columns), value, np.float32)
        ids = [str(first + i) for i in range(n)]
        return Block(first, lines, ids, zeros, zeros, features, {"duration": np.zeros(n)})

class ReadsOtherwise(Blocks):
    shift = 1.0

class TooWide(Blocks):
    columns = 2

class SeesItsBlock(Blocks):
    def simulate(self, seed, first, count):
        lines = [b'{"count":%d}\\n' % count] * count
        return self.made(first, lines, 0.0)

class NotFinite(Blocks):
    def made(self, first, lines, value):
        block = super().made(first, lines, value)
        block.metrics["duration"][:] = np.inf
        return block
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the mission files."""
    made = tmp_path_factory.mktemp("missions")
    (made / "plain.py").write_text(MISSIONS)
    (made / "blocks.py").write_text(BLOCKS)
    return made


Doctor = Callable[..., tuple[int, str, str]]


@pytest.fixture
def doctor(folder: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Return a function that examines four missions of a kind: exit code, output, errors."""

    def examine(source: str, *options: object) -> tuple[int, str, str]:
        named = f"{folder}/{source}" if ":" in source else source
        code = main(["doctor", named, "--missions", "4", *map(str, options)])
        return code, *capsys.readouterr()

    return examine


@pytest.mark.parametrize(
    "source", ["team", "plain.py:sound", "plain.py:shares_nothing", "blocks.py:Blocks"]
)
def test_a_pure_mission_is_reproducible(doctor: Doctor, source: str) -> None:
    """Built in, a plain or async function, or blocks: a pure one passes, by the same command."""
    code, out, err = doctor(source, "--seed", 2**64 - 1)
    assert 0 == code, err
    assert ": reproducible\n" in out
    assert "" == err


@pytest.mark.parametrize("name", ["global_random", "global_numpy"])
def test_a_mission_that_draws_from_global_generators_needs_their_seeding(
    doctor: Doctor, name: str
) -> None:
    """It is the same under a run alone, which is said, and is no failure."""
    code, out, err = doctor(f"plain.py:{name}")
    assert 0 == code, err
    assert f"{name}: needs global seeding\n" in out
    assert "mission 0, without seeding random and numpy.random, steps[0]: " in out


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("clock", "mission 0, once more, steps[0].read: "),
        ("state", "mission 0, once more, steps[0]: 1, then 5\n"),
        ("shares", "mission 0, side by side, steps[0]: 0, then 3\n"),
        ("order_of_a_set", "mission 0, in a fresh process, PYTHONHASHSEED=1, steps[0][0]: "),
        (
            "raises_the_second_time",
            "mission 0, once more: did not raise, then raised ValueError: enough\n",
        ),
        (
            "unsteady_encode",
            "mission 0, in order: read gives other features than simulate\n",
        ),
    ],
)
def test_a_mission_that_is_not_pure_is_named_with_what_differs(
    doctor: Doctor, name: str, finding: str
) -> None:
    """The mission, the way that showed it, the first field, and both values."""
    code, out, err = doctor(f"plain.py:{name}")
    assert 1 == code, err
    assert f"{name}: not reproducible\n" in out
    assert finding in out


def test_missions_that_end_their_process_are_named(doctor: Doctor) -> None:
    """They cost their own process alone; when there are three, no more is tried."""
    code, out, _ = doctor("plain.py:ends", "--timeout", 0.3)
    assert 1 == code
    assert (
        "  4 missions, each in order\n"
        "  mission 1, in order: it took longer than 0.3 s\n"
        "  mission 2, in order: it ended its process with exit code 7\n"
        "  mission 3, in order: it ended its process by signal 9\n"
    ) in out


def test_a_mission_that_ends_its_process_is_left_out_from_then_on(doctor: Doctor) -> None:
    """The others are examined in each way all the same."""
    code, out, _ = doctor("plain.py:exits_the_second_time")
    assert 1 == code
    assert "  mission 2, once more: it ended its process with exit code 0\n" in out
    assert "mission 0, once more" not in out


def test_missions_that_raise_are_counted_and_named(doctor: Doctor) -> None:
    """One that raises the same each time is reproducible; a journal has the type alone."""
    code, out, _ = doctor("plain.py:raises")
    assert 0 == code
    assert "raises: reproducible\n" in out
    assert "  2 of 4 missions raised:\n    mission 2: ValueError: at \\udc80 " in out
    assert out.endswith(
        " (in other words another time)\n    mission 3: ValueError: three is too many\n"
    )


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("ReadsOtherwise", "mission 0, in order: read gives other features than simulate\n"),
        (
            "TooWide",
            "mission 0, in order: features: expected the shape [1, rows, 1], not [1, 1, 2]\n",
        ),
        ("SeesItsBlock", "mission 0, in blocks of 4, count: 1, then 4\n"),
    ],
)
def test_blocks_that_break_the_protocol_are_named(doctor: Doctor, name: str, finding: str) -> None:
    """What a run would make wrong batches of is found before there is a run."""
    code, out, err = doctor(f"blocks.py:{name}")
    assert 1 == code, err
    assert finding in out


def test_a_metric_that_is_not_finite_counts_as_raised(doctor: Doctor) -> None:
    """As in a run."""
    code, out, err = doctor("blocks.py:NotFinite")
    assert 0 == code, err
    assert "mission 0: ValueError: duration: expected a finite number, not inf" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["no_such_kind"], "mission no_such_kind: is not known"),
        (["team", "--missions", 0], "--missions: expected a whole number, between 1 and"),
        (["team", "--timeout", "nan"], "--timeout: expected a number of seconds"),
        (["team", "--seed", -1], "--seed: expected a whole number"),
        (["examples/dice.py:dice", "--param", "sides=many"], "--param: sides: expected a whole"),
    ],
)
def test_what_cannot_be_examined_is_refused(arguments: list[object], problem: str) -> None:
    """One line and exit code 2."""
    finished = Command().run("doctor", *arguments)
    assert 2 == finished.returncode
    assert finished.stderr.startswith(f"synexs_async: error: {problem}")
    assert 1 == finished.stderr.count("\n")


def test_kinds_of_installed_packages_are_listed(tmp_path: Path) -> None:
    """With package, version, parameters and docstring; what can't be had, with the reason."""
    package = tmp_path / "site"
    info = package / "offering-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(
        "[synexs_async.missions]\nbroken = nowhere:thing\nsound = offering:sound\n"
        "team = offering:sound\n"
    )
    (package / "offering.py").write_text(MISSIONS)
    env = {"PYTHONPATH": str(package)}
    finished = Command().run("missions", "--json", env=env)
    assert 0 == finished.returncode, finished.stderr
    team, broken, sound, shadowed = json.loads(finished.stdout)
    assert ("team", 1, "blocks, on the event loop") == (
        team["name"],
        team["version"],
        team["form"],
    )
    assert "easy" in team["parameters"]
    reason = "can't be imported (ModuleNotFoundError: No module named 'nowhere')"
    assert ("broken", None, reason) == (broken["name"], broken["version"], broken["problem"])
    assert {
        "name": "sound",
        "package": "offering 1.5",
        "source": "offering:sound",
        "version": 1,
        "form": "plain function, in worker processes",
        "parameters": {},
        "summary": "Draw a number from the mission's own generator.",
        "problem": "",
    } == sound
    assert "has the name of a built-in kind" in shadowed["problem"]
    listed = Command().run("missions", env=env).stdout
    assert "sound  (offering 1.5, offering:sound)\n" in listed
    assert f"  can't be had: {reason}\n" in listed


def test_seeding_is_left_out_only_where_it_is_asked_for() -> None:
    """The seeding itself: the same numbers for the same mission, other ones for another."""
    program = (
        "import random\n"
        "from synexs_async.missions import global_seeding as it\n"
        "it.seed_global_generators(5); first = random.random()\n"
        "it.seed_global_generators(5); assert first == random.random()\n"
        "it.leave_out_global_seeding(); before = random.getstate()\n"
        "it.seed_global_generators(5); assert before == random.getstate()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
