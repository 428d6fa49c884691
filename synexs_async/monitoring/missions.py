"""A run's journal, record by record: the last records, and those that are written from now on.

Records are read as JSON, whatever kind of mission they are of: none of its code is needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from synexs_async.errors import ConfigError, FolderError, JournalDamaged
from synexs_async.monitoring.following import follow
from synexs_async.monitoring.growing import GrowingFile
from synexs_async.storage.folder import MISSIONS_PER_FILE, Identity, RunFolder, read_run_file
from synexs_async.storage.progress import OutcomeCounts, Progress, read_progress

OUTCOMES: Final = ("success", "failure", "aborted", "error")
_A_LOOK: Final = 256  # records
