"""The same data set, whatever surrounds a run: processes, locale, clock, Python, and its options.

Only what docs/determinism.md names may change a byte.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Final

from harness import ROOT, SMALL, Case, Ended, Extent, Findings, judge, session
from pressure import ended_of, started, workers_of

FAMILY: Final = "sameness"
PYTHONS: Final = ("3.11", "3.12", "3.13")
RECORDS: Final = (  # in blocks, one at a time, and the features of them
    "ad92f50d2942b8c696c39a07fa05c50b814a4dec133ae34e652939899b63b89a",
    "ad92f50d2942b8c696c39a07fa05c50b814a4dec133ae34e652939899b63b89a",
    "405d65c850db8a3eb86655f7310589bc77af933c4dcb96ec9f1f67d64f6fa0d7",
)

_SETTINGS: Final = {
    "locale C, far time zone, hashes of seed 1": {
        "LC_ALL": "C",
        "TZ": "Pacific/Kiritimati",
        "PYTHONHASHSEED": "1",
    },
    "no UTF-8, no asserts, hashes of seed 0": {
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONOPTIMIZE": "2",
        "PYTHONHASHSEED": "0",
    },
    "UTF-8 mode": {"PYTHONUTF8": "1", "PYTHONHASHSEED": "4294967295"},
    "Turkish, where that is installed": {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Istanbul"},
    "development mode": {"PYTHONDEVMODE": "1"},
    "eight threads in every library": {"OMP_NUM_THREADS": "8", "OPENBLAS_NUM_THREADS": "8"},
}
_MANY_BATCHES: Final = (
    *("--missions", "1200", "--seed", "4", "--batch-size", "4", "--sequence-length", "6"),
    *("--checkpoint-every", "150"),
)
_STEPS: Final = {"short": (1, 48, 100), "long": (1, 2, 15, 16, 17, 40, 48, 99, 100)}
_BLOCK_SIZES: Final = {"short": (1, 100), "long": (1, 2, 3, 7, 16, 31, 33, 40, 64, 99, 100, 1000)}


def cases(extent: Extent) -> list[Case]:
    """Return a case for each thing around a run that must not show in its data."""
    checks: dict[str, Callable[[Path], Findings]] = {
        **{
            told: partial(_with_settings, env)
            for told, env in list(_SETTINGS.items())[: 2 if extent == "short" else None]
        },
        "umask 077, no uvloop": partial(_with_options, ("--no-uvloop",), "os.umask(0o077)"),
        "a checkpoint after every mission": partial(_with_options, ("--checkpoint-every", "1"), ""),
        "extension in steps": partial(_in_steps, _STEPS[extent]),
        "blocks of other sizes": partial(_in_blocks, _BLOCK_SIZES[extent]),
        "4 workers that finish in any order": partial(_in_any_order, 4, 0),
    }
    if extent == "long":
        checks |= {
            f"{workers} workers that finish in any order, {seed}": partial(
                _in_any_order, workers, seed
            )
            for workers in range(1, 9)
            for seed in range(3)
        }
        checks |= {
            f"a checkpoint every {interval} missions": partial(
                _with_options, ("--checkpoint-every", str(interval)), ""
            )
            for interval in (3, 16, 31, 33, 100, 1000)
        }
    return [Case(FAMILY, name, check) for name, check in checks.items()]


def other_python(version: str) -> str | None:
    """Find a Python of this version that can simulate missions: that has NumPy and msgspec.

    Interpreters are looked for in SYNEXS_PYTHONS (paths, separated as those in PATH), then by name.
    """
    listed = filter(None, os.environ.get("SYNEXS_PYTHONS", "").split(os.pathsep))
    program = "import sys, msgspec, numpy; print('%d.%d' % sys.version_info[:2])"
    for python in [*listed, shutil.which(f"python{version}"), sys.executable]:
        if python is None:
            continue
        with suppress(OSError):
            asked = subprocess.run(
                [python, "-c", program], capture_output=True, text=True, check=False
            )
            if asked.stdout.strip() == version:
                return python
    return None


@cache
def records_by(python: str) -> str:
    """Return the digest of records that another Python makes, in blocks and one at a time."""
    program = Path(__file__).with_name("records.py")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = subprocess.run([python, program], env=env, capture_output=True, text=True, check=False)
    return made.stdout.strip() or made.stderr


def _expect_the_same(
    findings: Findings, ended: Ended, folder: Path, options: Sequence[str] = SMALL
) -> None:
    """See that a run ended well, with the files and the digest of an undisturbed one."""
    findings.points += 1
    findings.runs += 1
    if ended.code != 0 or "Traceback" in ended.out + ended.err:
        findings.wrong("the run failed", ended)
        return
    judge(folder, findings, options)


def _with_settings(env: dict[str, str], scratch: Path) -> Findings:
    findings = Findings()
    folder = scratch / "run"
    _expect_the_same(findings, session(folder, env=env), folder)
    return findings


def _with_options(options: Sequence[str], before: str, scratch: Path) -> Findings:
    findings = Findings()
    folder = scratch / "run"
    with started(folder, (*SMALL, *options), before=before) as process:
        ended = ended_of(process)
    _expect_the_same(findings, ended, folder)
    return findings


def _in_steps(totals: Sequence[int], scratch: Path) -> Findings:
    findings = Findings()
    folder = scratch / "run"
    for total in totals:
        ended = session(folder, ("--missions", str(total), *SMALL[2:]))
        findings.runs += 1
        if ended.code != 0:
            findings.wrong(f"{total} missions", ended)
    _expect_the_same(findings, session(folder), folder)
    return findings


def _in_blocks(sizes: Sequence[int], scratch: Path) -> Findings:
    """How many missions are simulated together is up to the kind; a program may give its own."""
    findings = Findings(points=len(sizes), runs=len(sizes))
    program = Path(__file__).with_name("blocks.py")
    done = subprocess.run(
        [sys.executable, program, scratch, *map(str, sizes)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        findings.wrong(f"blocks of other sizes: {done.stderr[-2000:]}")
        return findings
    for size in sizes:
        judge(scratch / f"blocks_of_{size}", findings)
    return findings


def _in_any_order(workers: int, seed: int, scratch: Path) -> Findings:
    """Pause workers at random while they write, so that batches overtake one another."""
    findings = Findings()
    folder = scratch / "run"
    random = Random(seed)
    with started(folder, (*_MANY_BATCHES, "--workers", str(workers))) as process:
        while process.poll() is None:
            if there := workers_of(process):
                worker = random.choice(there)
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGSTOP)
                    time.sleep(random.uniform(0.002, 0.05))
                    os.kill(worker, signal.SIGCONT)
            time.sleep(random.uniform(0, 0.01))
        ended = ended_of(process)
    _expect_the_same(findings, ended, folder, _MANY_BATCHES)
    return findings
