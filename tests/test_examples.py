"""The examples of embedding, as a user would start them; those of missions are with their page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from conftest import ROOT
from PIL import Image

from synexs_async import read_progress

EXAMPLES = ROOT / "examples"
MANY = 1_000_000
LINES_AND_BARS = {(31, 119, 180), (255, 127, 14), (44, 160, 44)}  # matplotlib's first three


def start(name: str, *arguments: object) -> subprocess.Popen[str]:
    """Start an example."""
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
    )


def output_of(name: str, *arguments: object) -> str:
    """Run an example to its good end, and return what it printed."""
    with start(name, *arguments) as example:
        printed, complaints = example.communicate(timeout=60)
    assert (0, "") == (example.returncode, complaints)
    return printed


class Service:
    """The web service, and a client of it."""

    def __init__(self, process: subprocess.Popen[str], client: httpx.Client) -> None:
        self._process = process
        self._client = client
        self._interrupted = False

    def interrupt(self) -> None:
        """Press Ctrl-C, once."""
        if not self._interrupted:
            self._interrupted = True
            self._process.send_signal(signal.SIGINT)

    def ask(self, method: str, path: str, **body: object) -> tuple[int, Any]:
        """Return an answer's status and content."""
        answer = self._client.request(method, path, json=body or None)
        return answer.status_code, answer.json()

    def send(self, headers: dict[str, str], order: bytes) -> int:
        """Order a run with headers of one's own, and return the answer's status."""
        return self._client.post("/runs", content=order, headers=headers).status_code

    def status(self, path: str, host: str) -> int:
        """Return the status of an answer to who knows the service by this name."""
        return self._client.get(path, headers={"Host": host}).status_code

    def page(self, path: str) -> str:
        """Return a page for a browser."""
        return self._client.get(path, follow_redirects=True).raise_for_status().text

    def standing(self, name: str) -> dict[str, Any]:
        """Return how a run stands."""
        status, standing = self.ask("GET", f"/runs/{name}")
        assert status == 200
        return dict(standing)

    def ended(self, name: str) -> dict[str, Any]:
        """Wait for a run's end, and return how it stands then."""
        while (standing := self.standing(name))["status"] == "running":
            pass
        return standing

    @contextmanager
    def open_page(self) -> Iterator[Iterator[bytes]]:
        """Listen as a page of the dashboard does."""
        with self._client.stream("GET", "/dashboard/api/events", timeout=30) as answer:
            yield answer.iter_raw()

    def events(self, name: str) -> Iterator[str]:
        """Give the names of a run's events until it has ended."""
        with self._client.stream("GET", f"/runs/{name}/events") as answer:
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    yield line.removeprefix("event: ")


@contextmanager
def serving(root: Path) -> Iterator[Service]:
    """Start the web service; interrupt it, and see that it ends well."""
    with start("web_service.py", "--root", root, "--port", 0, "--at-once", 1) as process:
        assert process.stderr is not None
        try:
            addresses = (re.search(r"http://\S+", line) for line in process.stderr)
            address = next(found[0] for found in addresses if found)
            with httpx.Client(base_url=address, timeout=30) as client:
                service = Service(process, client)
                yield service
                service.interrupt()
                _, complaints = process.communicate(timeout=30)
        finally:
            process.kill()
    assert 0 == process.returncode
    assert "ERROR" not in complaints
    assert "Traceback" not in complaints


def test_a_web_service_runs_missions_and_answers_meanwhile(tmp_path: Path) -> None:
    """Over HTTP a run is started, watched at full speed, stopped, and taken on to its end."""
    with serving(tmp_path) as service:
        status, begun = service.ask("POST", "/runs", name="one", missions=MANY, seed=7)
        assert (201, "running") == (status, begun["status"])
        events = service.events("one")
        assert "BatchWritten" == next(events)  # from now on it is at full speed

        seen: list[int] = []
        while len(seen) < 20:  # answers between which the run went on
            standing = service.standing("one")
            assert "running" == standing["status"]
            if standing["progress"]["mission_current"] not in seen:
                seen.append(standing["progress"]["mission_current"])
        assert sorted(seen) == seen

        see_what_is_refused(service)

        assert 202 == service.ask("DELETE", "/runs/one")[0]
        assert ["Stopping", "Finished"] == [
            event for event in events if event in ("Stopping", "Finished")
        ]
        stopped = service.ended("one")
        assert "interrupted" == stopped["status"]
        assert stopped["progress"]["mission_current"] >= seen[-1]

        assert 201 == service.ask("POST", "/runs", name="one", missions=MANY, seed=7)[0]
        events = service.events("one")
        next(events)
        with service.open_page() as page:
            next(page)
            service.interrupt()
            assert "Finished" == [*events][-1]
            assert all(page)  # it ends, and was not broken off

    with serving(tmp_path) as service:
        stopped = service.standing("one")
        assert "interrupted" == stopped["status"]
        done = stopped["progress"]["mission_current"]

        status, begun = service.ask("POST", "/runs", name="one", missions=done + 500, seed=7)
        assert (201, done) == (status, begun["progress"]["mission_current"])
        complete = service.ended("one")
        assert "completed" == complete["status"]
        assert done + 500 == complete["progress"]["mission_current"]
        assert [complete] == service.ask("GET", "/runs")[1]
        assert "<html" in service.page("/dashboard")


def see_what_is_refused(service: Service) -> None:
    """See that each mistake is answered by a status that fits, and one line."""
    for status, body, reason in (
        (409, {"name": "one", "missions": 10, "seed": 7}, "a run of this name is going on"),
        (429, {"name": "two", "missions": 10}, "1 runs are going on; try again when one has"),
        (400, {"name": "../two", "missions": 10}, "name: expected a-z, 0-9, _ and -, not"),
        (400, {"name": "two", "missions": 0}, "missions: expected a whole number, between 1"),
        (400, {"name": "two", "missions": "ten"}, "Expected `int`, got `str` - at `$.missions`"),
        (400, {"name": "two"}, "Object missing required field `missions`"),
    ):
        answer, content = service.ask("POST", "/runs", **body)
        assert status == answer
        assert content["error"].startswith(reason)
        assert "\n" not in content["error"]
    see_that_no_other_site_is_let_in(service)
    for method, path in (("GET", "/runs/two"), ("DELETE", "/runs/two"), ("GET", "/two")):
        assert 404 == service.ask(method, path)[0]


def see_that_no_other_site_is_let_in(service: Service) -> None:
    """See that a page of another site, in the user's browser, can neither start a run nor look."""
    for content_type in ("text/plain;charset=UTF-8", "application/x-www-form-urlencoded", ""):
        status = service.send({"Content-Type": content_type}, b'{"name": "two", "missions": 1}')
        assert 415 == status
    for path in ("/runs", "/runs/one", "/dashboard/api/runs"):
        assert 400 == service.status(path, host="evil.example")
        assert 200 == service.status(path, host="localhost:8000")


def test_several_runs_with_a_deadline_go_on_next_time(tmp_path: Path) -> None:
    """What is not done when the time is up is kept; running it again completes it."""
    options = ("--root", tmp_path, "--runs", 2)
    cut_short = output_of("many_runs.py", *options, "--missions", MANY, "--seconds", 1)
    assert "time is up; run it again to go on" == cut_short.splitlines()[-1]
    reached = {}
    for number, line in enumerate(cut_short.splitlines()[:-1]):
        folder = tmp_path / f"seed-{number}"
        if line != f"{folder}: not begun":  # where importing NumPy took all the time
            reached[folder] = read_progress(folder).mission_current
            assert f"{folder}: {reached[folder]:,} of {MANY:,} missions, interrupted" == line

    most = max(reached.values(), default=0)
    completed = output_of("many_runs.py", *options, "--missions", most + 100, "--seconds", 60)
    done = f"{most + 100:,} of {most + 100:,} missions, completed"
    told = [f"{tmp_path / name}: {done}" for name in ("seed-0", "seed-1")]
    assert [*told, "all complete"] == completed.splitlines()


def test_a_plot_grows_while_a_run_goes_on(tmp_path: Path) -> None:
    """The script ends with the run's picture, of the size that it draws, in colours."""
    printed = output_of("live_plot.py", "--missions", 300, "--output", tmp_path)
    assert printed.startswith("completed: 300 missions, ")
    with Image.open(tmp_path / "live_plot.png") as picture:
        assert (1100, 400) == picture.size
        drawn = {colour for _, colour in picture.convert("RGB").getcolors(2**20) or ()}
    assert LINES_AND_BARS <= drawn
