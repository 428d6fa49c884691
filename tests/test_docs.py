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
from synexs_async.cli import main
from synexs_async.config import OPTIONS

README = (ROOT / "README.md").read_text("utf-8")
MONITORING = (ROOT / "docs" / "monitoring.md").read_text("utf-8")


def section_of(page: str, heading: str) -> str:
    """Return what stands below a heading."""
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def programs_of(text: str) -> list[str]:
    """Return its Python programs."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


PROGRAMS = [*programs_of(README), *programs_of(section_of(MONITORING, "Report"))]


def test_every_public_name_is_there() -> None:
    """What `__all__` names can be imported, and has a docstring."""
    for name in synexs_async.__all__:
        assert getattr(synexs_async, name).__doc__, name


@pytest.mark.parametrize("option", [option.name for option in OPTIONS if option.metadata])
def test_the_readme_names_every_option(option: str) -> None:
    """A user finds each option in the README's table."""
    name = option.replace("_", "-")
    assert f"--no-{name}" in README if option == "resume" else f"--{name}" in README


@pytest.mark.parametrize(("command", "heading"), [("tail", "Tail"), ("dashboard", "Dashboard")])
def test_a_command_s_table_has_its_options(
    capsys: pytest.CaptureFixture[str], command: str, heading: str
) -> None:
    """All that `--help` lists, and no others."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    listed = re.findall(r"(?m)^  (-.*?)(?:  |$)", capsys.readouterr().out)
    told = re.findall(r"(?m)^\| (`-.*?) \|", section_of(MONITORING, heading))
    assert flags_in(listed) - {"-h", "--help"} == flags_in(told)


def flags_in(lines: list[str]) -> set[str]:
    """Return the options' names."""
    return {flag for line in lines for flag in re.findall(r"(?<!\w)--?[a-z]+", line)}


def test_the_programs_run(tmp_path: Path) -> None:
    """The Python examples run as they stand, one after the other in one folder."""
    make_run(tmp_path / "training_logs", 32)
    assert len(PROGRAMS) == 6
    for block in PROGRAMS:
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
