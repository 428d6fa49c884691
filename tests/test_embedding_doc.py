"""The page about embedding: each of its programs is run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "embedding.md").read_text("utf-8")
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
ENDS = {
    "whole.py": r"completed 200 OutcomeCounts\(.*\)\n[0-9a-f]{64}\n",
    "beside.py": r"(\d+ missions are safe from a power cut\n)+completed after 500 missions\n"
    r"\w{64}\n",
    "records.py": r"\d+ honeypot\n500 missions, 0 records missed\n",
    "deadline.py": r"(True interrupted \d+|the time was up before the run had begun)\n",
    "quiet.py": "",
    "several.py": r"(.*/runs/[12] [0-9a-f]{64}\n){2}",
}


def test_every_program_of_the_page_is_known() -> None:
    """None is left out below."""
    assert [*ENDS] == [*PROGRAMS]
    assert PAGE.count("```python") == len(PROGRAMS)


@pytest.mark.parametrize("name", ENDS)
def test_a_program_of_the_page_runs(tmp_path: Path, name: str) -> None:
    """It prints what the page lets one expect."""
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAMS[name]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == finished.returncode, finished.stderr
    assert re.fullmatch(ENDS[name], finished.stdout), finished.stdout
