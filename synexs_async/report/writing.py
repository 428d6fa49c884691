"""Writing a run's report into its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from synexs_async.report.collecting import collect
from synexs_async.report.page import page_of
from synexs_async.storage.files import replace_file
from synexs_async.storage.folder import RunFolder

if TYPE_CHECKING:
    from synexs_async.missions.mission import Mission


def write_report(folder: str | os.PathLike[str], mission: Mission | None = None) -> Path:
    """Write `report.html` and `report.json` into a run's folder, in place of earlier ones.

    The run may be finished, interrupted or going on. It blocks, for two seconds at most whatever
    the run's size: in an asyncio program call it in a thread.

    Args:
        folder: the run's folder.
        mission: the run's mission kind, for what it expects of its outcomes (`expected_outcomes`).
            Built-in kinds are found without it; of others an earlier report is asked.

    Returns:
        The path of `report.html`.

    Raises:
        FolderError: the folder holds no run.
        MissionError: the run is of another kind, or has other parameters.
        ValueError: the kind expects outcomes that can't be meant.
        OSError: they can't be written; what was there stays.
    """
    run_folder = RunFolder(Path(folder))
    figures = collect(run_folder, mission)
    page = page_of(figures)
    content = msgspec.json.encode(figures) + b"\n"
    replace_file(run_folder.report_figures, content, durable=False)
    replace_file(run_folder.report, page.encode(), durable=False)
    return run_folder.report
