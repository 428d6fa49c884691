"""An ext4 file system in a file, of which the power can be cut without harm to any other."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final
from unittest import SkipTest

_SHUTDOWN: Final = 0x8004587D  # EXT4_IOC_SHUTDOWN
_WITHOUT_LOG: Final = 2
_SIZE: Final = 24 << 20
_PATIENCE: Final = 30.0  # seconds
_COMMANDS: Final = ("mkfs.ext4", "mount", "umount")


class Ext4:
    """A mounted file system; `root` is its topmost folder."""

    def __init__(self, scratch: Path, options: str) -> None:
        self.root = scratch / "disk"
        self._image = scratch / "disk.img"
        self._options = options
        self.root.mkdir()
        with self._image.open("xb") as image:
            image.truncate(_SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", self._image], check=True)

    def mount(self) -> None:
        """Mount it; after a cut that replays its log."""
        options = f"loop,{self._options}"
        command = ["mount", "-t", "ext4", "-o", options, str(self._image), str(self.root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SkipTest(f"no power was cut, as nothing can be mounted here: {done.stderr}")

    def unmount(self, *how: str) -> None:
        """Unmount it, which also gives its loop device back."""
        subprocess.run(["umount", *how, self.root], check=True)

    def cut(self) -> None:
        """Cut the power: what was not written is gone."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _WITHOUT_LOG))
        finally:
            os.close(descriptor)

    def restart(self) -> None:
        """Let the power come back, when nobody holds a file of before any more."""
        deadline = monotonic() + _PATIENCE
        while True:
            try:
                self.unmount()
                break
            except subprocess.CalledProcessError:
                if monotonic() > deadline:
                    raise
                sleep(0.01)  # a worker of the run that was killed takes a moment to end
        self.mount()


@contextmanager
def mounted_ext4(scratch: Path, options: str) -> Iterator[Ext4]:
    """Mount a new file system, and leave nothing of it behind."""
    if os.geteuid() != 0 or not all(map(shutil.which, _COMMANDS)):
        raise SkipTest(f"no power was cut, as that needs root and {', '.join(_COMMANDS)}")
    disk = Ext4(scratch, options)
    disk.mount()
    try:
        yield disk
    finally:
        if disk.root.is_mount():
            disk.unmount("--lazy")
