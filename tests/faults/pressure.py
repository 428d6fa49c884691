"""A run under pressure: too little of everything, and others that do what they like beside it.

Whatever can be waited for is waited for; whatever can't ends in one clear line. The data set is
the same in the end.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from harness import (
    KILLED,
    ROOT,
    SMALL,
    TIMEOUT,
    Case,
    Ended,
    Extent,
    Findings,
    committed,
    go_on,
    judge,
    session,
    tell_whether_progress_is_whole,
)

FAMILY: Final = "pressure"

_LARGE: Final = ("--missions", "3000", "--seed", "5")  # 20 MB
_PLAIN: Final = ("--mission", "tests/plain_missions.py:walk", "--missions", "4000")  # 5 MB
_EPISODES: Final = (
    *("--mission", "gym:CartPole-v1", "--record-steps"),
    *("--missions", "1000", "--sequence-length", "6"),
)
_LONG: Final = (
    *("--missions", "40000", "--seed", "6", "--sequence-length", "6"),
    *("--checkpoint-every", "500"),
)
_SINGLE: Final = (*SMALL, "--mission-files", "single")
_WORKERS: Final = ("--workers", "8")
_NAMES: Final = {
    "wide": "ü 漢字 🚀 '\"$HOME",
    "several lines": "one\ntwo\rthree\x1b[31m",
    "no text": os.fsdecode(b"caf\xe9"),
    "long": "/".join(["x" * 200] * 10),
}
_STOPPED_AT: Final = 1_700_000_000


def cases(extent: Extent) -> list[Case]:
    """Return a case for each kind of pressure."""
    checks: dict[str, Callable[[Path], Findings]] = {
        "a worker is paused and goes on": _paused_worker,
        "a paused worker never goes on, and the run is told to stop": _stopped_worker,
        "64 file descriptors, single files": partial(_few_descriptors, _SINGLE),
        "files of 64 KiB at most": _small_files,
        "16 MB of disk": partial(_small_disk, 16, _LARGE),
        "readers hold the journal open and mapped": _readers,
        "the clock stands still": _clock_stands_still,
        "two starts at the same instant": _two_starts,
        "the folder is removed": partial(_folder_vanishes, False),
        "nobody reads the console": _full_pipe,
        "a read-only folder": _read_only,
        "strange paths": partial(_strange_paths, ("wide", "no text")),
        "embedded": partial(_embedded, 1),
    }
    if extent == "long":
        checks |= {
            "one core": _one_core,
            "64 file descriptors, 8 workers": partial(_few_descriptors, (*SMALL, *_WORKERS)),
            "the clock jumps": _clock_jumps,
            "the folder is replaced": partial(_folder_vanishes, True),
            "strange paths": partial(_strange_paths, tuple(_NAMES)),
            "embedded": partial(_embedded, 20),
            **{f"{size} MB of disk": partial(_small_disk, size, _LARGE) for size in range(1, 25)},
            **{
                f"{size} MB of disk, {kind}": partial(_small_disk, size, options)
                for kind, options in (("plain missions", _PLAIN), ("episodes", _EPISODES))
                for size in range(1, 5)
            },
            **{f"50 interrupts, {seed}": partial(_interrupts, 50, seed) for seed in range(2)},
        }
    return [Case(FAMILY, name, check) for name, check in checks.items()]


# Processes.


@contextmanager
def started(
    folder: Path,
    options: Sequence[str] = SMALL,
    *,
    before: str = "",
    env: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
) -> Iterator[subprocess.Popen[str]]:
    """Start the command; `before` is Python that its process runs first, to limit itself."""
    command = [sys.executable, "-m", "synexs_async", *options, "--output", str(folder)]
    if before:
        program = f"import os, resource, sys; {before}; os.execv(sys.executable, sys.argv[1:])"
        command = [sys.executable, "-c", program, *command]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended_of(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a command that was started."""
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return Ended(None, out or "", err, fired=True)
    return Ended(process.returncode, out or "", err, fired=True)


def _session(
    folder: Path, options: Sequence[str] = SMALL, *, env: Mapping[str, str] | None = None
) -> Ended:
    """Run the command once, with nothing beside its folder."""
    with started(folder, options, env=env) as process:
        return ended_of(process)


def _wait_for(happened: Callable[[], object]) -> None:
    """Look at what another process does until it has happened."""
    deadline = time.monotonic() + TIMEOUT
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the worker processes of a run."""
    found = []
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except OSError:
        return []
    for child in children:
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if b"synexs_async.worker" in command:
            found.append(int(child))
    return found


def _progress(folder: Path) -> dict[str, object]:
    try:
        content: dict[str, object] = msgspec.json.decode((folder / "progress.json").read_bytes())
        return content
    except OSError:
        return {}


def _expect(
    findings: Findings, ended: Ended, code: int | None, told: str = "", *, err: str | None = None
) -> None:
    """See how a session ended, and that it says so in a line without a traceback."""
    findings.runs += 1
    if ended.code != code:
        findings.wrong(f"{told}: expected exit code {code}", ended)
    elif "Traceback" in ended.out + ended.err:
        findings.wrong(f"{told}: a traceback", ended)
    elif err is not None and not (
        len(ended.err.splitlines()) == 1 and re.search(err, ended.err, re.DOTALL)
    ):
        findings.wrong(f"{told}: expected one line, {err!r}", ended)


# Workers.


def _paused_worker(scratch: Path) -> Findings:
    findings = Findings(points=1)
    folder = scratch / "run"
    with started(folder) as process:
        _wait_for(lambda: workers_of(process))
        (worker, *_) = workers_of(process)
        os.kill(worker, signal.SIGSTOP)
        _wait_for(lambda: _progress(folder))
        first = _progress(folder)["timestamp"]
        _wait_for(lambda: _progress(folder)["timestamp"] != first)  # it goes on telling how it is
        os.kill(worker, signal.SIGCONT)
        ended = ended_of(process)
    _expect(findings, ended, 0)
    judge(folder, findings)
    return findings


def _stopped_worker(scratch: Path) -> Findings:
    findings = Findings(points=1)
    folder = scratch / "run"
    with started(folder, (*SMALL, "--grace", "0.5")) as process:
        _wait_for(lambda: workers_of(process))
        for worker in workers_of(process):
            os.kill(worker, signal.SIGSTOP)
        _wait_for(lambda: committed_yet(folder))
        process.send_signal(signal.SIGTERM)
        ended = ended_of(process)
    _expect(findings, ended, 143)
    if _progress(folder).get("status") != "interrupted":
        findings.wrong("progress.json does not say interrupted", ended)
    go_on(folder, findings)
    return findings


def committed_yet(folder: Path) -> int:
    """Count what a journal holds, of a run that may not have begun."""
    return committed(folder) if (folder / "missions").is_dir() else 0


# Limits.


def _with_limit(
    before: str, scratch: Path, options: Sequence[str] = SMALL, told: str = ""
) -> Findings:
    findings = Findings(points=1)
    folder = scratch / "run"
    with started(folder, options, before=before) as process:
        ended = ended_of(process)
    _expect(findings, ended, 0, told)
    if ended.code == 0:
        judge(folder, findings, tuple(option for option in options if option not in _WORKERS))
    return findings


def _one_core(scratch: Path) -> Findings:
    return _with_limit("os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])", scratch)


def _few_descriptors(options: Sequence[str], scratch: Path) -> Findings:
    return _with_limit("resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))", scratch, options)


def _small_files(scratch: Path) -> Findings:
    """A limit on the size of files works as a full disk does, for any user."""
    findings = Findings(points=1)
    folder = scratch / "run"
    before = "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))"
    with started(folder, before=before) as process:
        ended = ended_of(process)
    _expect_failure(findings, ended, folder, "File too large")
    go_on(folder, findings)
    return findings


def _expect_failure(findings: Findings, ended: Ended, folder: Path, reason: str) -> None:
    """Expect a line that names reason, file and how to go on, and progress.json to say failed."""
    place = re.escape(str(folder))
    line = rf"^synexs_async: error: {reason}: {place}\S*\. .* go on with: python -m synexs_async "
    _expect(findings, ended, 1, reason, err=line)
    tell_whether_progress_is_whole(folder, findings)
    if _progress(folder).get("status") != "failed":
        findings.wrong("progress.json does not say failed", ended)


def _small_disk(megabytes: int, options: Sequence[str], scratch: Path) -> Findings:
    findings = Findings(points=1)
    with _file_system(scratch / "disk", megabytes) as disk:
        if disk is None:
            findings.unreached += 1
            return findings
        folder = disk / "run"
        ended = session(folder, options)
        if ended.code == 0:  # it was enough
            judge(folder, findings, options)
        else:
            _expect_failure(findings, ended, folder, "No space left on device")
        _mount("-o", f"remount,size={megabytes + 64}M", disk)
        go_on(folder, findings, options)
    return findings


def _mount(*arguments: str | Path) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@contextmanager
def _file_system(place: Path, megabytes: int) -> Iterator[Path | None]:
    """Give a file system of this size; None where only root may."""
    place.mkdir()
    if (
        sys.platform != "linux"
        or not shutil.which("mount")
        or not _mount("-t", "tmpfs", "-o", f"size={megabytes}M", "none", place)
    ):
        yield None
    else:
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", place], check=True)


# Others in the folder.


def _readers(scratch: Path) -> Findings:
    findings = Findings(points=1)
    folder = scratch / "run"
    fewer = session(folder, ("--missions", "70", *SMALL[2:]))
    _expect(findings, fewer, 0)
    journal = folder / "missions" / "mission_000000000.jsonl"
    whole = journal.read_bytes()
    with journal.open("ab") as file:
        file.write(b'{"mission_id":"torn')
    batch = folder / "batches" / "batch_000004.pt"  # a short one, which is replaced
    with journal.open("rb") as reader, batch.open("rb") as other:
        mapped = mmap.mmap(reader.fileno(), 0, prot=mmap.PROT_READ)
        batch_bytes = other.read()
        mapped_batch = mmap.mmap(other.fileno(), 0, prot=mmap.PROT_READ)
        go_on(folder, findings)
        reader.seek(0)
        if mapped[: len(whole)] != whole or not reader.read().startswith(whole):
            findings.wrong("a reader sees other bytes of the journal")
        if mapped_batch[:] != batch_bytes:
            findings.wrong("a reader sees other bytes of the batch that it opened")
    return findings


def _two_starts(scratch: Path) -> Findings:
    findings = Findings(points=1)
    folder = scratch / "run"
    with started(folder) as one, started(folder) as other:
        endings = [ended_of(one), ended_of(other)]
    endings.sort(key=lambda ended: ended.code or 0)
    _expect(findings, endings[0], 0)
    _expect(findings, endings[1], 2, err="in use by .*; wait for it or stop it")
    judge(folder, findings)
    return findings


def _folder_vanishes(replaced: bool, scratch: Path) -> Findings:
    findings = Findings(points=1)
    folder = scratch / "run"
    with started(folder) as process:
        _wait_for(lambda: workers_of(process))  # which takes a second until it writes
        _wait_for(lambda: committed_yet(folder))
        folder.rename(scratch / "away")
        if replaced:
            folder.mkdir()
        else:
            shutil.rmtree(scratch / "away")
        ended = ended_of(process)
    place = re.escape(str(folder))
    _expect(findings, ended, 1, err=rf"No such file or directory: {place}.* go on with: ")
    if replaced:
        go_on(scratch / "away", findings)
    return findings


# The clock.


@cache
def _clock() -> Path | None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    library = Path(tempfile.mkdtemp(prefix="synexs_clock_")) / "clock.so"
    source = Path(__file__).with_name("clock.c")
    arguments = ("-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run([compiler, *arguments, "-o", library, source, "-ldl"], check=True)
    return library


def _clock_jumps(scratch: Path) -> Findings:
    findings = Findings()
    for jump in (-86400, 3600):
        findings.points += 1
        if _clock() is None:
            findings.unreached += 1
            continue
        folder = scratch / f"run{jump}"
        ended = session(folder, env={"LD_PRELOAD": str(_clock()), "CLOCK_JUMP": str(jump)})
        _expect(findings, ended, 0, f"a jump of {jump} s")
        judge(folder, findings)
    return findings


def _clock_stands_still(scratch: Path) -> Findings:
    """Sessions that start in the same second share a log, and runs may be moved aside then."""
    findings = Findings(points=1)
    if _clock() is None:
        findings.unreached += 1
        return findings
    folder = scratch / "run"
    env = {"LD_PRELOAD": str(_clock()), "CLOCK_STOP": str(_STOPPED_AT)}
    for options in (("--missions", "70", *SMALL[2:]), SMALL):
        _expect(findings, session(folder, options, env=env), 0)
    judge(folder, findings)
    (log,) = (folder / "logs").iterdir()
    told = log.read_text("utf-8")
    for line in ("starting 70 missions", "resuming at mission 70 of 100", "complete: 100 missions"):
        if told.count(line) != 1:
            findings.wrong(f"the log has lost a line: {line}\n{told}")
    for _ in range(2):
        _expect(findings, session(folder, ("--no-resume", *SMALL), env=env), 0)
    judge(folder, findings)
    if len(list((folder / "archive").glob("*/run.json"))) != 2:
        findings.wrong("an earlier run is not in the archive")
    return findings


# The console, and places.


def _full_pipe(scratch: Path) -> Findings:
    findings = Findings(points=1)
    folder = scratch / "run"
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        try:
            while os.write(writer, b"x" * 1024):
                pass
        except BlockingIOError:
            os.set_blocking(writer, True)
        with started(folder, stdout=writer) as process:
            ended = ended_of(process)
    finally:
        os.close(reader)
        os.close(writer)
    _expect(findings, ended, 0)
    judge(folder, findings)
    return findings


def _read_only(scratch: Path) -> Findings:
    findings = Findings(points=1)
    with _file_system(scratch / "disk", 16) as disk:
        if disk is None:
            place = scratch / "folder"
            place.mkdir(mode=0o555)
        else:
            place = disk
            _mount("-o", "remount,ro", disk)
        for folder in (place, place / "run"):
            ended = _session(folder)
            named = re.escape(str(folder))
            _expect(findings, ended, 2, err=f"{named}: can't be used: .*; choose another --output")
    return findings


def _strange_paths(chosen: Sequence[str], scratch: Path) -> Findings:
    findings = Findings()
    for told in chosen:
        name = _NAMES[told]
        findings.points += 1
        folder = scratch / told / name
        env = {"PYTHONIOENCODING": "ascii"} if told == "wide" else {}
        ended = _session(folder, env=env)
        _expect(findings, ended, 0, told)
        if ended.code != 0:
            continue
        judge(folder, findings)
        refused = _session(folder, ("--missions", "100", "--seed", "3"), env=env)
        _expect(findings, refused, 2, told, err="holds another run: ")
    findings.points += 1
    ended = _session(scratch.joinpath(*["x" * 250] * 17))
    _expect(findings, ended, 2, "too long", err="can't be used: File name too long; choose")
    return findings


# Again and again.


def _interrupts(count: int, seed: int, scratch: Path) -> Findings:
    findings = Findings(points=count)
    folder = scratch / "run"
    random = Random(seed)
    codes = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: KILLED}
    for _ in range(count):
        there = committed_yet(folder)
        number = random.choice(list(codes))
        with started(folder, _LONG) as process:
            time.sleep(random.uniform(0.1, 2.5))  # any moment
            process.send_signal(number)
            ended = ended_of(process)
        findings.runs += 1
        early = number == signal.SIGINT and ended.code in (1, -signal.SIGINT)  # Python is starting
        if ended.code not in (0, codes[number], -number) and not early:
            findings.wrong(f"{number.name}", ended)
        if "Traceback" in ended.out + ended.err and not early:
            findings.wrong(f"{number.name}: a traceback", ended)
        findings.lost += max(there - committed_yet(folder), 0)
        tell_whether_progress_is_whole(folder, findings)
    go_on(folder, findings, _LONG)
    return findings


def _embedded(count: int, scratch: Path) -> Findings:
    """Run in a program of its own, so that what is left behind there can be counted."""
    findings = Findings(points=2 * count, runs=2 * count + 1)
    program = Path(__file__).with_name("host.py")
    done = subprocess.run(
        [sys.executable, program, str(scratch), str(count)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT * 3,
        check=False,
    )
    if done.returncode != 0:
        findings.wrong(f"{count} runs in one program: {done.stdout}{done.stderr[-2000:]}")
    for folder in sorted(scratch.glob("run*")):
        judge(folder, findings)
        if left := [*folder.rglob("*.tmp")]:
            findings.wrong(f"left behind: {left}")
    return findings
