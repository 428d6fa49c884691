"""The tutorial and the examples, step by step as a reader would take them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Command

TUTORIAL = (ROOT / "docs" / "own-missions.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TUTORIAL, re.DOTALL)
EXAMPLES = {
    "dice.py": ("dice", ()),
    "service.py": ("ask", ("--concurrency", "50")),
    "block.py": ("Walks", ()),
}


def test_the_tutorial_s_steps_work(tmp_path: Path) -> None:
    """Its files are saved, its commands run, and its package installed (as pip would note it)."""
    paths = [tmp_path, ROOT, tmp_path / "installed"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    commands = 0
    for language, text in BLOCKS:
        if language == "python":
            name = text.partition("\n")[0].removeprefix("# ")
            (tmp_path / name).write_text(text)
        elif language == "toml":
            (group,) = re.findall(r'(\[project.entry-points."([^"]+)"\]\n(.*))', text)
            noted = tmp_path / "installed" / "dice_missions-1.0.dist-info"
            noted.mkdir(parents=True)
            (noted / "METADATA").write_text("Metadata-Version: 2.1\nName: dice-missions\n")
            entry = group[2].replace('"', "")
            (noted / "entry_points.txt").write_text(f"[{group[1]}]\n{entry}\n")
        else:
            for line in text.splitlines():
                finished = subprocess.run(
                    [sys.executable, *shlex.split(line)[1:]],
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=100,
                    check=False,
                )
                assert 0 == finished.returncode, (line, finished.stderr)
                commands += 1
    finished = subprocess.run(
        [sys.executable, "embed.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert 0 == finished.returncode, finished.stderr
    assert finished.stdout.startswith("OutcomeCounts(")
    assert 6 == commands


@pytest.mark.parametrize("file", EXAMPLES)
def test_an_example_runs_and_holds(tmp_path: Path, command: Command, file: str) -> None:
    """Each form of mission has an example, which can be run and verified as it stands."""
    name, options = EXAMPLES[file]
    source = f"examples/{file}:{name}"

    finished = command.run(
        "--mission", source, "--missions", 100, *options, "--output", tmp_path / "run"
    )
    verified = command.run("verify", tmp_path / "run", "--mission", source, "--all")

    assert (0, 0) == (finished.returncode, verified.returncode), finished.stderr + verified.stderr
