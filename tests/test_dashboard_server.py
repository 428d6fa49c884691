"""The dashboard as a process of its own: how it starts, what it withstands, how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep

import httpx
import msgspec
import pytest
from conftest import ROOT, Command
from monitored import make_run
from served import Served, served

PATIENCE = 60


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a run."""
    root = tmp_path_factory.mktemp("runs")
    make_run(root / "whole")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Served]:
    """Give a server."""
    with served(root) as server:
        yield server


def test_it_says_where_it_is(server: Served, root: Path) -> None:
    """One line with its address, where it answers at once."""
    assert f"dashboard of {root}: {server.address}/  (Ctrl-C ends it)\n" == server.said
    assert "whole" == httpx.get(f"{server.address}/api/runs").json()["runs"][0]["name"]


@pytest.mark.parametrize(
    "target",
    [
        "/../../../../etc/passwd",
        "/static/../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/serving.py",
        "/static/..%2fserving.py",
        "/api/runs/..%2f..%2fetc/log",
        "/api/runs/whole/missions/..%2f0",
        "//etc/passwd",
        "/static/\\..\\serving.py",
    ],
)
def test_no_address_leads_out(server: Served, target: str) -> None:
    """As it goes over the wire, before any client tidies it up."""
    request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))


def test_a_name_that_was_made_to_lead_here_is_refused(server: Served) -> None:
    """Another site's page can't read it through its own name."""
    answer = httpx.get(f"{server.address}/api/runs", headers={"Host": "evil.example:8765"})
    assert 421 == answer.status_code


def test_who_never_gets_to_the_point_is_dropped(root: Path) -> None:
    """Who says nothing, who stops in the middle, and who does so after a whole request."""
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with impatient(root) as port, ExitStack() as opened:

        def sent(data: bytes) -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
            connection.sendall(data)
            return opened.enter_context(connection)

        second = sent(request)
        with second.makefile("rb") as answer:
            assert b'{"status":"ok"}\n' in iter(answer.readline, b"")
        second.sendall(request[:1])
        for connection in (second, sent(b""), sent(request[:8])):
            assert b"" == connection.recv(65536)


@pytest.mark.skipif(sys.platform != "linux", reason="not every system drops them")
def test_who_takes_nothing_in_is_dropped(tmp_path: Path) -> None:
    """Also when all of the answer was written, and waits in the server's memory."""
    folder = make_run(tmp_path / "whole")
    line = {"mission_number": 0, "status": "success", "blob": "x" * 16_000_000}
    (folder.missions / "mission_000000000.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")
    with impatient(tmp_path) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /api/runs/whole/missions/0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        there = f":{port:04X} 0100007F:{connection.getsockname()[1]:04X} "
        deadline = monotonic() + PATIENCE
        while there in Path("/proc/net/tcp").read_text("ascii"):  # the client is not told
            assert monotonic() < deadline
            sleep(0.05)


@contextmanager
def impatient(root: Path) -> Iterator[int]:
    """Serve runs without much patience; give the port."""
    program = (
        "import sys; from synexs_async.dashboard.serving import listen, serve\n"
        "listener = listen('127.0.0.1', 0, None, patience=0.5)\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "serve(sys.argv[1], listener, None, patience=0.3)\n"
    )
    command = [sys.executable, "-c", program, str(root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def test_endless_requests_are_given_up(server: Served) -> None:
    """A head without an end takes a bounded amount of memory."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 200_000)
        connection.settimeout(10)
        try:
            assert connection.recv(65536).startswith(b"HTTP/1.1 400")
        except ConnectionResetError:
            pass  # it did not read on


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_promptly_while_pages_are_open(root: Path, number: signal.Signals) -> None:
    """Streams end in order, nothing is complained about, and the exit code is 0."""
    server = Served(root)
    with (
        httpx.Client(timeout=10) as client,
        client.stream("GET", f"{server.address}/api/runs/whole/events") as page,
    ):
        parts = page.iter_text()
        assert next(parts).startswith("retry:")
        assert (0, "") == server.stop(number)
        assert "whole" in "".join(parts)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere"], "nowhere: is no folder; give one with runs in it, or a run's own"),
        (["n" * 300], "can't be read: File name too long"),
        ([".", "--port", "70000"], "--port: expected a number from 0 to 65535, not 70000"),
        ([".", "--host", "0.0.0.0"], "add --token TOKEN, a text that only you know"),
        ([".", "--host", "no host"], "--host: expected a name or an address of this machine"),
        ([".", "--host", "192.0.2.1", "--token", "x"], "choose another with --port"),
        ([".", "--token", ""], "--token: expected letters, digits and signs of ASCII"),
    ],
)
def test_what_can_t_be_served_is_refused(arguments: list[str], problem: str) -> None:
    """In one line, with exit code 2."""
    finished = Command().run("dashboard", *arguments)
    assert 2 == finished.returncode
    assert problem in finished.stderr
    assert 1 == finished.stderr.count("\n")


def test_a_port_in_use_is_told(server: Served, root: Path) -> None:
    """In one line, which says what to do."""
    finished = Command().run("dashboard", root, "--port", server.port)
    expected = (
        f"port {server.port} of 127.0.0.1 can't be had: address already in use; choose another"
    )
    assert 2 == finished.returncode
    assert expected in finished.stderr
    assert 1 == finished.stderr.count("\n")


def test_others_need_the_token(root: Path) -> None:
    """Reachable from elsewhere, it answers those who know it, under any name."""
    with served(root, "--host", "0.0.0.0", "--token", "s3cret") as server:
        assert "s3cret" not in server.said
        for header, status in (("Bearer s3cret", 200), ("Bearer secret", 401)):
            headers = {"Authorization": header, "Host": "monitor.example"}
            answer = httpx.get(f"{server.address}/api/runs", headers=headers)
            assert status == answer.status_code


def test_without_the_extra_it_says_how_to_get_it() -> None:
    """In one line, instead of a traceback."""
    program = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from synexs_async.cli import main; sys.exit(main(['dashboard', '.']))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert 2 == finished.returncode
    assert (
        "synexs_async: error: the dashboard needs starlette and uvicorn: "
        "pip install 'synexs-async[dashboard]'\n"
    ) == finished.stderr


def test_it_needs_no_torch() -> None:
    """It starts quickly, and no mission's code runs in it."""
    program = (
        "import sys, synexs_async.dashboard.serving\n"
        "found = {'torch', 'synexs_async.missions.team', 'gymnasium'} & sys.modules.keys()\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
