"""What the README and the package's face say is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from monitored import make_run

import synexs_async
from synexs_async.config import OPTIONS

README = (ROOT / "README.md").read_text("utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_every_public_name_is_there() -> None:
    """What `__all__` names can be imported, and has a docstring."""
    for name in synexs_async.__all__:
        assert getattr(synexs_async, name).__doc__, name


@pytest.mark.parametrize("option", [option.name for option in OPTIONS if option.metadata])
def test_the_readme_names_every_option(option: str) -> None:
    """A user finds each option in the README's table."""
    name = option.replace("_", "-")
    assert f"--no-{name}" in README if option == "resume" else f"--{name}" in README


def test_the_readme_s_programs_run(tmp_path: Path) -> None:
    """The Python examples run as they stand, one after the other in one folder."""
    make_run(tmp_path / "training_logs", 32)
    assert len(PYTHON_BLOCKS) == 4
    for block in PYTHON_BLOCKS:
        finished = subprocess.run(
            [sys.executable, "-c", block],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(ROOT)},
        )
        assert finished.returncode == 0, finished.stderr


def test_links_between_documents_lead_somewhere() -> None:
    """A relative link names a file that is there."""
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
