"""What all tests share: a loop on which blocking calls fail, and runs as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, BlockBusterFunction, blockbuster_ctx
from loguru import logger

LOGURU_LOOK_UPS = ("_get_lib_dirs", "_is_file_mine")
ROOT = Path(__file__).resolve().parent.parent

# Who starts the tests may ignore these for them (a shell in the background, nohup); they send them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Fail a test in which the package blocks the event loop."""
    with blockbuster_ctx("synexs_async") as blockbuster:
        functions = blockbuster.functions
        pread = BlockBusterFunction(None, "os.pread", scanned_modules="synexs_async")
        functions["os.pread"] = pread.activate()
        # Neither looking up the current folder nor /proc touches a disk.
        functions["os.path.abspath"].can_block_in("loguru/_better_exceptions.py", LOGURU_LOOK_UPS)
        for name in ("io.TextIOWrapper.read", "io.BufferedReader.read"):
            functions[name].can_block_in("tasks/progress.py", "resident_bytes")
        # What measures coverage takes a lock of its own wherever it sees a file anew.
        functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield blockbuster


@pytest.fixture(autouse=True)
def quiet_loguru() -> Iterator[None]:
    """Keep log lines out of the tests' own output, and leave no handler behind."""
    logger.remove()
    logger.add(lambda _: None, level=0)
    yield
    logger.remove()


@pytest.fixture(autouse=True)
def own_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget where missions were imported from: commands add to the path."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run asynchronous tests as the command line does."""
    return "asyncio", {"use_uvloop": True}


class Command:
    """`python -m synexs_async` as a real process."""

    def start(self, *arguments: object, **settings: object) -> subprocess.Popen[str]:
        """Start it, its output in pipes; `env` is added to the environment."""
        extra = settings.pop("env", {})
        assert isinstance(extra, dict)
        options: dict[str, object] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "stdin": subprocess.DEVNULL,
            "cwd": ROOT,
            "text": True,
            "env": {**os.environ, "COLUMNS": "100", **extra},
            **settings,
        }
        command = [sys.executable, "-m", "synexs_async", *map(str, arguments)]
        return subprocess.Popen(command, **options)  # type: ignore[call-overload,no-any-return]

    def run(self, *arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        with self.start(*arguments, **settings) as process:
            try:
                out, err = process.communicate(timeout=100)
            except subprocess.TimeoutExpired:
                process.kill()  # or leaving the block would wait for it
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def command() -> Command:
    """Give the command."""
    return Command()
