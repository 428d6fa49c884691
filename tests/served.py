"""The dashboard as a real process, for tests that need one."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from conftest import Command

PATIENCE: Final = 60  # seconds: on a busy machine a server of niceness 19 is slow, and not at fault
_SAID = re.compile(r"http://[\d.]+:(\d+)/")


class Served:
    """A dashboard that can be asked."""

    def __init__(self, root: Path, *options: str, port: int = 0) -> None:
        self.process = Command().start("dashboard", root, "--port", port, *options)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        found = _SAID.search(self.said)
        assert found, self.said
        self.port = int(found[1])

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """End it; return its exit code and what it complained about."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            _, complaints = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, complaints


@contextmanager
def served(root: Path, *options: str, port: int = 0) -> Iterator[Served]:
    """Serve runs as long as it is needed."""
    server = Served(root, *options, port=port)
    try:
        yield server
    finally:
        server.stop()
