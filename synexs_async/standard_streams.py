"""Standard streams that a process was started without, as by `<&-` or some supervisors."""

from __future__ import annotations

import os
import sys
from typing import Final

_MODES: Final = {"stdin": "r", "stdout": "w", "stderr": "w"}


def open_missing_streams() -> None:
    """Let standard streams that are closed lead to nowhere.

    The next files to be opened would get their numbers: libuv aborts on that, and what is printed
    would end up in them. Python has None in the place of such a stream.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < len(_MODES):
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, (name, mode) in enumerate(_MODES.items()):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
