"""What all faults share: the real command with a fault put to it, and a judge of what it leaves.

A case does something to a run and says what it found. Short cases are a selection for every test
run; all of them are for `torture.py`, which fills the table of docs/reliability.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Final, Literal

import msgspec
from datasets import data_set, index_of

ROOT: Final = Path(__file__).resolve().parents[2]
TIMEOUT: Final = 300  # seconds that no healthy session takes, though others use the machine
KILLED: Final = -9

Extent = Literal["short", "long"]

SMALL: Final = (
    *("--missions", "100", "--seed", "21", "--batch-size", "16", "--sequence-length", "6"),
    *("--checkpoint-every", "40"),
)
"""Two checkpoints, and batches that lie across them; the last one is short."""


@dataclass
class Findings:
    """What came of one case, or of several; the last four are to be zero.

    Attributes:
        points: places at which a fault was put.
        runs: sessions of the command.
        unreached: faults whose place the run did not come to, as its timing differs.
        lost: committed records that were gone afterwards.
        duplicates: records that were there twice.
        differences: data sets other than that of an undisturbed run.
        wrong_exits: sessions that ended otherwise than promised, hung, or showed a traceback.
    """

    points: int = 0
    runs: int = 0
    unreached: int = 0
    lost: int = 0
    duplicates: int = 0
    differences: int = 0
    wrong_exits: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.duplicates or self.differences or self.wrong_exits)

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            *(getattr(self, part.name) + getattr(other, part.name) for part in fields(self))
        )

    def wrong(self, problem: str, ended: Ended | None = None) -> None:
        """Count an ending that was not promised, and say what it was."""
        self.wrong_exits += 1
        self.notes.append(problem if ended is None else f"{problem}: {ended.summary}")


@dataclass(frozen=True)
class Case:
    """Something that is done to a run in a folder of its own.

    Attributes:
        family: the row of the table that it belongs to.
        name: what is done, for people.
        check: does it, within an empty folder, and returns what it found.
    """

    family: str
    name: str
    check: Callable[[Path], Findings]


@dataclass(frozen=True)
class Fault:
    """A fault at the `number`th call of this kind in a process; `shim.c` has all words for it."""

    role: str
    operation: str
    kind: str
    number: int
    action: str

    def __str__(self) -> str:
        return f"{self.role} {self.operation} {self.kind} {self.number}: {self.action}"


@dataclass(frozen=True)
class Call:
    """A call that changes the disk or hands work over, by its number among those of its kind."""

    role: str
    operation: str
    kind: str
    number: int


@dataclass(frozen=True)
class Ended:
    """How a session of the command ended; a code of None is one that hung."""

    code: int | None
    out: str
    err: str
    fired: bool

    @property
    def resumed_at(self) -> int:
        """The mission at which it went on."""
        found = re.search(r"resuming at mission (\d+)", self.out)
        return int(found[1]) if found else 0

    @property
    def summary(self) -> str:
        """What is told of it when it was wrong."""
        return f"exit code {self.code}\n{self.out[-1500:]}{self.err[-1500:]}"


@cache
def shim() -> Path | None:
    """Compile `shim.c`; None where there is no compiler, or no Linux."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    library = Path(tempfile.mkdtemp(prefix="synexs_shim_")) / "shim.so"
    source = Path(__file__).with_name("shim.c")
    arguments = ("-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run([compiler, *arguments, "-o", library, source, "-ldl"], check=True)
    return library


def session(
    folder: Path,
    options: Sequence[str] = SMALL,
    *,
    fault: Fault | None = None,
    trace: Path | None = None,
    record: Path | None = None,
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Ended:
    """Run the command once in a folder, with a fault if there is one."""
    environment = {**os.environ, **(env or {})}
    fired = folder.with_name(f"{folder.name}.fired")
    fired.unlink(missing_ok=True)
    if fault or trace or record:
        environment |= {
            "LD_PRELOAD": str(shim()),
            "SHIM_RUN": str(folder),
            "SHIM_FIRED": str(fired),
        }
    if fault:
        words = (fault.role, fault.operation, fault.kind, str(fault.number), fault.action)
        environment["SHIM_FAULT"] = ":".join(words)
    if trace:
        environment["SHIM_TRACE"] = str(trace)
    if record:
        environment["SHIM_RECORD"] = str(record)
    command = [python, "-m", "synexs_async", *options, "--output", str(folder)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=ROOT,
        env=environment,
    ) as process:
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return Ended(None, out, err, fired.exists())
    return Ended(process.returncode, out, err, fired.exists())


@dataclass(frozen=True)
class Undisturbed:
    """What a run leaves that nothing happened to: its data set, and the digest of that."""

    data: Mapping[str, bytes]
    digest: str


@cache
def undisturbed(options: Sequence[str] = SMALL) -> Undisturbed:
    """Let such a run happen."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        ended = session(folder, options)
        assert ended.code == 0, ended.summary
        return Undisturbed(data_set(folder), index_of(folder)["dataset_sha256"])


def reference(options: Sequence[str] = SMALL) -> Mapping[str, bytes]:
    """Return the data set of an undisturbed run."""
    return undisturbed(options).data


def calls_of(folder: Path, options: Sequence[str] = SMALL) -> list[Call]:
    """Let a session run undisturbed, and return the calls that it made, in their order."""
    trace = folder.with_name(f"{folder.name}.trace")
    ended = session(folder, options, trace=trace)
    assert ended.code == 0, ended.summary
    seen: Counter[tuple[str, ...]] = Counter()
    calls = []
    for line in trace.read_text().splitlines():
        role, _, operation, kind, _ = line.split("\t")
        seen[role, operation, kind] += 1
        calls.append(Call(role, operation, kind, seen[role, operation, kind]))
    return calls


def committed(folder: Path) -> int:
    """Count the records that a journal holds, whole and in order, from the first on."""
    count = 0
    for file in sorted((folder / "missions").glob("mission_*.jsonl")):
        for line in file.read_bytes().splitlines(keepends=True):
            try:
                number = msgspec.json.decode(line)["mission_number"]
            except msgspec.DecodeError:
                return count
            if not line.endswith(b"\n") or number != count:
                return count
            count += 1
    return count


def go_on(folder: Path, findings: Findings, options: Sequence[str] = SMALL) -> None:
    """Start the command again, undisturbed, and judge what it makes of the folder."""
    there = committed(folder)
    ended = session(folder, options)
    findings.runs += 1
    if ended.code != 0 or "Traceback" in ended.out + ended.err:
        findings.wrong("going on", ended)
        return
    if "already complete" not in ended.out:
        findings.lost += max(there - ended.resumed_at, 0)
    judge(folder, findings, options)


def judge(folder: Path, findings: Findings, options: Sequence[str] = SMALL) -> None:
    """Hold a complete run against an undisturbed one."""
    found, expected = data_set(folder), undisturbed(options).data
    digest = index_of(folder)["dataset_sha256"]
    if found != expected or digest != undisturbed(options).digest:
        findings.differences += 1
        names = sorted(
            name for name in {*found, *expected} if found.get(name) != expected.get(name)
        )
        findings.notes.append(f"other data: {', '.join(names[:5])}, digest {digest}")
    lines = [
        line
        for name, content in found.items()
        if name.startswith("missions/")
        for line in content.splitlines()
    ]
    findings.duplicates += len(lines) - len(set(lines))


def tell_whether_progress_is_whole(folder: Path, findings: Findings) -> None:
    """Count a progress file that is not JSON: monitors read it at any moment."""
    file = folder / "progress.json"
    try:
        if file.exists():
            msgspec.json.decode(file.read_bytes())
    except msgspec.DecodeError as error:
        findings.wrong(f"progress.json: {error}")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a case its folder."""
    with tempfile.TemporaryDirectory(prefix="synexs_fault_") as path:
        yield Path(path)
