"""Damage that no crash leaves behind, in every file and folder of a run, however it ended.

A start may mend it (the data set is then that of an undisturbed run), refuse it (a line that names
the place, and nothing changed), or, behind the checkpoint, pass over what it need not read: then
the damage is still there, and nothing else has changed. Most of it is tried in this process, where
a start takes milliseconds; a sample is put before the real command.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final, Literal

import msgspec
from builders import BATCH_SIZE, SEED, SEQUENCE_LENGTH, Work, go_on, layout_in, missions, split
from datasets import data_set, index_of
from harness import (
    KILLED,
    SMALL,
    Case,
    Ended,
    Extent,
    Fault,
    Findings,
    reference,
    scratch_folder,
    session,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from synexs_async import RunConfig, TeamMission, UsageError
from synexs_async.config import MissionFiles, identity_of
from synexs_async.missions.statistics import Statistics
from synexs_async.session import prepare
from synexs_async.storage.checkpoint import Checkpoint, read_checkpoint
from synexs_async.storage.files import temporary_path
from synexs_async.storage.folder import MISSIONS_PER_FILE, RunFile, RunFolder, acquire
from synexs_async.storage.journal import Layout, Mark, problem_of
from synexs_async.storage.recovery import examine

FAMILY: Final = "damage"
TOTAL: Final = 33

State = Literal["finished", "interrupted", "killed"]
Contents = Mapping[str, bytes | str | None]

_STATES: Final[tuple[State, ...]] = ("finished", "interrupted", "killed")
_PARTS: Final = (  # what each property damages, as patterns of names
    "missions/*",
    "batches/*",
    "ledger.jsonl",
    "checkpoint.json",
    "[pr]*.*",  # progress.json, run.json, run.lock
    "*",
)
_EXAMPLES: Final = {"short": 15, "long": 400}
_SAMPLE: Final = (  # what is put before the real command, of each file whose name matches
    ("missions/mission_000000000.jsonl", ("flip", "cut", "swap lines", "empty", "delete")),
    ("missions", ("become a file", "delete")),
    ("batches/batch_000001.pt", ("flip", "cut", "become a folder", "link to itself")),
    ("batches", ("delete", "become a file", "add a name that can't be read")),
    ("batches/training_index.json", ("flip", "delete", "become a folder")),
    ("ledger.jsonl", ("flip", "duplicate a line", "delete a line", "delete", "become a folder")),
    ("checkpoint.json", ("flip", "cut", "delete", "become a folder", "link to itself")),
    ("progress.json", ("empty", "delete", "become a folder")),
    ("run.json", ("flip", "cut", "delete", "become a folder")),
    ("run.lock", ("delete", "become a folder", "zero")),
    ("logs", ("delete", "become a file")),
    ("models", ("delete", "become a file")),
)
_SHORT_SAMPLE: Final[tuple[tuple[State, str, str], ...]] = (
    ("finished", "batches/batch_000001.pt", "flip"),
    ("killed", "batches", "become a file"),
    ("interrupted", "run.json", "become a folder"),
    ("killed", "ledger.jsonl", "flip"),
)


@dataclass(frozen=True)
class Damage:
    """Something done to one path of a run; `where` and `size` are shares of its length."""

    path: str
    action: str
    where: float = 0.5
    size: float = 0.1
    bit: int = 0

    def __str__(self) -> str:
        return f"{self.path}: {self.action} at {self.where:.6f}, {self.size:.3f}, bit {self.bit}"

    def apply(self, folder: Path) -> None:
        """Do it, where the path is still there to do it to."""
        path = folder / self.path
        if path.is_dir() and not path.is_symlink():
            _FOLDER_ACTIONS.get(self.action, _delete)(path)
        elif path.is_file():
            if edit := _EDITS.get(self.action):
                path.write_bytes(edit(path.read_bytes(), self))
            else:
                _FILE_ACTIONS.get(self.action, _delete)(path)


def cases(extent: Extent) -> list[Case]:
    """Return properties that are tried in this process, and a sample for the real command."""
    kinds: tuple[MissionFiles, ...] = ("journal", "single")
    properties = [
        Case(
            FAMILY,
            f"of a {state} run, {files}, in {part}",
            partial(_check_property, state, files, part, _EXAMPLES[extent]),
        )
        for state in _STATES
        for files in kinds
        for part in _PARTS
    ]
    sample = [
        (state, path, action)
        for state in _STATES
        for path, actions in _SAMPLE
        for action in actions
    ]
    return properties + [
        Case(FAMILY, f"of a {state} run, {path}: {action}", partial(_check_command, state, damage))
        for state, path, action in (_SHORT_SAMPLE if extent == "short" else sample)
        for damage in [Damage(path, action)]
    ]


# What may be done to the bytes of a file.


def _flip(content: bytes, damage: Damage) -> bytes:
    if not content:
        return b"\x00"
    place = int(damage.where * (len(content) - 1))
    return content[:place] + bytes([content[place] ^ (1 << damage.bit)]) + content[place + 1 :]


def _zero(content: bytes, damage: Damage) -> bytes:
    start = int(damage.where * len(content))
    end = min(len(content), start + 1 + int(damage.size * len(content)))
    return content[:start] + bytes(end - start) + content[end:]


def _cut(content: bytes, damage: Damage) -> bytes:
    return content[: int(damage.where * len(content))]


def _grow(content: bytes, damage: Damage) -> bytes:
    return content + content[int(damage.where * len(content)) :]


def _lines(change: Callable[[list[bytes], int], None]) -> Callable[[bytes, Damage], bytes]:
    def edit(content: bytes, damage: Damage) -> bytes:
        lines = content.splitlines(keepends=True) or [b""]
        change(lines, int(damage.where * (len(lines) - 1)))
        return b"".join(lines)

    return edit


def _swap(lines: list[bytes], place: int) -> None:
    lines[place - 1], lines[place] = lines[place], lines[place - 1]


def _exchange_digits(content: bytes, damage: Damage) -> bytes:
    """Make another number of one: what is left is valid JSON."""
    digits = [place for place, byte in enumerate(content) if byte in b"123456789"]
    if not digits:
        return content
    place = digits[int(damage.where * (len(digits) - 1))]
    other = b"123456789"[(content[place] - ord("1") + 1 + damage.bit) % 9]
    return content[:place] + bytes([other]) + content[place + 1 :]


_EDITS: Final[dict[str, Callable[[bytes, Damage], bytes]]] = {
    "flip": _flip,
    "exchange a digit": _exchange_digits,
    "zero": _zero,
    "cut": _cut,
    "grow": _grow,
    "nest": lambda content, damage: b'{"x":' + b"[" * 100_000,
    "empty": lambda content, damage: b"",
    "duplicate a line": _lines(lambda lines, place: lines.insert(place, lines[place])),
    "delete a line": _lines(list.__delitem__),
    "swap lines": _lines(_swap),
}


# What may be done to a file, or a folder, as a whole.


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _become_a_file(path: Path) -> None:
    _delete(path)
    path.write_bytes(b"a file\n")


def _become_a_folder(path: Path) -> None:
    _delete(path)
    path.mkdir()
    (path / "something").write_bytes(b"in it\n")


def _link_to_itself(path: Path) -> None:
    _delete(path)
    path.symlink_to(path.name)


def _link_to_nowhere(path: Path) -> None:
    _delete(path)
    path.symlink_to("nowhere/at/all")


def _swap_with_next(path: Path) -> None:
    names = sorted(file for file in path.parent.iterdir() if file.is_file())
    other = names[(names.index(path) + 1) % len(names)]
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)


def _copy_over_next(path: Path) -> None:
    names = sorted(file for file in path.parent.iterdir() if file.is_file())
    names[(names.index(path) + 1) % len(names)].write_bytes(path.read_bytes())


def _add_unreadable_name(path: Path) -> None:
    Path(os.fsdecode(os.fsencode(path) + b"/mission_\xff\n.jsonl")).write_bytes(b"a file\n")


def _add_temporary_folder(path: Path) -> None:
    temporary_path(path / "torn").mkdir()


_FILE_ACTIONS: Final[dict[str, Callable[[Path], None]]] = {
    "delete": _delete,
    "become a folder": _become_a_folder,
    "link to itself": _link_to_itself,
    "link to nowhere": _link_to_nowhere,
    "swap with the next": _swap_with_next,
    "copy over the next": _copy_over_next,
}
_FOLDER_ACTIONS: Final[dict[str, Callable[[Path], None]]] = {
    "delete": _delete,
    "become a file": _become_a_file,
    "link to itself": _link_to_itself,
    "add a name that can't be read": _add_unreadable_name,
    "add a temporary folder": _add_temporary_folder,
}


# In this process.


@dataclass(frozen=True)
class _Undisturbed:
    """What an undisturbed run of the tests' missions leaves."""

    data: Mapping[str, bytes]
    digest: str
    statistics: Statistics


def _check_property(
    state: State, files: MissionFiles, part: str, examples: int, scratch: Path
) -> Findings:
    template = _template(state, files)
    paths = sorted(
        str(path.relative_to(template))
        for path in [*template.glob(part), *template.rglob(part)]
        if "tmp" not in path.suffix or part != "*"
    )
    findings = Findings()
    damages = st.builds(
        Damage,
        st.sampled_from(paths),
        st.sampled_from([*_EDITS, *_EDITS, *_FILE_ACTIONS, *_FOLDER_ACTIONS]),
        st.floats(0, 1),
        st.floats(0, 0.3),
        st.integers(0, 7),
    )

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # a damage is small as it is
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(damages, min_size=1, max_size=2))
    def no_damage_does_harm(chosen: list[Damage]) -> None:
        findings.points += 1
        with scratch_folder() as place:
            folder = place / "run"
            shutil.copytree(template, folder, symlinks=True)
            for damage in chosen:
                damage.apply(folder)
            _start(folder, state, files, chosen)

    try:
        no_damage_does_harm()
    except AssertionError as error:
        findings.wrong(_told(error))
    except Exception as error:  # nothing else may leave a start either
        findings.wrong(f"{type(error).__name__}: {_told(error)}")
    return findings


def _told(error: BaseException) -> str:
    return "\n".join([str(error)[:3000], *getattr(error, "__notes__", [])])


def _start(folder: Path, state: State, files: MissionFiles, damage: list[Damage]) -> None:
    """Start a damaged run in this process, take it to its end, and judge what comes of it."""
    undisturbed = _undisturbed(files)
    damaged = contents(folder)
    told = "; ".join(map(str, damage))
    config = RunConfig(
        missions=TOTAL,
        output=folder,
        seed=SEED,
        batch_size=BATCH_SIZE,
        sequence_length=SEQUENCE_LENGTH,
        mission_files=files,
    )
    run_folder = RunFolder(folder)
    layout = Layout(run_folder, MISSIONS_PER_FILE[files], BATCH_SIZE)
    try:
        lock = acquire(run_folder)
        try:
            prepared = prepare(config, config.resolve_mission(), run_folder)
            prepared.close()
            again = examine(layout, TOTAL, TeamMission())
        finally:
            lock.release()
    except UsageError as error:
        _assert_refused(str(error), folder, damaged, contents(folder), told)
        return
    if prepared.recovery.complete:
        digest = prepared.recovery.checkpoint.dataset_sha256
        statistics = prepared.recovery.checkpoint.statistics
    else:
        try:
            digest = go_on(layout, again, TOTAL)
        except (UsageError, msgspec.MsgspecError) as error:
            # Read to make a batch again: two damages that met.
            if len(damage) == 1:
                raise AssertionError(f"{told}: refused in the middle: {error}") from error
            _assert_journal_kept(damaged, contents(folder), told)
            return
        checkpoint = read_checkpoint(run_folder.checkpoint)
        assert checkpoint is not None, told
        statistics = checkpoint.statistics
    found = data_set_of(contents(folder))
    if _believed(damaged, undisturbed.data, prepared.recovery.checkpoint.mark):
        _assert_no_other_lines(found, damaged, undisturbed.data, told)
        return
    for name, expected in undisturbed.data.items():
        if found.get(name) == expected:
            continue
        assert found.get(name) == damaged.get(name), f"{told}: {name} is other data"
        assert name in found, f"{told}: {name} is gone"
        assert len(found[name]) == len(expected), f"{told}: {name} has another size"
    assert undisturbed.digest == digest, f"{told}: another digest"
    if not any(name.startswith("missions/") for name in (item.path for item in damage)):
        assert undisturbed.statistics == statistics, f"{told}: other statistics"


def _believed(damaged: Contents, undisturbed: Mapping[str, bytes], mark: Mark) -> bool:
    """Whether damage made other records that are valid, where nothing but the journal counts.

    Nothing tells them from records of the mission: only simulating it again would.
    """
    for name, expected in undisturbed.items():
        content = damaged.get(name)
        if not name.startswith("missions/") or not isinstance(content, bytes):
            continue
        first = int(name.removeprefix("missions/mission_").removesuffix(".jsonl"))
        for index, (line, other) in enumerate(
            zip(
                content.splitlines(keepends=True), expected.splitlines(keepends=True), strict=False
            ),
            start=first,
        ):
            if index >= mark.missions and line != other and not problem_of(line, index):
                return True
    return False


def _assert_no_other_lines(
    found: Contents, damaged: Contents, undisturbed: Contents, told: str
) -> None:
    def lines(contents: Contents) -> list[bytes]:
        return [
            line
            for name, content in contents.items()
            if name.startswith("missions/") and isinstance(content, bytes)
            for line in content.splitlines(keepends=True)
        ]

    known = {*lines(damaged), *lines(undisturbed)}
    assert known.issuperset(lines(found)), f"{told}: a record that nobody has written"


def _assert_refused(
    message: str, folder: Path, damaged: Contents, after: Contents, told: str
) -> None:
    assert str(folder) in message, f"{told}: no place is named: {message}"
    assert len(message.splitlines()) == 1, f"{told}: more than a line: {message}"
    changed = sorted(
        name
        for name in {*damaged, *after} - {"run.lock"}
        if damaged.get(name, "") != after.get(name, "")
    )
    assert not changed, f"{told}: refused ({message}), but changed: {changed}"


def _assert_journal_kept(damaged: Contents, after: Contents, told: str) -> None:
    for name, content in damaged.items():
        if name.startswith("missions/") and isinstance(content, bytes):
            assert after.get(name) == content, f"{told}: {name} was changed"


def contents(folder: Path) -> dict[str, bytes | str | None]:
    """Return all that lies below a folder: bytes of a file, None for a folder, a link's target."""
    found: dict[str, bytes | str | None] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def data_set_of(found: Contents) -> dict[str, bytes]:
    """Return the files of the data set among what a folder holds."""
    return {
        name: content
        for name, content in found.items()
        if name.startswith(("missions/", "batches/"))
        and isinstance(content, bytes)
        and not name.endswith("training_index.json")
    }


_making: Final = threading.Lock()


def _template(state: State, files: MissionFiles) -> Path:
    with _making:
        return _made(state, files)


@cache
def _made(state: State, files: MissionFiles) -> Path:
    """Leave what a run leaves that ended so, built without one."""
    layout = layout_in(
        Path(tempfile.mkdtemp(prefix="synexs_damage_")) / "run",
        MISSIONS_PER_FILE[files],
        BATCH_SIZE,
    )
    folder = layout.folder
    config = RunConfig(
        seed=SEED,
        batch_size=BATCH_SIZE,
        sequence_length=SEQUENCE_LENGTH,
        mission_files=files,
    )
    identity = identity_of(config, TeamMission())
    folder.run_file.write_bytes(msgspec.json.encode(RunFile(identity, "a team")))
    (folder.path / "run.lock").write_text("process 1 on nowhere\n")
    (folder.logs / "training_20260131_235959.log").write_text("a line\n")
    work = Work(layout, Checkpoint(Mark(), Statistics.of(TeamMission())))
    borders = {"finished": [20], "interrupted": [25], "killed": [14, 25]}[state]
    for block in split(missions(0, TOTAL if state == "finished" else 25), borders):
        work.commit(block)
        if block.end == borders[0]:
            work.checkpoint()
    if state == "finished":
        work.finish()
    if state == "killed":
        with layout.file(24).open("ab") as file:
            file.write(b"" if files == "single" else b'{"mission_id":"')
        temporary_path(folder.checkpoint).write_bytes(b"torn")
        temporary_path(folder.batch_file(7)).write_bytes(b"torn")
    work.writer.close()
    return folder.path


def _undisturbed(files: MissionFiles) -> _Undisturbed:
    path = _template("finished", files)
    checkpoint = read_checkpoint(path / "checkpoint.json")
    assert checkpoint is not None
    return _Undisturbed(data_set(path), checkpoint.dataset_sha256, checkpoint.statistics)


# With the real command.


def _check_command(state: State, damage: Damage, scratch: Path) -> Findings:
    folder = scratch / "run"
    shutil.copytree(_run(state), folder, symlinks=True)
    damage.apply(folder)
    damaged = contents(folder)
    believed = _believed(damaged, reference(), _mark_of(folder))
    ended = session(folder)
    findings = Findings(points=1, runs=1)
    if "Traceback" in ended.out + ended.err:
        findings.wrong(f"{damage}: a traceback", ended)
    elif ended.code == 2:
        try:
            assert not ended.out, f"{damage}: it began: {ended.out}"
            _assert_refused(ended.err.rstrip(), folder, damaged, contents(folder), str(damage))
        except AssertionError as error:
            findings.wrong(str(error))
    elif ended.code == 0 and not believed:
        _judge(folder, damage, damaged, ended, findings)
    elif ended.code != 0:
        findings.wrong(str(damage), ended)
    return findings


def _mark_of(folder: Path) -> Mark:
    """Return the point behind which a start believes records as they stand."""
    try:
        checkpoint = read_checkpoint(folder / "checkpoint.json")
    except (ValueError, OSError):
        return Mark()
    return checkpoint.mark if checkpoint else Mark()


def _judge(
    folder: Path, damage: Damage, damaged: Contents, ended: Ended, findings: Findings
) -> None:
    """Hold a run that went on, or was called complete, against an undisturbed one."""
    if f"digest    {_digest()}" not in ended.out:
        findings.wrong(f"{damage}: another digest", ended)
    expected = reference()
    found = data_set_of(contents(folder))
    for name, content in expected.items():
        now = found.get(name)
        passed_over = now == damaged.get(name) and now is not None and len(now) == len(content)
        if now != content and not passed_over:
            findings.differences += 1
            findings.notes.append(f"{damage}: other data: {name}")


@cache
def _digest() -> str:
    return str(index_of(_run("finished"))["dataset_sha256"])


def _run(state: State) -> Path:
    with _making:
        return _ran(state)


@cache
def _ran(state: State) -> Path:
    """Run the command so that it ends in this way."""
    folder = Path(tempfile.mkdtemp(prefix="synexs_damage_")) / "run"
    if state == "finished":
        assert session(folder).code == 0
        return folder
    if state == "interrupted":  # a few missions are over before a signal comes: this is the same
        ended = session(folder, ("--missions", "70", *SMALL[2:]))
        assert ended.code == 0, ended.summary
        return folder
    ended = session(folder, fault=Fault("worker", "rename", "batch", 4, "kill-main"))
    assert ended.code == KILLED, ended.summary
    return folder
