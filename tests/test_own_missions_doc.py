"""The tutorial and the examples, step by step as a reader would take them."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT, Command

TUTORIAL = (ROOT / "docs" / "own-missions.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TUTORIAL, re.DOTALL)
NAMED = {
    text.partition("\n")[0].removeprefix("# "): text
    for language, text in BLOCKS
    if language == "python"
}
WITHOUT_NETWORK = (
    *("--no-index", "--no-deps", "--no-build-isolation"),
    *("--quiet", "--target", "installed"),
)
EXAMPLES = {
    "dice.py": ("dice", ()),
    "service.py": ("ask", ("--concurrency", "50")),
    "block.py": ("Walks", ()),
}


def test_the_tutorial_s_steps_work(tmp_path: Path) -> None:
    """Its files are saved, its commands run, its package built and installed by pip."""
    paths = [ROOT, tmp_path / "installed"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}

    def python(*arguments: str) -> str:
        finished = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert 0 == finished.returncode, (arguments, finished.stderr)
        return finished.stdout

    for name, text in NAMED.items():
        (tmp_path / name).write_text(text)
    told = {}
    for language, text in BLOCKS:
        if language == "toml":
            (tmp_path / "pyproject.toml").write_text(text)
        if language == "bash":
            for line in text.splitlines():
                words = shlex.split(line)[1:]
                told[line] = python(*words, *(WITHOUT_NETWORK if "install" in words else ()))
                if "install" in words:
                    (tmp_path / "dice.py").unlink()  # from here on it is the installed one

    assert 8 == len(told)
    assert "dice  (dice-missions 1.0, dice:dice)" in told["python -m synexs_async missions"]
    assert python("embed.py").startswith("OutcomeCounts(")


def test_the_script_finds_what_lies_in_the_current_folder(tmp_path: Path) -> None:
    """`synexs-async`, as pip installs it, takes module:object as `python -m synexs_async` does."""
    (tmp_path / "coin.py").write_text(NAMED["coin.py"])

    def run(*arguments: str) -> int:
        with script(tmp_path, *arguments) as process:
            process.communicate(timeout=100)
        return process.returncode

    assert 0 == run("--mission", "coin:coin", "--missions", "10", "--output", "run")
    assert 0 == run("replay", "3", "--output", "run", "--mission", "coin:coin")
    assert 0 == run("verify", "run", "--mission", "coin:coin")
    assert 2 == run("verify", "run")


def test_ctrl_c_of_the_script_is_quiet(tmp_path: Path) -> None:
    """A command that has nothing to finish ends with 130, and without a traceback."""
    (tmp_path / "slow.py").write_text(
        "import time\n\nfrom synexs_async import mission\n\n\n"
        "@mission()\ndef slow(ctx):\n    print('begun', flush=True)\n    time.sleep(100)\n"
    )
    with script(tmp_path, "replay", "0", "--mission", "slow:slow") as process:
        assert process.stdout is not None
        assert "begun\n" == process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, problems = process.communicate(timeout=100)
    assert (130, "") == (process.returncode, problems)


def script(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the script in a folder."""
    return subprocess.Popen(
        [Path(sysconfig.get_path("scripts")) / "synexs-async", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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
