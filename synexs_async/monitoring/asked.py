"""What is asked of a journal: which missions, how many, and how much of a record tells."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, TypedDict

import msgspec
from msgspec import Struct

from synexs_async.errors import ConfigError, FolderError
from synexs_async.missions.grouping import OTHER_GROUPS, group_of, spelling_of
from synexs_async.storage.folder import RunFolder, read_run_file
from synexs_async.storage.progress import OUTCOMES, OutcomeCounts, Progress, told_progress

NO_GROUPS: Final = "the run's mission kind names no field that its missions are grouped by"
_TEAM: Final = "environment.difficulty"  # also in runs that were begun before kinds named it

JsonRecord = dict[str, Any]


class Head(Struct, gc=False):
    """What each record has, and monitors need of all of them."""

    mission_number: int
    status: str


decode_head: Final = msgspec.json.Decoder(Head).decode
decode_record: Final = msgspec.json.Decoder(JsonRecord).decode


@lru_cache(maxsize=32)
def decoder_of(*names: str) -> Callable[[bytes], JsonRecord]:
    """Return a decoder of these members of a record alone: in a fraction of the whole's time."""
    part = TypedDict("part", dict.fromkeys(names, Any), total=False)  # type: ignore[misc]
    return msgspec.json.Decoder(part).decode  # type: ignore[return-value]


def group_field(folder: str | os.PathLike[str]) -> str | None:
    """Return the path of the field that a run's missions are grouped by, "" where they are not.

    None where the run has not told yet. FolderError where there is no run.
    """
    run_folder = RunFolder(Path(folder))
    is_team_mission = read_run_file(run_folder).identity.mission == "team"
    return field_of(told_progress(run_folder), is_team_mission=is_team_mission)


def field_of(progress: Progress | None, *, is_team_mission: bool) -> str | None:
    """Return the same, given what the run has told."""
    if progress is not None and progress.group_by:
        return progress.group_by
    if is_team_mission:
        return _TEAM
    return None if progress is None else ""


def check_count(name: str, count: int, least: int = 0) -> None:
    """See that so many can be asked for; ConfigError where not."""
    if count < least:
        raise ConfigError(name, count, f"a number, {least} or more")


@dataclass(frozen=True)
class AskedMissions:
    """Which records are wanted."""

    outcome: str | None
    group: str | None
    pattern: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        if self.outcome is not None and self.outcome not in OUTCOMES:
            raise ConfigError("outcome", self.outcome, f"one of {', '.join(OUTCOMES)}")

    def group_by(self, folder: RunFolder) -> str:
        """Return the field that holds the group; "" where none is asked for.

        Raises:
            FolderError: there is no run, its missions have no groups, or it is not known yet.
        """
        if self.group is None:
            read_run_file(folder)
            return ""
        field = group_field(folder.path)
        if field is None:
            problem = "tells nothing yet, also not what its missions are grouped by; try again soon"
            raise FolderError(folder.path, problem)
        if not field:
            raise FolderError(folder.path, NO_GROUPS)
        return field

    def may_be_in(self, lines: bytes) -> bool:
        """Whether records of this outcome and group may stand there; most need not be decoded."""
        return all(spelling in lines for spelling in self._spellings)

    def is_of_kind(self, status: object, line: bytes, group_by: str) -> bool:
        """Whether a record has the outcome and the group."""
        if self.outcome is not None and status != self.outcome:
            return False
        if self.group is None:
            return True
        if not self.may_be_in(line):
            return False
        decode = decoder_of(group_by.partition(".")[0])
        return group_of(decode(line), group_by) == self.group

    @cached_property
    def _spellings(self) -> list[bytes]:
        return [spelling_of(text) for text in (self.outcome, self.group) if text is not None]

    def finds(self, line: bytes) -> bool:
        """Whether a line holds what is searched for."""
        return self.pattern is None or self.pattern.search(line.decode()) is not None

    def total(self, progress: Progress | None) -> tuple[int, int]:
        """Tell how many missions progress.json knows of, and how many have outcome and group.

        (0, 0) where it does not tell.
        """
        if progress is None:
            return 0, 0
        every = _sum(progress.stats)
        if self.group is None:
            return every, _sum(progress.stats, self.outcome)
        if not self.group or not progress.groups or OTHER_GROUPS in progress.groups:
            return 0, 0  # those without a group are not counted apart
        counts = progress.groups.get(self.group, OutcomeCounts())  # missions that raised have none
        return every, _sum(counts, self.outcome)


def _sum(counts: OutcomeCounts, outcome: str | None = None) -> int:
    """Add up the counts of one outcome, or of all."""
    by_outcome = counts.by_outcome()
    return sum(by_outcome.values()) if outcome is None else by_outcome[outcome]
