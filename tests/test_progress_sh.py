"""The shell monitor, run as its users run it: on real folders, pipes, terminals and processes."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "progress.sh"
PATIENCE = 60.0
ESCAPE = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PLAIN: Mapping[str, str] = {}
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def state(**changes: Any) -> dict[str, Any]:
    """What a runner writes half-way through a run, by default one of this very process."""
    return {
        "timestamp": "2026-01-31T23:59:59.123+00:00",
        "status": "running",
        "mission_current": 500,
        "mission_total": 1000,
        "progress_percent": 50.0,
        "elapsed_seconds": 3723.3,
        "rate_missions_per_sec": 40.6,
        "eta_seconds": 125.3,
        "stats": {"success_count": 280, "failure_count": 190, "abort_count": 29, "error_count": 1},
        "seed": 7,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "checkpoint_missions": 480,
        "batches_written": 15,
        "loop_lag_ms": 0.4,
        "rss_bytes": 100000000,
        **changes,
    }


def report(folder: Path, text: str | None = None, *, age: float = 0, **changes: Any) -> Path:
    """Put a progress.json in place as the runner does, by rename, as old as wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / "progress.json.tmp"
    fresh.write_text(json.dumps(state(**changes)) if text is None else text)
    if age:
        os.utime(fresh, (time.time() - age, time.time() - age))
    fresh.rename(folder / "progress.json")
    return folder


def environment(changes: Mapping[str, str] = PLAIN) -> dict[str, str]:
    """Ours, but for what the monitor looks at."""
    inherited = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    return {**inherited, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **changes}


def run(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] = PLAIN
) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of the monitor, run to its end."""
    done = subprocess.run(
        [SCRIPT, *arguments],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def once(folder: Path, env: Mapping[str, str] = PLAIN) -> tuple[int, str]:
    """The exit code and the text of `--once`, where nothing may be said on stderr."""
    code, out, err = run(folder, "--once", env=env)
    assert "" == err
    return code, out


def shown(text: str) -> dict[str, str]:
    """The lines of a block that are a name and a value."""
    lines = (line.split(None, 1) for line in text.splitlines()[1:])
    return {line[0]: " ".join(line[1].split()) for line in lines if len(line) == 2}


def dead_pid() -> int:
    """The id of a process that was there and is no more."""
    process = subprocess.Popen(["true"])
    process.wait(timeout=PATIENCE)
    return process.pid


@contextmanager
def bounded(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kill what outlives our patience, so that a read from it ends; leave nothing behind."""
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()
        watchdog.join()
        process.kill()
        process.wait()


@contextmanager
def piped(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The monitor, following, with its output in a pipe."""
    command = [SCRIPT, "--interval", "0.05", *arguments]
    with (
        subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process,
        bounded(process),
    ):
        yield process


class Terminal:
    """The monitor on a pseudo-terminal of its own."""

    def __init__(self, *arguments: str | Path, columns: int, env: Mapping[str, str]) -> None:
        self.master, slave = pty.openpty()
        self.resize(columns)
        self.text = ""
        # A session without a terminal gets the first that it opens, and Ctrl-C with it.
        adopt = ["sh", "-c", ': <>"$0" && exec "$@"', os.ttyname(slave)]
        self.process = subprocess.Popen(
            [*adopt, SCRIPT, *arguments],
            env=environment(env),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def resize(self, columns: int) -> None:
        """Give it another width."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def press(self, key: bytes) -> None:
        """Type a key."""
        os.write(self.master, key)

    def read_until(self, wanted: str) -> str:
        """All that has come up to `wanted` and a little more; it is gone from the next read."""
        while wanted not in self.text:
            assert self._read(), f"{wanted!r} did not come, but {self.text!r}"
        text, self.text = self.text, ""
        return text

    def read_to_end(self) -> str:
        """All that comes until the monitor closes the terminal."""
        while self._read():
            pass
        return self.text

    def _read(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], PATIENCE)
        try:
            data = os.read(self.master, 65536) if ready else b""
        except OSError:  # how Linux says that the other side has closed
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)


@contextmanager
def on_terminal(
    *arguments: str | Path, columns: int = 80, env: Mapping[str, str] = PLAIN
) -> Iterator[Terminal]:
    """The monitor, following, on a terminal of the given width."""
    terminal = Terminal(*arguments, columns=columns, env=env)
    try:
        with bounded(terminal.process):
            yield terminal
    finally:
        os.close(terminal.master)


# What is shown


def test_once_shows_counts_shares_and_speed(tmp_path: Path) -> None:
    """Everything that a run reports stands in one block, in numbers that a person can read."""
    _, out = once(report(tmp_path))
    assert str(tmp_path) == out.splitlines()[0]
    assert {
        "status": "running",
        "done": "50.0%",
        "missions": "500/1,000",
        "success": "280 56.0%",
        "failure": "190 38.0%",
        "aborted": "29 5.8%",
        "error": "1 0.2%",
        "rate": "40.6/s",
        "elapsed": "1h 02m 03s",
        "ETA": "2m 05s",
        "checkpoint": "480",
    } == shown(out)


def test_large_numbers_have_separators(tmp_path: Path) -> None:
    """Millions of missions stay readable and exact."""
    stats = {"success_count": 1234567, "failure_count": 0, "abort_count": 0, "error_count": 0}
    _, out = once(
        report(
            tmp_path,
            mission_current=1234567,
            mission_total=12345678901,
            rate_missions_per_sec=45123.4,
            stats=stats,
        )
    )
    fields = shown(out)
    assert "1,234,567/12,345,678,901" == fields["missions"]
    assert "1,234,567 100.0%" == fields["success"]
    assert "45,123/s" == fields["rate"]


def test_a_nearly_finished_run_is_not_rounded_up(tmp_path: Path) -> None:
    """100% means that every mission is done."""
    _, out = once(report(tmp_path, mission_current=999_999, mission_total=1_000_000))
    assert "99.9%" == shown(out)["done"]


def test_an_empty_run_divides_nothing(tmp_path: Path) -> None:
    """A run without missions, or before its first one, is shown with zeros."""
    stats = {"success_count": 0, "failure_count": 0, "abort_count": 0, "error_count": 0}
    _, out = once(report(tmp_path, mission_current=0, mission_total=0, stats=stats))
    assert ("0.0%", "0 0.0%") == (shown(out)["done"], shown(out)["success"])


def test_unknown_eta_is_a_dash(tmp_path: Path) -> None:
    """Where the runner knows no ETA, none is made up."""
    _, out = once(report(tmp_path, eta_seconds=None))
    assert "-" == shown(out)["ETA"]


@pytest.mark.parametrize(("locale", "bar"), [("C.UTF-8", "█░"), ("C", "#-")])
def test_bar_suits_the_locale(tmp_path: Path, locale: str, bar: str) -> None:
    """Block characters appear only where the locale can show them."""
    _, out = once(report(tmp_path), {"LC_ALL": locale})
    assert bar[0] * 30 + bar[1] * 30 == out.splitlines()[1]


def test_a_locale_that_is_not_installed_is_no_nuisance(tmp_path: Path) -> None:
    """Bash complains of it once when it starts, the monitor itself does not."""
    code, out, err = run(report(tmp_path), "--once", env={"LC_ALL": "xx_XX.UTF-8"})
    assert (3, "#" * 30 + "-" * 30) == (code, out.splitlines()[1])
    assert "progress.sh" not in err


# How a report may be written


def test_layout_and_order_of_the_json_do_not_matter(tmp_path: Path) -> None:
    """Any JSON writer will do: compact, pretty-printed, sorted, with CRLF, with other keys."""
    texts = [
        json.dumps(state(), separators=(",", ":")),
        json.dumps(state(), indent=4, sort_keys=True),
        json.dumps(dict(reversed(state().items())), indent="\t").replace("\n", "\r\n"),
        json.dumps(state(), separators=(" , ", " :\n")),
        json.dumps({"new": {"status": "failed", "pid": 1, "a": [{"pid": 2}, []]}, **state()}),
        json.dumps(state(note='} ] , "status": "failed" \\" é', more=[True, None, -1.5e-3, {}])),
    ]
    blocks = [once(report(tmp_path, text)) for text in texts]
    assert [blocks[0]] * len(texts) == blocks
    assert 3 == blocks[0][0]


def test_reports_of_earlier_runners_are_understood(tmp_path: Path) -> None:
    """Without pid, host, error count and checkpoint the rest is shown all the same."""
    old = state(stats={"success_count": 300, "failure_count": 150, "abort_count": 50})
    for key in ("pid", "host", "checkpoint_missions"):
        del old[key]
    code, out = once(report(tmp_path, json.dumps(old)))
    fields = shown(out)
    assert (3, "60.0%", "0 0.0%") == (code, fields["success"].split()[1], fields["error"])
    assert "-" == fields["checkpoint"]


@pytest.mark.parametrize("text", ["", "\n", "null", "{", "\0" * 200, "\x01{{", "[1, 2]", "{}"])
def test_a_broken_report_is_no_report(tmp_path: Path, text: str) -> None:
    """An empty or spoilt file is never a crash: it counts as not there yet."""
    code, out = once(report(tmp_path, text))
    assert 7 == code
    assert "no run yet: its progress.json cannot be read yet" == out.splitlines()[1]


def test_a_half_written_report_is_no_report(tmp_path: Path) -> None:
    """Wherever a file was cut off, no half of it is believed."""
    whole = json.dumps(state())
    assert {7} == {
        once(report(tmp_path, whole[:cut]))[0]
        for cut in [*range(1, len(whole), 40), len(whole) - 1]
    }


# Exit codes


@pytest.mark.parametrize(
    ("status", "expected"), [("completed", 0), ("running", 3), ("interrupted", 4), ("failed", 5)]
)
def test_exit_code_tells_the_status(tmp_path: Path, status: str, expected: int) -> None:
    """A script can branch on how the run stands."""
    code, out = once(report(tmp_path, status=status))
    assert (expected, status) == (code, shown(out)["status"])


def test_exit_code_tells_that_there_is_no_run(tmp_path: Path) -> None:
    """No folder and no file both mean that there is no run yet."""
    code, out = once(tmp_path / "none")
    assert (7, "no run yet: there is no such folder") == (code, out.splitlines()[1])
    code, out = once(tmp_path)
    assert (7, "no run yet: there is no progress.json in the folder") == (code, out.splitlines()[1])


def test_a_finished_run_is_never_stalled(tmp_path: Path) -> None:
    """An old report of a run that ended well stays what it was."""
    assert 0 == once(report(tmp_path, status="completed", pid=dead_pid(), age=1000))[0]


# Stalled runs


def test_a_silent_run_is_stalled(tmp_path: Path) -> None:
    """More than 10 s without a report is said, with its time and with what to do."""
    code, out = once(report(tmp_path, age=125.5))
    assert 6 == code
    assert ("STALLED", "-") == (shown(out)["status"], shown(out)["ETA"])
    assert re.search(rf"(?m)^process {os.getpid()} is there, but no report for 2m [0-5]\ds$", out)
    assert f"stop process {os.getpid()} and start the same command again: it resumes" in out


def test_a_short_silence_is_not_a_stall(tmp_path: Path) -> None:
    """A slow disk is not taken for a dead run."""
    assert 3 == once(report(tmp_path, age=1))[0]


def test_a_run_whose_process_is_gone_is_stalled(tmp_path: Path) -> None:
    """A killed run is noticed at once, however fresh its last report."""
    pid = dead_pid()
    code, out = once(report(tmp_path, pid=pid))
    assert 6 == code
    assert re.search(rf"(?m)^process {pid} is gone, no report for \d+s$", out)
    assert "to go on, start the same command again: it resumes" in out


def test_the_process_of_another_host_is_not_looked_for_here(tmp_path: Path) -> None:
    """On a shared disk, a run on another machine is judged by its reports only."""
    assert 3 == once(report(tmp_path, pid=dead_pid(), host="elsewhere"))[0]
    code, out = once(report(tmp_path, host="elsewhere", age=60))
    assert (6, False) == (code, str(os.getpid()) in out)


def test_a_pid_without_a_host_is_looked_for_here(tmp_path: Path) -> None:
    """A runner that does not name its host is taken to be on this one."""
    assert 6 == once(report(tmp_path, pid=dead_pid(), host=None))[0]


def test_a_process_of_another_user_is_alive(tmp_path: Path) -> None:
    """Not being allowed to signal a process does not make it dead."""
    assert 3 == once(report(tmp_path, pid=1))[0]


# Following in a pipe


def test_waits_for_the_run_follows_it_and_ends_with_it(tmp_path: Path) -> None:
    """The monitor may be started first; it says a line per change and ends by itself."""
    folder = tmp_path / "later"
    with piped(folder) as monitor:
        assert monitor.stdout
        lines = iter(monitor.stdout.readline, "")
        assert "waiting for the run: there is no such folder\n" == next(lines)
        folder.mkdir()
        assert "waiting for the run: there is no progress.json in the folder\n" == next(lines)
        report(folder)
        assert (
            "status running; done 50.0%; missions 500/1,000; success 280 56.0%; "
            "failure 190 38.0%; aborted 29 5.8%; error 1 0.2%; rate 40.6/s; "
            "elapsed 1h 02m 03s; ETA 2m 05s; checkpoint 480\n"
        ) == next(lines)
        report(folder, "{")
        assert "waiting for the run: its progress.json cannot be read yet\n" == next(lines)
        report(folder, status="completed", mission_current=1000)
        assert next(lines).startswith("status completed; done 100.0%; missions 1,000/1,000; ")
        assert [] == list(lines)
        assert 0 == monitor.wait(PATIENCE)


@pytest.mark.parametrize(("status", "expected"), [("interrupted", 4), ("failed", 5)])
def test_ends_with_the_code_of_the_run(tmp_path: Path, status: str, expected: int) -> None:
    """A run that ends badly ends its monitor too, with a code that says so."""
    with piped(report(tmp_path)) as monitor:
        assert monitor.stdout
        assert monitor.stdout.readline().startswith("status running; ")
        report(tmp_path, status=status)
        assert monitor.stdout.readline().startswith(f"status {status}; ")
        assert expected == monitor.wait(PATIENCE)


def test_goes_on_watching_a_stalled_run(tmp_path: Path) -> None:
    """A run that is killed and resumed under the monitor's eyes comes alive again in it."""
    with subprocess.Popen(["sleep", "60"]) as runner, piped(tmp_path) as monitor:
        assert monitor.stdout
        assert monitor.stdout.readline().startswith("waiting")
        report(tmp_path, pid=runner.pid)
        assert monitor.stdout.readline().startswith("status running; ")
        runner.kill()
        runner.wait(PATIENCE)
        stalled = f"status STALLED; process {runner.pid} is gone, no report for "
        assert monitor.stdout.readline().startswith(stalled)
        report(tmp_path)
        assert monitor.stdout.readline().startswith("status running; ")


def test_nothing_but_text_goes_into_a_pipe(tmp_path: Path) -> None:
    """What is piped can be stored and searched: no colours, no cursor movement."""
    with piped(report(tmp_path, status="completed")) as monitor:
        assert monitor.stdout
        assert "\x1b" not in monitor.stdout.read() + once(tmp_path)[1]


# On a terminal


def test_a_terminal_has_colours_and_a_frame_redrawn_in_place(tmp_path: Path) -> None:
    """Each frame covers the one before, with the cursor hidden until the end."""
    with on_terminal(report(tmp_path), "--interval=0.05") as terminal:
        first = terminal.read_until("\x1b[J")
        height = first.count("\n")
        assert COLOUR.search(first)
        assert HIDE_CURSOR in first
        second = terminal.read_until("\x1b[J")
        assert f"\x1b[{height}A" in second
        report(tmp_path, status="completed")
        rest = terminal.read_to_end()
        assert 0 == terminal.process.wait(PATIENCE)
        assert rest.endswith(SHOW_CURSOR)
        assert "completed" in rest[rest.rindex(HIDE_CURSOR) :]


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_turned_off(tmp_path: Path, variables: dict[str, str]) -> None:
    """NO_COLOR and a dumb terminal are respected."""
    with on_terminal(report(tmp_path, status="completed"), env=variables) as terminal:
        text = terminal.read_to_end()
        assert "completed" in text
        assert not COLOUR.search(text)
        assert ("TERM" not in variables) == bool(ESCAPE.search(text))


def test_an_empty_no_color_means_nothing(tmp_path: Path) -> None:
    """As the convention has it, NO_COLOR counts only when it is not empty."""
    with on_terminal(report(tmp_path), "--once", env={"NO_COLOR": ""}) as terminal:
        assert COLOUR.search(terminal.read_to_end())


def test_once_on_a_terminal_moves_no_cursor(tmp_path: Path) -> None:
    """With --once the block is just printed, in colours."""
    with on_terminal(report(tmp_path), "--once") as terminal:
        text = terminal.read_to_end()
        assert 3 == terminal.process.wait(PATIENCE)
        assert not ESCAPE.search(COLOUR.sub("", text))


@pytest.mark.parametrize("columns", [80, 30, 12, 3])
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, columns: int) -> None:
    """Nothing wraps, however narrow the terminal and long the name of the folder."""
    folder = report(tmp_path / ("a long name " * 10), age=3600)
    with on_terminal(folder, columns=columns) as terminal:
        frame = terminal.read_until("\x1b[J")
        widths = [len(ESCAPE.sub("", line).strip("\r")) for line in frame.split("\n")]
        assert max(widths) < columns
        assert len(widths) > 10


def test_advice_is_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    """Sentences are folded between words, not cut."""
    with on_terminal(report(tmp_path, pid=dead_pid()), columns=30) as terminal:
        words = ESCAPE.sub("", terminal.read_until("\x1b[J")).split()
        assert "to go on, start the same command again: it resumes" in " ".join(words)


def test_the_frame_follows_the_size_of_the_terminal(tmp_path: Path) -> None:
    """After a resize the frame fits: at once, or with old shells at the next look at the latest."""
    with on_terminal(report(tmp_path), "--interval", "3", columns=50) as terminal:
        assert 49 == len(re.findall("[█░]", terminal.read_until("\x1b[J")))
        terminal.resize(20)
        assert 19 == len(re.findall("[█░]", terminal.read_until("\x1b[J")))


def test_ctrl_c_gives_the_cursor_back(tmp_path: Path) -> None:
    """Ctrl-C ends the monitor at once with 130 and a terminal as it was before."""
    with on_terminal(report(tmp_path), "--interval", "600") as terminal:
        assert HIDE_CURSOR in terminal.read_until("\x1b[J")
        terminal.press(b"\x03")
        assert terminal.read_to_end().endswith(SHOW_CURSOR)
        assert 130 == terminal.process.wait(PATIENCE)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_gives_the_cursor_back(tmp_path: Path, signum: signal.Signals, code: int) -> None:
    """So does an end from outside."""
    with on_terminal(report(tmp_path), "--interval", "600") as terminal:
        assert HIDE_CURSOR in terminal.read_until("\x1b[J")
        terminal.process.send_signal(signum)
        assert terminal.read_to_end().endswith(SHOW_CURSOR)
        assert code == terminal.process.wait(PATIENCE)


# How it is called


@pytest.mark.parametrize("name", ["with blanks", "it's", 'a "b"', "ünï-行", "$HOME*", "a\\nb=c"])
def test_any_folder_name_works(tmp_path: Path, name: str) -> None:
    """Blanks, quotes, unicode and what a shell might expand are nothing special."""
    code, out = once(report(tmp_path / name))
    assert (3, str(tmp_path / name)) == (code, out.splitlines()[0])


def test_a_folder_may_begin_with_a_dash(tmp_path: Path) -> None:
    """After -- everything is a folder."""
    report(tmp_path / "--once")
    code, out, err = run("--once", "--", "--once", cwd=tmp_path)
    assert (3, "--once", "") == (code, out.splitlines()[0], err)


def test_the_folder_may_be_left_out(tmp_path: Path) -> None:
    """Without a folder it is the one that the runner writes to by default."""
    report(tmp_path / "training_logs", status="completed")
    code, out, _ = run(cwd=tmp_path)
    assert (0, True) == (code, out.startswith("status completed; "))


def test_options_may_stand_anywhere(tmp_path: Path) -> None:
    """Order does not matter, and --interval takes its value either way."""
    report(tmp_path)
    assert 3 == run("--interval", "0.5", tmp_path, "--once")[0]
    assert 3 == run("--once", "--interval=2", tmp_path)[0]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--frob"], "unknown option '--frob'"),
        (["-x"], "unknown option '-x'"),
        (["a", "b"], "two folders, 'a' and 'b': give one"),
        (["--", "a", "b"], "two folders, 'a' and 'b': give one"),
        ([""], "the name of the folder is empty: give one, or leave it out"),
        (["--interval"], "--interval needs a number of seconds, such as 0.5"),
        *(
            (
                ["--interval", wrong],
                f"--interval takes a positive number of seconds, such as 0.5, not '{wrong}'",
            )
            for wrong in ("0", "0.0", "-1", "soon", "1s", "1.2.3", ".", "")
        ),
        (["file"], "'file' is a file: give the folder of a run"),
    ],
)
def test_wrong_usage_is_named_in_one_line(
    tmp_path: Path, arguments: list[str], problem: str
) -> None:
    """One line on stderr says what is wrong and how to mend it; the code is 2."""
    (tmp_path / "file").touch()
    expected = (2, "", f"progress.sh: {problem} (see progress.sh --help)\n")
    assert expected == run(*arguments, cwd=tmp_path)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_options_and_exit_codes(option: str) -> None:
    """The help is complete: every option, every exit code."""
    code, out, err = run("nowhere", option)
    assert (0, "") == (code, err)
    assert "usage: progress.sh [DIR] [--once] [--interval S]" == out.splitlines()[0]
    codes = out.partition("exit codes:")[2]
    assert {"0", "2", "3", "4", "5", "6", "7", "129", "130", "143"} == set(
        re.findall(r"\b\d+\b", codes)
    )


def test_shellcheck_has_no_complaint() -> None:
    """The script is clean, with no check turned off."""
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stdout)
    assert "shellcheck disable" not in SCRIPT.read_text()
