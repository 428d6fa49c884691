"""How fast a web service answers while a run goes on in it at full speed.

    python benchmarks/embedding.py [--rounds 5] [--seconds 10] [--rate 100] [--output DIR]

The service is `examples/web_service.py`, a process of its own on uvloop. This process sends it
requests at a steady rate, whether or not those before were answered. A request takes from when it
would go out, even if it has to wait for a free connection, until the last byte of its answer has
come, by the clock of the system's network code (SO_TIMESTAMPNS, so on Linux only). This process
stands for clients elsewhere: the milliseconds that it waits for a core itself, as it shares them
with the run, before it sends and before it sees an answer, are none of the service's.

In turns it asks how one run stands, for the list of all runs, and for that of the dashboard that
is mounted in the service, which reads the folders in a thread, once a second at most. Each is
measured in each round with nothing else to do, and beside a run that has written its first batches.
Shown are the medians over the rounds, and of the differences in a round.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from itertools import cycle
from pathlib import Path
from socket import AF_INET, CMSG_SPACE, SOCK_DGRAM, SOL_SOCKET, create_connection, socket
from statistics import median, quantiles
from struct import Struct
from time import perf_counter, time
from typing import Any, Final

import anyio
import httpx
from measuring import scratch_folder, show_table

_ROOT: Final = Path(__file__).resolve().parent.parent
_SERVICE: Final = _ROOT / "examples" / "web_service.py"
_ENDED: Final = "ended"
_PATHS: Final = {
    f"/runs/{_ENDED}": "How one run stands",
    "/runs": "All runs",
    "/dashboard/api/runs": "All runs, by the dashboard",
}
_ENDLESS: Final = 1_000_000_000
_PAUSE: Final = 0.05
_CONNECTIONS: Final = 8
_NO_IDLE_CONNECTIONS: Final = httpx.Limits(max_keepalive_connections=0)  # they end while we measure
_MOST: Final = 1 << 20  # bytes of an answer
_SO_TIMESTAMPNS: Final = 35  # of Linux's asm-generic/socket.h; Python has no name for it
_TIMESPEC: Final = Struct("@qq")

Figures = tuple[float, ...]  # p50, p99 and the longest, in ms


def main() -> None:
    """Measure, and print the table."""
    parser = ArgumentParser(description="Measure a web service's answers beside a run.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write")
    options = parser.parse_args()

    with (
        timestamps(),
        scratch_folder(options.output) as scratch,
        serving(scratch) as address,
    ):
        load = (options.seconds, options.rate)
        alone, beside, rates = anyio.run(
            measure, address, options.rounds, load, backend_options={"use_uvloop": True}
        )
    rate = median(rates)
    for number, answered in enumerate(_PATHS.values()):
        without = [figures[number] for figures in alone]
        with_run = [figures[number] for figures in beside]
        differences = [
            tuple(late - early for early, late in zip(*pair, strict=True))
            for pair in zip(without, with_run, strict=True)
        ]
        show_table(
            f"{answered}, in ms (run: {rate:,.0f} missions/s)",
            ("the service", "p50", "p99", "longest"),
            [
                ["alone", *_medians(without)],
                ["beside a run", *_medians(with_run)],
                ["difference in a round (target for p99: 5)", *_medians(differences)],
            ],
        )


async def measure(
    address: str, rounds: int, load: tuple[float, float]
) -> tuple[list[list[Figures]], list[list[Figures]], list[float]]:
    """Return the figures of each round, alone and beside a run, and the runs' missions a second."""
    alone: list[list[Figures]] = []
    beside: list[list[Figures]] = []
    rates: list[float] = []
    async with httpx.AsyncClient(base_url=address, limits=_NO_IDLE_CONNECTIONS) as client:
        await client.post("/runs", json={"name": _ENDED, "missions": 10})
        await told(client, _ENDED, lambda progress: progress["status"] != "running")
        await send_requests(client, 1.0, load[1])  # what is made at the first request is there then
        for number in range(rounds):
            if number % 2 == 0:
                alone.append(await send_requests(client, *load))
            async with running(client, f"round-{number}") as run:
                before = await told(client, run)
                beside.append(await send_requests(client, *load))
                after = await told(client, run)
                rates.append(
                    (after["mission_current"] - before["mission_current"])
                    / (after["elapsed_seconds"] - before["elapsed_seconds"])
                )
            if number % 2:
                alone.append(await send_requests(client, *load))
    return alone, beside, rates


async def send_requests(client: httpx.AsyncClient, seconds: float, rate: float) -> list[Figures]:
    """Send requests at a steady rate, and return how long the answers of each path took."""
    durations: dict[str, list[float]] = {path: [] for path in _PATHS}
    put_back, free = anyio.create_memory_object_stream[Connection](_CONNECTIONS)

    async def ask(path: str) -> None:
        asked = time()
        connection = await free.receive()
        durations[path].append(1000 * (await connection.get(path) - asked))
        put_back.send_nowait(connection)

    async with AsyncExitStack() as stack, put_back, free, anyio.create_task_group() as tasks:
        for _ in range(_CONNECTIONS):
            put_back.send_nowait(
                await stack.enter_async_context(aclosing(Connection(client.base_url)))
            )
        started = perf_counter()
        for number, path in zip(range(int(seconds * rate)), cycle(_PATHS)):
            await anyio.sleep(max(started + number / rate - perf_counter(), 0))
            tasks.start_soon(ask, path)
    return [_summary(taken) for taken in durations.values()]


@contextmanager
def timestamps() -> Iterator[None]:
    """Keep the system's timestamps on: they begin a moment after the first socket that asks."""
    with socket(AF_INET, SOCK_DGRAM) as asking:
        asking.setsockopt(SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        yield


class Connection:
    """Asks over one connection, and learns from the system when the answer came."""

    def __init__(self, url: httpx.URL) -> None:
        assert url.port
        self._socket = create_connection((url.host, url.port))
        self._socket.setblocking(False)
        self._socket.setsockopt(SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    async def get(self, path: str) -> float:
        """Ask, and return when the last byte of the answer came, in seconds since 1970."""
        self._socket.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while True:
            await anyio.wait_readable(self._socket)
            part, ancillary, _, _ = self._socket.recvmsg(_MOST, CMSG_SPACE(_TIMESPEC.size))
            answer += part
            assert part
            if _is_whole(answer):
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                return float(seconds + nanoseconds / 1e9)

    async def aclose(self) -> None:
        """Hang up."""
        self._socket.close()


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    return bool(end) and len(body) == int(head.lower().split(b"content-length: ")[1].split()[0])


@asynccontextmanager
async def running(client: httpx.AsyncClient, name: str) -> AsyncIterator[str]:
    """Let a run go on, from its first batches on until the block is left."""
    order = {"name": name, "missions": _ENDLESS}
    (await client.post("/runs", json=order)).raise_for_status()
    await told(client, name, lambda progress: progress["batches_written"] > 0)
    yield name
    await client.delete(f"/runs/{name}")
    await told(client, name, lambda progress: progress["status"] != "running")


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Start the service, and give its address."""
    with subprocess.Popen(
        [sys.executable, str(_SERVICE), "--root", str(root), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    ) as service:
        assert service.stderr is not None
        try:
            addresses = (re.search(r"http://\S+", line) for line in service.stderr)
            yield next(match[0] for match in addresses if match)
        finally:
            service.terminate()


async def told(
    client: httpx.AsyncClient,
    name: str,
    wanted: Callable[[dict[str, Any]], bool] = lambda progress: True,
) -> dict[str, Any]:
    """Ask how a run stands, until that is what is wanted."""
    while True:
        progress: dict[str, Any] = (await client.get(f"/runs/{name}")).json()["progress"]
        if wanted(progress):
            return progress
        await anyio.sleep(_PAUSE)


def _summary(durations: Sequence[float]) -> Figures:
    cuts = quantiles(durations, n=100, method="inclusive")
    return cuts[49], cuts[98], max(durations)


def _medians(rounds: Sequence[Figures]) -> list[str]:
    return [f"{median(figures):.2f}" for figures in zip(*rounds, strict=True)]


if __name__ == "__main__":
    main()
