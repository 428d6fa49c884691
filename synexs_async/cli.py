"""The command line: which command is asked for, what it refuses in one line, exit codes.

What only one command needs is imported when it is asked for: everybody waits for what `--help`
imports.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Final, NoReturn

from synexs_async.errors import ConfigError, RunFailed, UsageError
from synexs_async.standard_streams import open_missing_streams

COMMAND: Final = "python -m synexs_async"
COMMANDS: Final = {
    "tail": "print the end of a run's log, or its last missions, and follow them",
    "verify": "check a run's folder, and mend it",
    "replay": "simulate one mission, and print it step by step",
    "digest": "print the digest of a complete data set",
    "missions": "list the mission kinds that are there",
    "doctor": "find out whether a mission of one's own is reproducible",
    "scenario": "print the built-in scenario",
    "export": "write a run's records as Parquet, or as a Minari data set",
    "watch": "show how runs stand, live, in the terminal",
    "dashboard": "show runs in a browser",
    "report": "write a run's figures as a page to look at",
}
_MAIN_JOB: Final = "run"
_NICENESS: Final = 19


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    open_missing_streams()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # paths need not be text that it knows
    if "" not in sys.path:
        sys.path.append("")  # a mission in the current folder, under the installed script too
    name = _MAIN_JOB
    if arguments and arguments[0] in COMMANDS:
        name, *arguments = arguments
    try:
        code: int = import_module(f"synexs_async.commands.{name}").main(arguments)
        sys.stdout.flush()
    except ConfigError as error:
        reason = f"expected {error.expected}, not {error.value!r}"
        return _refuse(f"--{error.option.replace('_', '-')}: {reason}")
    except UsageError as error:
        return _refuse(str(error))
    except RunFailed as error:
        _complain(str(error))
        return 1
    except KeyboardInterrupt:  # of a command that has nothing to finish in order
        return 130
    except BrokenPipeError:  # nobody reads on, as behind `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


class Parser(ArgumentParser):
    """Refuses in one line."""

    def error(self, message: str) -> NoReturn:
        """End with what is wrong."""
        sys.exit(_refuse(f"{message.removeprefix('argument ')} (see --help)"))


def command_parser(name: str, description: str, *examples: str) -> Parser:
    """Return the parser of a command."""
    return Parser(
        prog=f"{COMMAND} {name}",
        description=description,
        epilog="\n  ".join(("examples:", *examples)),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def give_way() -> None:
    """Let runs have the cores first: this process only looks on."""
    os.nice(_NICENESS)


def _refuse(problem: str) -> int:
    _complain(problem)
    return 2


def _complain(problem: str) -> None:
    print(f"synexs_async: error: {problem}", file=sys.stderr)
