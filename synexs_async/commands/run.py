"""The main job: run missions. Its options are made from `RunConfig`."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from argparse import (
    Action,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Callable, Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from synexs_async.cli import COMMAND, COMMANDS, Parser
from synexs_async.commands.mission_options import add_parameter_options, read_parameters
from synexs_async.config import OPTIONS, LogLevel, RunConfig
from synexs_async.errors import RunFailed, StorageFailed, UsageError, leaves_of

if TYPE_CHECKING:
    from anyio import CancelScope

    from synexs_async.missions.mission import Mission
    from synexs_async.runner import LiveRun, RunReport

_QUICK_MISSIONS: Final = 10
_GYM: Final = ("policy", "max_steps", "record_steps")  # options named as their parameters are
_EXAMPLES: Final = f"""\
examples:
  {COMMAND} --missions 1000               run 1,000 missions into ./training_logs
  {COMMAND} --missions 1000               the same again: goes on where it was interrupted
  {COMMAND} --missions 2000               extends that run
  {COMMAND} --seed 7 --output runs/seven  other episodes, in another folder
  {COMMAND} scenario > mine.toml          print the built-in scenario: a file to start from
  {COMMAND} --scenario mine.toml --output runs/mine
  {COMMAND} --mission dice.py:dice --param sides=8 --output runs/dice
  {COMMAND} --mission gym:CartPole-v1 --policy random --output runs/cartpole
  {COMMAND} tail -f                        follow its log from another terminal

exit codes:
  0 complete, 1 failed (what was committed is kept), 2 refused (nothing was changed),
  129, 130, 143 interrupted by SIGHUP, SIGINT, SIGTERM (the same command goes on)
"""


def main(arguments: Sequence[str]) -> int:
    """Run missions, or refuse to, and return the exit code."""
    return _run(_parser().parse_args(arguments), arguments)


def _parser() -> Parser:
    parser = Parser(
        prog=COMMAND,
        usage=f"{COMMAND} [options]\n       {COMMAND} COMMAND [options]",
        description="Run deterministic missions and leave a training data set in a folder.",
        epilog=_commands() + _EXAMPLES,
        formatter_class=lambda prog: RawDescriptionHelpFormatter(prog, max_help_position=30),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show it, and exit")
    parser.add_argument(
        "--quick", action="store_true", help=f"run {_QUICK_MISSIONS} missions, to try it out"
    )
    for option in OPTIONS:
        name = option.name.replace("_", "-")
        settings: dict[str, Any] = {"dest": option.name, "help": option.metadata["help"]}
        if option.type is bool:
            parser.add_argument(f"--no-{name}", action="store_false", **settings)
            continue
        settings["default"] = None  # left out, RunConfig's own default holds
        if option.default is not None:
            settings["help"] += f" (default: {option.default})"
        if get_origin(option.type) is Literal:
            settings["choices"] = get_args(option.type)
        else:
            kind = get_args(option.type)[0] if isinstance(option.type, UnionType) else option.type
            settings |= {"type": _CONVERTERS[kind], "metavar": _METAVARS[kind]}
        parser.add_argument(f"--{name}", **settings)
    parser.add_argument(
        "--mission",
        metavar="NAME",
        help="the mission kind: a name, module:object, FILE.py:object or gym:ENVIRONMENT "
        "(default: team)",
    )
    add_parameter_options(parser)
    parser.add_argument(
        "--scenario", type=Path, metavar="FILE", help="the team mission's parameters, as TOML"
    )
    gym = parser.add_argument_group("gymnasium missions", "for --mission gym:ENVIRONMENT")
    gym.add_argument(
        "--policy",
        metavar="NAME",
        help="who acts: random, module:function or FILE.py:function (default: random)",
    )
    gym.add_argument(
        "--max-steps",
        type=_CONVERTERS[int],
        metavar="N",
        help="end an episode after so many steps",
    )
    gym.add_argument(
        "--record-steps",
        action="store_true",
        default=None,
        help="record each observation, action and reward in the journal",
    )
    parser.add_argument(
        "--console-level",
        choices=get_args(LogLevel),
        default="INFO",
        help="least level on the console (default: INFO)",
    )
    parser.add_argument("--no-uvloop", action="store_true", help="use asyncio's own event loop")
    return parser


def _commands() -> str:
    listed = "".join(f"  {name:<10}{what}\n" for name, what in COMMANDS.items())
    return f"commands (each has its own --help):\n{listed}\n"


class _ShowVersion(Action):
    """Looks the version up when it is asked for: other starts need not wait for that."""

    def __call__(self, parser: ArgumentParser, *given: object) -> None:
        """Print it."""
        print(f"synexs_async {_version()}")
        parser.exit()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("synexs_async")
    except PackageNotFoundError:
        return "(not installed)"


def _number(kind: type[int | float], expected: str) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            return kind(text)
        except ValueError:
            raise ArgumentTypeError(f"expected {expected}, not {text!r}") from None

    return convert


_CONVERTERS: Final[dict[Any, Callable[[str], Any]]] = {
    int: _number(int, "a whole number"),
    float: _number(float, "a number"),
    Path: Path,
    str: str,
}
_METAVARS: Final[dict[Any, str]] = {int: "N", float: "SECONDS", Path: "DIR", str: "ID"}


def _config(options: Namespace) -> RunConfig:
    given = {
        option.name: getattr(options, option.name)
        for option in OPTIONS
        if getattr(options, option.name) is not None
    }
    if options.quick:
        if "missions" in given:
            raise UsageError("--quick: runs 10 missions; leave it out to give --missions")
        given["missions"] = _QUICK_MISSIONS
    RunConfig(**given)  # says what is wrong with the options before anything is read
    given["mission"] = _mission(options)
    return RunConfig(**given)


def _mission(options: Namespace) -> Mission:
    """Find the mission kind, and give it its parameters."""
    from synexs_async.missions.loading import GYM, load_mission

    gym = {name: value for name in _GYM if (value := getattr(options, name)) is not None}
    if gym and not (options.mission or "").startswith(GYM):
        option = f"--{next(iter(gym)).replace('_', '-')}"
        problem = "is for gymnasium missions alone (--mission gym:ENVIRONMENT); leave it out"
        raise UsageError(f"{option}: {problem}")
    if options.scenario is not None:
        if options.mission or options.param or options.params:
            problem = "is for the team mission alone; leave the other mission's options out"
            raise UsageError(f"--scenario: {problem}")
        from synexs_async.missions.scenario import load_scenario
        from synexs_async.missions.team_block import TeamMission

        return TeamMission(load_scenario(options.scenario))
    tables, source = read_parameters(options)
    if gym:
        tables = {**(tables or {}), **gym}
    return load_mission(options.mission or "team", tables, source)


def _run(options: Namespace, arguments: Sequence[str]) -> int:
    config = _config(options)

    import anyio

    again = [argument for argument in arguments if argument != "--no-resume"]
    running = _Running(config, options.console_level, shlex.join([*COMMAND.split(), *again]))
    backend = {"use_uvloop": not options.no_uvloop and sys.platform != "win32"}
    code = anyio.run(running.run, backend_options=backend)
    if running.console_hangs or running.report_abandoned:
        os._exit(code)  # a terminal, or a disk, that takes nothing would keep us from ending
    return code


class _Running:
    """One run under the command line: it ends with an exit code."""

    def __init__(self, config: RunConfig, console_level: str, go_on: str) -> None:
        self._config = config
        self._console_level = console_level
        self._go_on = go_on
        self._live: LiveRun | None = None
        self._signal = 0
        self._gave_up = False
        self._reporting: CancelScope | None = None
        self.console_hangs = False
        self.report_abandoned = False

    async def run(self) -> int:
        import anyio

        from synexs_async.console import Console
        from synexs_async.tasks.signals import watch_signals

        self._console = Console(self._console_level)
        try:
            with watch_signals(self._stop, self._give_up):
                async with self._console.shown():
                    code: int | None = None
                    with anyio.CancelScope() as self._starting:
                        code = await self._run_to_the_end()
        except* UsageError as group:
            raise next(leaves_of(group)) from None
        self.console_hangs = self._console.hangs
        return 128 + self._signal if code is None else code

    async def _run_to_the_end(self) -> int | None:
        """Run, and return the exit code; None where a signal says which."""
        from synexs_async.runner import open_run

        try:
            async with open_run(self._config) as self._live:
                self._console.watch(self._live)
        except RunFailed as error:
            problem = f"{error}. What was committed is kept; go on with: {self._go_on}"
            self._console.complain(problem)
            await self._report()
            return 1
        self._summarise(self._live.report)
        await self._report()
        return 0 if self._live.report.status == "completed" else None

    async def _report(self) -> None:
        """Write the report of what was done; one that can't be written changes nothing."""
        import anyio.to_thread

        if self._live is None or self._live.report.seconds == 0 or self._gave_up:
            return
        with anyio.CancelScope() as self._reporting:
            try:
                page = await anyio.to_thread.run_sync(self._write_report, abandon_on_cancel=True)
                self._console.say(f"  report    {page}")
            except OSError as error:
                self._console.say(f"  no report: {StorageFailed(error)}")
            except Exception as error:  # a kind's own code says what it expects of its outcomes
                self._console.say(f"  no report: {type(error).__name__}: {error}")
        self.report_abandoned = self._reporting.cancelled_caught

    def _write_report(self) -> Path:
        from synexs_async.report.writing import write_report

        return write_report(self._config.output, self._config.resolve_mission())

    def _stop(self, number: int) -> None:
        self._signal = number
        self._console.say(f"{signal.Signals(number).name}: writing what is done ...")
        if self._live is None:
            self._starting.cancel()
        else:
            self._live.stop()
            self._give_up_report()

    def _give_up(self) -> None:
        if self._live is None or self._gave_up:
            os._exit(128 + self._signal)  # nothing to lose yet, or no more than by a kill
        self._gave_up = True
        self._live.give_up()
        self._give_up_report()

    def _give_up_report(self) -> None:
        if self._reporting is not None:
            self._reporting.cancel()

    def _summarise(self, report: RunReport) -> None:
        say = self._console.say
        if report.archived:
            say(f"the earlier run was moved to {report.archived}")
        if report.status == "completed" and not report.new_missions and report.seconds == 0:
            say(f"already complete: {report.missions:,} missions; nothing to do")
        elif report.status == "completed":
            say(f"complete: {report.missions:,} missions; {_speed(report)}")
        else:
            say(f"stopped after {report.missions:,} of {report.total:,} missions; {_speed(report)}")
        counts = report.outcomes.by_outcome().items()
        listed = (f"{name} {n:,} ({n / max(report.missions, 1):.1%})" for name, n in counts)
        say(f"  outcomes  {', '.join(listed)}")
        say(f"  data      {report.output}")
        if report.dataset_sha256:
            say(f"  digest    {report.dataset_sha256}")
        else:
            say(f"  nothing is lost; go on with: {self._go_on}")


def _speed(report: RunReport) -> str:
    rate = report.new_missions / report.seconds if report.seconds else 0.0
    return f"{report.new_missions:,} new ones in {report.seconds:.1f} s, {rate:,.0f} a second"
