"""What the README and the package's face say is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Command
from monitored import make_run

import synexs_async
from synexs_async.cli import main
from synexs_async.config import OPTIONS

README = (ROOT / "README.md").read_text("utf-8")
FORMATS = (ROOT / "docs" / "formats.md").read_text("utf-8")
MONITORING = (ROOT / "docs" / "monitoring.md").read_text("utf-8")


def section_of(page: str, heading: str) -> str:
    """Return what stands below a heading."""
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def programs_of(text: str) -> list[str]:
    """Return its Python programs."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


PROGRAMS = [*programs_of(README), *programs_of(section_of(MONITORING, "Report"))]
UNDOCUMENTED = ("OUTCOME_NAMES", "Event")  # a tuple and a union: what they say is their types'


def test_every_public_name_is_there() -> None:
    """What `__all__` names can be imported, and has a docstring."""
    for name in {*synexs_async.__all__} - {*UNDOCUMENTED}:
        assert getattr(synexs_async, name).__doc__, name


def test_the_readme_s_table_has_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """A user finds each there, and none that `--help` doesn't know."""
    with pytest.raises(SystemExit):
        main(["--help"])
    options = {f"--{option.name.replace('_', '-')}" for option in OPTIONS}
    told = flags_in(rows_of(section_of(README, "Using it").partition("Exit codes:")[0]))
    assert {flag.replace("--no-resume", "--resume") for flag in told} >= options
    assert told <= flags_in(capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(("command", "heading"), [("tail", "Tail"), ("dashboard", "Dashboard")])
def test_a_command_s_table_has_its_options(
    capsys: pytest.CaptureFixture[str], command: str, heading: str
) -> None:
    """All that `--help` lists, and no others."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    listed = re.findall(r"(?m)^  (-.*?)(?:  |$)", capsys.readouterr().out)
    told = rows_of(section_of(MONITORING, heading))
    assert flags_in(listed) - {"-h", "--help"} == flags_in(told)


def rows_of(section: str) -> list[str]:
    """Return the options that a section's tables begin their rows with."""
    return re.findall(r"(?m)^\| (`-.*?) \|", section)


def flags_in(lines: list[str]) -> set[str]:
    """Return the options' names."""
    return {flag for line in lines for flag in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", line)}


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


def test_what_reads_a_run_without_us_reads_it(command: Command, tmp_path: Path) -> None:
    """The formats' programs run, a loader has all missions, and the digest is the run's."""
    done = command.run("--missions", 100, "--output", tmp_path / "training_logs")
    programs = programs_of(FORMATS)
    assert len(programs) == 6
    finished = subprocess.run(
        [sys.executable, "-", "training_logs"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        input="\n".join([*programs, "print([len(labels) for _, labels in loader])"]),
        env={"PYTHONPATH": str(ROOT)},
    )
    assert finished.returncode == 0, finished.stderr
    assert "[64, 36]" in finished.stdout.splitlines()
    (digest,) = re.findall("[0-9a-f]{64}", finished.stdout)
    assert f"  digest    {digest}\n" in done.stdout


def test_links_between_documents_lead_somewhere() -> None:
    """A relative link names a file that is there, and a heading in it."""
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", document.read_text("utf-8"))
        for target, anchor in links:
            file = document.parent / target if target else document
            assert file.exists(), f"{document.name}: {target}"
            if anchor:
                assert anchor in anchors_of(file.read_text("utf-8")), f"{target}#{anchor}"


def anchors_of(page: str) -> list[str]:
    """Return the names by which a page's headings are linked."""
    headings = re.findall(r"(?m)^#+ (.*)$", page)
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
