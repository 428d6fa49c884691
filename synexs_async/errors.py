"""What can go wrong, each error with the sentence that a user reads.

SynexsError
├── UsageError              refused before anything was changed: exit code 2
│   ├── ConfigError         an option's value
│   ├── MissionError        a mission kind that can't be found, or is none
│   ├── ParameterError      a mission's parameter
│   │   └── ScenarioError   a scenario file's key or value
│   ├── FolderError         an output folder that can't be used as it is
│   │   ├── FolderInUse
│   │   └── IdentityMismatch
│   ├── JournalDamaged      a journal that no crash leaves behind
│   └── BatchDamaged        a batch that can't be read as the run wrote it
└── RunFailed               stopped in the middle, all that was committed kept: exit code 1
    ├── MissionFailed       the mission's own code raised
    ├── StorageFailed       the disk is full, or failed
    └── WorkerFailed        a worker process could not be kept alive
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path


def _shown(text: object) -> str:
    """Return a name so that it can be told in a line, whatever it holds."""
    name = str(text)
    return name if name.isprintable() else repr(name)


class SynexsError(Exception):
    """The base of every error that this package raises on purpose."""


class UsageError(SynexsError):
    """The request can't be carried out; nothing on disk was changed."""


class ConfigError(UsageError):
    """An option has a value that it can't take."""

    def __init__(self, option: str, value: object, expected: str) -> None:
        super().__init__(f"{option}: expected {expected}, not {value!r}")
        self.option, self.value, self.expected = option, value, expected


class MissionError(UsageError):
    """A mission kind can't be found, or is none that can be run."""

    def __init__(self, mission: str, problem: str) -> None:
        super().__init__(f"mission {_shown(mission)}: {problem}")
        self.mission, self.problem = mission, problem


class ParameterError(UsageError):
    """A parameter of a mission has a value that it can't take; `key` is "" for all of them."""

    def __init__(self, source: str, key: str, problem: str) -> None:
        shown = _shown(source)
        super().__init__(f"{shown}: {_shown(key)}: {problem}" if key else f"{shown}: {problem}")
        self.source, self.key, self.problem = source, key, problem


class ScenarioError(ParameterError):
    """A scenario says something that can't be simulated."""


class FolderError(UsageError):
    """An output folder can't be used as it is."""

    def __init__(self, folder: Path, problem: str) -> None:
        super().__init__(f"{_shown(folder)}: {problem}")
        self.folder, self.problem = folder, problem


class FolderInUse(FolderError):
    """Another process runs in this folder."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            folder, f"in use by {holder}; wait for it or stop it, or choose another --output"
        )
        self.holder = holder


class IdentityMismatch(FolderError):
    """The folder holds another run: `differences` has (there, asked for) by field."""

    def __init__(
        self, folder: Path, differences: Mapping[str, tuple[object, object]], way_out: str
    ) -> None:
        listed = "; ".join(
            f"{field} is {there!r} there, {asked!r} was asked for"
            for field, (there, asked) in differences.items()
        )
        super().__init__(folder, f"holds another run: {listed}. {way_out}")
        self.differences = dict(differences)


class JournalDamaged(UsageError):
    """Committed records are gone or unreadable, in a way that no crash brings about."""

    def __init__(self, file: Path, line: int | None, problem: str) -> None:
        place = f"{_shown(file)}, line {line}" if line else _shown(file)
        folder = shlex.quote(_shown(file.parent.parent))
        super().__init__(
            f"{place}: {problem}. Mend it with `python -m synexs_async verify {folder} --repair`, "
            "restore the file from a copy, or add --no-resume to move this run into its archive "
            "folder and start anew"
        )
        self.file, self.line, self.problem = file, line, problem


class BatchDamaged(UsageError):
    """A finished batch is gone, or its file does not hold what it should."""

    def __init__(self, file: Path, problem: str) -> None:
        folder = shlex.quote(_shown(file.parent.parent))
        super().__init__(
            f"{_shown(file)}: {problem}. Write it again from the journal with "
            f"`python -m synexs_async verify {folder} --repair`, or restore it from a copy"
        )
        self.file, self.problem = file, problem


class RunFailed(SynexsError):
    """The run stopped in the middle; what was committed is kept, and a new start goes on."""


class MissionFailed(RunFailed):
    """The mission's own code raised; `problem` is what: the exception's type and its words."""

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(f"mission {index} raised {problem} (traceback in the log)")
        self.index, self.problem = index, problem


class StorageFailed(RunFailed):
    """The operating system refused to read or write; the OSError is this error's cause."""

    def __init__(self, cause: OSError) -> None:
        where = f": {_shown(cause.filename)}" if cause.filename else ""
        super().__init__(f"{cause.strerror or cause}{where}")
        self.errno = cause.errno


class WorkerFailed(RunFailed):
    """Worker processes ended again and again over the same work, or could not work at all."""


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """Give the errors in a group, of any depth; of one that is no group, itself."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from leaves_of(part)
    else:
        yield error
