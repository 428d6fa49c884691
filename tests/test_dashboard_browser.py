"""The dashboard as people see it: in a browser, beside runs that go on, stop and get lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from conftest import ROOT, Command
from monitored import make_run
from playwright.async_api import Browser, Page, Route, async_playwright, expect
from served import PATIENCE, Served, served
from watchfiles import watch

from synexs_async.errors import FolderError
from synexs_async.storage.progress import Progress, read_progress

CHROMIUM: Final = Path("/usr/bin/chromium")
OPTIONS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSION: Final = f"{ROOT / 'tests' / 'slow_missions.py'}:deal"
PAGES: Final = {  # where each is, its heading, and what is there when it is
    "runs": ("#/", "Runs", ".run"),
    "going": ("#/run/going", "going", ".missions td"),
    "whole": ("#/run/whole", "whole", ".missions td"),
    "mission": ("#/run/whole/mission/17", "Mission 17", ".timeline"),
    "plain": ("#/run/going/mission/3", "Mission 3", ".timeline"),
}

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}")


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Share the browser among the tests."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give runs in all states: one goes on for as long as the tests do."""
    root = tmp_path_factory.mktemp("runs")
    make_run(root / "whole", 120)

    def start(name: str, *options: str) -> subprocess.Popen[str]:
        arguments = ("--mission", MISSION, "--missions", "100000", "--concurrency", "4")
        return Command().start(*arguments, "--output", root / name, *options)

    with ExitStack() as ends:
        started = {name: start(name) for name in ("going", "stopped", "killed")}
        started["broken"] = start("broken", "--param", "fails_at=40")
        for process in started.values():
            ends.callback(process.communicate)
            ends.callback(process.kill)
        for name in ("going", "stopped", "killed"):
            wait_for(root / name, lambda progress: progress.mission_current > 20)
        started["stopped"].send_signal(signal.SIGTERM)
        started["killed"].kill()
        for name in ("stopped", "killed", "broken"):
            started[name].wait(PATIENCE)
        yield root


def wait_for(folder: Path, is_met: Callable[[Progress], bool]) -> None:
    """Wait until a run tells of itself what is waited for."""
    folder.mkdir(exist_ok=True)
    for _ in watch(folder, step=20, yield_on_timeout=True, rust_timeout=1000):
        try:
            if is_met(read_progress(folder)):
                return
        except FolderError:
            continue


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Served]:
    """Give the dashboard of these runs."""
    with served(root) as server:
        yield server


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Give a browser."""
    expect.set_options(timeout=1000 * PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        await browser.close()


async def as_it_is(page: Page) -> None:
    """Prepare nothing."""


@asynccontextmanager
async def opened(
    browser: Browser,
    address: str,
    *,
    prepare: Callable[[Page], Awaitable[Any]] = as_it_is,
    may_fail: bool = False,
    **settings: Any,
) -> AsyncIterator[Page]:
    """Open a page; it must ask no other host, and nothing may go wrong in it."""
    context = await browser.new_context(**settings)
    context.set_default_timeout(1000 * PATIENCE)
    page = await context.new_page()
    wrong: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    await prepare(page)
    await page.goto(address)
    await expect(page.locator("main h1")).to_be_visible()
    yield page
    await context.close()
    assert may_fail or [] == wrong
    origin = address.partition("#")[0]
    assert [] == [url for url in asked if not url.startswith(origin.rstrip("/"))]


def missions_of(text: str) -> int:
    """Read a number as the page writes it."""
    return int(text.partition(" of ")[0].replace(",", ""))


async def grown(page: Page, selector: str) -> None:
    """Wait until the page shows more missions than it does now, by itself."""
    before = missions_of(await page.locator(selector).first.inner_text())
    await page.wait_for_function(
        "([selector, before]) => Number(document.querySelector(selector).textContent"
        ".split(' of ')[0].replaceAll(',', '')) > before",
        arg=[selector, before],
    )


async def test_it_shows_runs_and_updates_by_itself(browser: Browser, server: Served) -> None:
    """Each with how it stands; what goes on is seen to go on, with no reload."""
    async with opened(browser, f"{server.address}/") as page:
        rows = page.locator(".run")
        states = {
            await row.locator("h2").inner_text(): await row.locator(".pill").inner_text()
            for row in await rows.all()
        }
        assert {
            "whole": "completed",
            "going": "running",
            "stopped": "interrupted",
            "killed": "lost",
            "broken": "failed",
        } == states
        going = page.locator(".run", has=page.get_by_role("link", name="going"))
        await going.evaluate("row => { row.id = 'seen' }")
        await grown(page, "#seen .figures span")
        await expect(page.locator("#link")).to_have_text("Live")


@pytest.mark.parametrize(
    ("name", "status", "remark"),
    [
        ("stopped", "interrupted", "It was told to stop"),
        ("broken", "failed", "It stopped on an error, which its log tells below"),
        ("killed", "lost", "its process is gone"),
    ],
)
async def test_a_run_that_did_not_end_well_says_so(
    browser: Browser, server: Served, name: str, status: str, remark: str
) -> None:
    """By its state, and in a sentence that says what is kept and how to go on."""
    async with opened(browser, f"{server.address}/#/run/{name}") as page:
        await expect(page.locator(".title .pill")).to_have_text(status)
        notice = page.locator(".notice")
        await expect(notice).to_contain_text(remark)
        await expect(notice).to_contain_text("missions are kept")
        if name == "broken":
            await page.get_by_label("Least level").select_option("ERROR")
            await expect(page.locator(".log")).to_contain_text("ValueError: the market is closed")


async def test_a_run_s_page_follows_it(browser: Browser, server: Served) -> None:
    """Progress, outcomes by group, curves with a table of what they draw, and the log."""
    async with opened(browser, f"{server.address}/#/run/going") as page:
        await grown(page, ".of")
        groups = page.locator("section", has_text="Outcomes by tier").locator(
            ":is(tbody, tfoot) th"
        )
        assert {"bronze", "silver", "gold", "all"} == set(await groups.all_inner_texts())
        rate = page.locator("figure", has_text="Rate")
        await expect(rate.locator("canvas")).to_be_visible()
        await rate.get_by_text("As a table").click()
        await expect(rate.get_by_role("columnheader", name="missions/s")).to_be_visible()
        assert await rate.locator("tbody tr").count() > 1
        await expect(page.locator(".log")).to_contain_text("starting 100000 missions")


async def test_it_survives_the_server_s_restart(browser: Browser, root: Path) -> None:
    """An open page says that the server is gone, and goes on when it is back."""
    with served(root) as server:
        async with opened(browser, f"{server.address}/#/run/going", may_fail=True) as page:
            await grown(page, ".of")
            assert (0, "") == server.stop()
            await expect(page.locator("#link")).to_have_text("Reconnecting…")
            with served(root, port=server.port):
                await expect(page.locator("#link")).to_have_text("Live")
                await grown(page, ".of")


async def test_missions_are_searched_and_shown_step_by_step(
    browser: Browser, server: Served
) -> None:
    """By outcome and difficulty, and by number; of any kind."""
    async with opened(browser, f"{server.address}/#/run/whole") as page:
        outcome = page.get_by_role("combobox", name="Outcome", exact=True)
        difficulty = page.get_by_role("combobox", name="Difficulty", exact=True)
        await outcome.select_option("failure")
        await difficulty.select_option("hard")
        await expect(page.locator(".more")).to_contain_text("that is all of them")
        rows = page.locator(".missions tbody tr")
        assert await rows.count() > 0
        assert {"failure"} == set(await rows.locator("td:nth-child(2)").all_inner_texts())
        assert {"hard"} == set(await rows.locator("td:nth-child(3)").all_inner_texts())
        await rows.first.locator("a").click()
        await expect(page.locator("h1")).to_contain_text("Mission ")
        await expect(page.locator(".timeline")).to_contain_text("analyzer decides:")
        await page.go_back()
        await expect(outcome).to_have_value("failure")
        await expect(difficulty).to_have_value("hard")
        await page.get_by_label("Mission number").fill("17")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("Mission 17")
        await page.get_by_role("link", name="Next").click()
        await expect(page.locator("h1")).to_have_text("Mission 18")
    async with opened(browser, f"{server.address}/#/run/going/mission/3") as page:
        await expect(page.locator(".timeline")).to_contain_text("seller decides:")
        for part in ("Steps", "Steps as a table", "Metrics", "Result"):
            await expect(page.get_by_role("region", name=part, exact=True)).to_be_visible()
        await page.get_by_role("region", name="Steps as a table").focus()
        await expect(page.locator(":focus")).to_contain_text("step")


async def test_the_keyboard_is_enough(browser: Browser, server: Served) -> None:
    """From the skip link to a mission, with the focus in sight and on the new page's heading."""
    async with opened(browser, f"{server.address}/") as page:
        focused = page.locator(":focus")
        await page.keyboard.press("Tab")
        await expect(focused).to_have_text("Skip to the content")
        await expect(focused).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        first = await page.locator(".run a").first.inner_text()
        await expect(focused).to_have_text(first)
        outline = await page.locator(".run").first.evaluate("row => getComputedStyle(row).outline")
        assert "solid 2px" in outline
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text(first)
        await expect(page.locator("h1")).to_be_focused()
        await page.get_by_label("Mission number").focus()
        await page.keyboard.type("2")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("Mission 2")
        await expect(page.locator("h1")).to_be_focused()


async def test_the_theme_follows_the_system_until_it_is_chosen(
    browser: Browser, server: Served
) -> None:
    """And stays as it was chosen."""
    background = "getComputedStyle(document.body).backgroundColor"
    async with opened(browser, f"{server.address}/", color_scheme="dark") as page:
        dark = await page.evaluate(background)
        await page.emulate_media(color_scheme="light")
        light = await page.evaluate(background)
        assert dark != light
        await page.get_by_role("button", name="Dark theme").click()
        assert dark == await page.evaluate(background)
        await page.reload()
        assert dark == await page.evaluate(background)
        pressed = page.get_by_role("button", name="Dark theme", pressed=True)
        await expect(pressed).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
async def test_every_page_can_be_read(
    browser: Browser, server: Served, scheme: Any, width: int
) -> None:
    """On a phone nothing scrolls sideways; text has the contrast of WCAG AA; parts have names."""
    shots = os.environ.get("SCREENSHOTS")  # a folder for pictures of what is tested
    size = {"width": width, "height": 800}
    async with opened(browser, server.address, viewport=size, color_scheme=scheme) as page:
        for name, (address, title, part) in PAGES.items():
            await page.goto(f"{server.address}/{address}")
            await expect(page.locator("h1")).to_have_text(title)
            await expect(page.locator(part).first).to_be_attached()
            assert width == await page.evaluate("document.documentElement.scrollWidth")
            assert [] == await page.evaluate(TOO_FAINT), name
            assert [] == await page.evaluate(NAMELESS), name
            assert 1 == await page.locator("h1").count()
            if shots:
                path = Path(shots, f"{name}-{scheme}-{width}.png")
                await page.screenshot(path=path, full_page=True)


async def take_the_stream(page: Page) -> None:
    """Let the test tell what the event stream would."""
    await page.clock.install()
    await page.add_init_script("""
        window.streams = [];
        window.EventSource = class extends EventTarget {
          constructor() { super(); streams.push(this); queueMicrotask(() => this.onopen()); }
          close() {}
        };
        window.tell = (name, state) => streams.at(-1)
          .dispatchEvent(new MessageEvent(name, { data: JSON.stringify(state) }));""")


async def tell(page: Page, name: str, state: Any = None) -> None:
    """Tell an event to the page."""
    await page.wait_for_function("streams.length > 0")
    await page.evaluate("([name, state]) => tell(name, state)", [name, state])


async def answer_of(page: Page, path: str) -> Any:
    """Ask the server what a page would."""
    return await page.evaluate("path => fetch(path).then((answer) => answer.json())", path)


def news_of(detail: Any, **told: Any) -> dict[str, Any]:
    """Return what the stream of a run tells."""
    news = {"run": detail["run"], "identity": detail["identity_digest"]}
    return news | {"series": "1", "log": "1"} | told


async def test_rows_that_stay_are_left_in_place(browser: Browser, server: Served) -> None:
    """A run keeps the focus when the order changes, a line of the log stays when another goes."""
    address = server.address
    async with opened(browser, f"{address}/", prepare=take_the_stream) as page:
        runs = await answer_of(page, "api/runs")
        await page.locator(".run a").last.focus()
        name = await page.locator(":focus").inner_text()
        moved = runs["runs"].pop() | {"status": "waiting", "progress": None}
        runs["runs"].insert(0, moved)
        await tell(page, "runs", runs)
        row = page.locator(".run").first
        await expect(row.locator("a")).to_have_text(name)
        await expect(row.locator("a")).to_be_focused()
        await expect(row.get_by_role("img")).to_have_accessible_name("no missions yet")
        await expect(row.locator(".figures")).to_have_text("nothing told yet")
    first = 0

    async def answer(route: Route) -> None:
        lines = [
            {"timestamp": "2026-01-31 23:59:00.000", "level": "INFO", "message": str(number)}
            for number in range(first, first + 150)
        ]
        await route.fulfill(json={"lines": lines})

    async with opened(browser, f"{address}/#/run/whole", prepare=take_the_stream) as page:
        await page.route("**/log?*", answer)
        detail = await answer_of(page, "api/runs/whole")
        await tell(page, "run", news_of(detail))
        await expect(page.locator(".log .text").last).to_have_text("149")
        await page.evaluate("""() => {
          window.added = 0;
          new MutationObserver((all) => all.forEach((one) => { added += one.addedNodes.length; }))
            .observe(document.querySelector(".log ol"), { childList: true });
        }""")
        first = 1
        await tell(page, "run", news_of(detail, log="2"))
        await expect(page.locator(".log .text").last).to_have_text("150")
        assert 1 == await page.evaluate("added")


async def test_a_run_s_curves_are_asked_for_in_turn(browser: Browser, server: Served) -> None:
    """One question at a time, and again after one that failed; dots are drawn where few are."""
    asked: list[Route] = []
    arrived = anyio.Event()

    async def hold(route: Route) -> None:
        asked.append(route)
        arrived.set()

    async def next_question() -> Route:
        nonlocal arrived
        await arrived.wait()
        arrived = anyio.Event()
        return asked[-1]

    address = f"{server.address}/#/run/whole"
    async with opened(browser, address, prepare=take_the_stream, may_fail=True) as page:
        await page.route("**/series", hold)
        detail = await answer_of(page, "api/runs/whole")
        for number in "123":
            await tell(page, "run", news_of(detail, series=number))
        await (await next_question()).fulfill(json=series_of(2))
        await expect(page.locator("canvas").first).to_be_visible()
        question = await next_question()
        assert 2 == len(asked)
        async with page.expect_response("**/series"):
            await question.fulfill(status=500)
        await page.clock.run_for(5000)
        await (await next_question()).fulfill(json=series_of(200))
        await expect(page.locator("figure").first).to_contain_text("199")
        grown_up = await page.locator("canvas").first.evaluate("canvas => canvas.toDataURL()")
        await page.get_by_role("button", name="Dark theme").click(click_count=2)  # draws anew
        assert grown_up == await page.locator("canvas").first.evaluate("it => it.toDataURL()")


def series_of(count: int) -> dict[str, list[int]]:
    """Return a series whose values are their own places."""
    names = "time", "elapsed_seconds", "missions", "rate", "loop_lag_ms", "rss_bytes"
    return {name: list(range(count)) for name in (*names, "checkpoint_missions")}


async def test_a_search_that_fails_loses_nothing(browser: Browser, server: Served) -> None:
    """What was found is shown; it goes on behind it, with the focus on the first of the rest."""
    found = [(97, [99, 98]), (None, []), (90, [97, 96]), (None, [40])]

    async def answer(route: Route) -> None:
        before, numbers = found.pop(0)
        if not numbers:
            await route.fulfill(status=500)
            return
        mission = {"mission_id": "", "outcome": "failure", "duration": None, "group": ""}
        missions = [mission | {"index": number} for number in numbers]
        await route.fulfill(json={"missions": missions, "before": before, "searched": 2})

    async def prepare(page: Page) -> None:
        await take_the_stream(page)
        await page.route("**/missions?*", answer)

    address = f"{server.address}/#/run/whole?outcome=failure"
    async with opened(browser, address, prepare=prepare, may_fail=True) as page:
        await expect(page.locator(".more")).to_contain_text("It could not be searched")
        rows = page.locator(".missions tbody th")
        assert ["99", "98"] == await rows.all_inner_texts()
        await page.get_by_role("button", name="Older ones").press("Enter")
        await expect(rows).to_have_text(["99", "98", "97", "96", "40"])
        await expect(page.locator(":focus")).to_have_text("97")
        newer = page.get_by_role("button", name="Show newer ones")
        await expect(newer).to_be_hidden()
        detail = await answer_of(page, "api/runs/whole")
        progress = detail["run"]["progress"]
        progress["mission_current"] += 1
        progress["stats"]["success_count"] += 1
        await tell(page, "run", news_of(detail))
        await expect(newer).to_be_hidden()
        progress["mission_current"] += 1
        progress["stats"]["failure_count"] += 1
        await tell(page, "run", news_of(detail))
        await expect(newer).to_be_visible()


async def test_a_page_follows_its_folder_to_another_run(browser: Browser, server: Served) -> None:
    """Its seed is shown to the last digit; a group may have any name."""
    seed = 2**64 - 1
    async with opened(browser, f"{server.address}/#/run/whole", prepare=take_the_stream) as page:
        detail = await answer_of(page, "api/runs/whole")
        stats = detail["run"]["progress"]["stats"]
        detail["run"]["progress"]["groups"] = {"all": stats, "none": stats}
        for _ in range(3):
            await tell(page, "run", news_of(detail))
        groups = page.locator("section", has_text="Outcomes by").locator(":is(tbody, tfoot) th")
        assert ["all", "none", "all"] == await groups.all_inner_texts()
        detail["run"]["seed"] = detail["identity"]["seed"] = seed
        detail["identity_digest"] = "2"
        await page.route("**/api/runs/whole", lambda route: route.fulfill(body=json.dumps(detail)))
        await tell(page, "run", news_of(detail))
        await expect(page.locator(".facts-line")).to_contain_text(f"seed {seed}")
        await page.get_by_text("What its data set is").click()
        await expect(page.locator("pre")).to_contain_text(f'"seed": {seed},')


async def test_a_page_that_was_not_looked_at_shows_one_run(
    browser: Browser, server: Served
) -> None:
    """Where another run took the folder before the first news came, all is shown of that one."""
    async with opened(browser, f"{server.address}/#/run/whole", prepare=take_the_stream) as page:
        detail = await answer_of(page, "api/runs/whole")
        detail["run"]["seed"], detail["identity_digest"] = 12345, "2"
        await page.route("**/api/runs/whole", lambda route: route.fulfill(json=detail))
        await tell(page, "run", news_of(detail))
        await expect(page.locator(".facts-line")).to_contain_text("seed 12345")


async def test_a_group_stays_as_it_was_chosen(browser: Browser, server: Served) -> None:
    """By the address, also where the run tells of it late; then by who looks at it."""
    detail: dict[str, Any] = {}

    async def prepare(page: Page) -> None:
        await take_the_stream(page)
        await page.route("**/api/runs/whole", answer)

    async def answer(route: Route) -> None:
        detail.update(await (await route.fetch()).json())
        await route.fulfill(json=detail | {"run": told({})})

    def told(groups: dict[str, Any]) -> dict[str, Any]:
        run: dict[str, Any] = detail["run"]
        return run | {"progress": run["progress"] | {"groups": groups}}

    address = f"{server.address}/#/run/whole?group=hard"
    async with opened(browser, address, prepare=prepare) as page:
        groups = detail["run"]["progress"]["groups"]
        cells = page.locator(".missions tbody td:nth-child(3)")
        await expect(cells).to_have_count(20)
        await expect(cells.first).to_be_hidden()
        async with page.expect_response(re.compile("group=hard")):
            await tell(page, "run", news_of(detail, run=told(groups)))
        await expect(cells.first).to_be_visible()
        assert {"hard"} == set(await cells.all_inner_texts())
        group = page.get_by_role("combobox", name="Difficulty", exact=True)
        await expect(group).to_have_value("hard")
        await group.select_option("any")
        await expect(cells).to_have_count(20)
        more = groups | {"harder": groups["hard"]}
        await tell(page, "run", news_of(detail, run=told(more)))
        await expect(group.get_by_role("option")).to_have_count(6)
        await expect(group).to_have_value("")


async def test_what_is_refused_is_not_asked_again(browser: Browser, server: Served) -> None:
    """Until it has changed; why is told."""
    asked = 0

    async def refuse(route: Route) -> None:
        nonlocal asked
        asked += 1
        await route.fulfill(status=404, json={"error": f"it is wrong, {asked}"})

    async def prepare(page: Page) -> None:
        await take_the_stream(page)
        await page.route("**/log?*", refuse)

    address = f"{server.address}/#/run/whole"
    async with opened(browser, address, prepare=prepare, may_fail=True) as page:
        log = page.get_by_role("region", name="Log", exact=True)
        detail = await answer_of(page, "api/runs/whole")
        await tell(page, "run", news_of(detail))
        await expect(log).to_contain_text("it is wrong, 1")
        await page.clock.run_for(20_000)
        await answer_of(page, "api/runs")  # which goes out behind whatever it asks
        assert 1 == asked
        await tell(page, "run", news_of(detail, log="2"))
        await expect(log).to_contain_text("it is wrong, 2")


async def test_a_page_too_many_is_told_so(browser: Browser, server: Served) -> None:
    """And is fed when another one was closed."""

    async def prepare(page: Page) -> None:
        await page.clock.install()
        await page.route("**/events", lambda route: route.fulfill(status=503))

    async with opened(browser, f"{server.address}/", prepare=prepare, may_fail=True) as page:
        link = page.locator("#link")
        await expect(link).to_have_text("Reconnecting…")
        await page.clock.run_for(1500)
        await expect(link).to_have_text("Too many pages are open")
        await page.unroute("**/events")
        await page.clock.run_for(5000)
        await expect(link).to_have_text("Live")


async def test_failures_are_told_as_what_they_are(browser: Browser, server: Served) -> None:
    """What passes is asked again, what doesn't is not."""
    address = server.address

    async def prepare(page: Page) -> None:
        await take_the_stream(page)
        await page.route("**/api/runs", lambda route: route.fulfill(status=503), times=1)

    async with opened(browser, f"{address}/", prepare=prepare, may_fail=True) as page:
        title = page.locator("h1")
        await expect(title).to_have_text("No answer yet")
        await page.clock.run_for(2000)
        await expect(title).to_have_text("Runs")
        await expect(page.locator("#link")).to_have_text("Live")
        await page.goto(f"{address}/#/run/%E0%A4")
        await expect(title).to_have_text("Not here")
        await expect(page.locator("#link")).to_have_text("Connected")
        await page.goto(f"{address}/#/run/nowhere")
        await expect(page.locator(".notice")).to_contain_text("there is no run 'nowhere'")


async def test_a_stream_that_falls_silent_is_opened_again(browser: Browser, server: Served) -> None:
    """A sign of life is enough to be live."""
    address = f"{server.address}/#/run/whole"
    async with opened(browser, address, prepare=take_the_stream) as page:
        link = page.locator("#link")
        await expect(link).to_have_text("Live")
        await page.clock.pause_at(10**10)
        await tell(page, "alive")
        await page.clock.run_for(30_000)
        await tell(page, "alive")
        await page.clock.run_for(30_000)
        await expect(link).to_have_text("Live")
        await page.clock.run_for(10_000)
        await expect(link).to_have_text("Reconnecting…")
        await page.clock.run_for(1500)
        await expect(link).to_have_text("Live")
        assert 2 == await page.evaluate("streams.length")


async def test_a_mission_may_be_long_and_odd(browser: Browser, server: Served) -> None:
    """It is shown a part at a time, and without what it lacks."""
    detail: dict[str, Any] = {}

    async def prepare(page: Page) -> None:
        await page.route("**/missions/5", lambda route: route.fulfill(body=json.dumps(detail)))

    message = {"timestamp": 1.5, "sender": "buyer", "receiver": "seller", "content": {"offer": 2}}
    summary = {"index": 5, "mission_id": "", "outcome": "error", "duration": 700.0, "group": ""}
    record: dict[str, Any] = {"communications": {}, "decisions": [{"agent": "seller"}, 3]}
    detail = {"summary": summary, "record": record | {"metrics": [1], "big": 2**70}}
    address = f"{server.address}/#/run/whole/mission/5"
    async with opened(browser, address, prepare=prepare) as page:
        await expect(page.locator("h1")).to_have_text("Mission 5")
        await expect(page.locator(".timeline")).to_contain_text("seller decides:")
        await expect(page.locator("pre")).to_be_empty()
        await page.get_by_text("As it stands in the journal").click()
        await expect(page.locator("pre")).to_contain_text(f'"big": {2**70}')
        detail["record"] = {"communications": [message] * 450}
        await page.reload()
        steps = page.locator(".timeline > li")
        await expect(steps).to_have_count(200)
        more = page.get_by_role("button", name="Show more of 451 events")
        await more.press("Enter")
        await expect(steps).to_have_count(400)
        await more.press("Enter")
        await expect(steps).to_have_count(451)
        await expect(steps.nth(400)).to_be_focused()


async def test_outcomes_keep_their_colours_in_forced_ones(browser: Browser, server: Served) -> None:
    """A bar would be empty without."""
    address = f"{server.address}/#/run/whole"
    async with opened(browser, address, forced_colors="active") as page:
        colours = await page.locator(".hero .segment:not([hidden])").evaluate_all(
            "all => all.map((one) => getComputedStyle(one).backgroundColor)"
        )
        assert 3 == len(set(colours))


# Gives the text whose contrast with what lies behind it is below 4.5, or 3 where it is large.
TOO_FAINT: Final = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b]
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (element) => {
    for (let node = element; node; node = node.parentElement) {
      const colour = rgba(getComputedStyle(node).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest(".hidden, .skip, noscript, [aria-disabled], :disabled")) continue;
    const style = getComputedStyle(element);
    const [one, other] = [rgba(style.color), behind(element)].map(luminance);
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (isLarge ? 3 : 4.5)) faint.push([texts.currentNode.data, contrast]);
  }
  return faint;
}"""

# Gives the controls, pictures and regions that a screen reader has no name for.
NAMELESS: Final = """() => [...document.querySelectorAll(
    "a, button, input, select, [role=img], [role=region], nav, svg:not([aria-hidden])")]
  .filter((element) => element.checkVisibility())
  .filter((element) => !(element.textContent.trim() || element.ariaLabel
    || element.labels?.[0]?.textContent.trim()))
  .map((element) => element.outerHTML)"""
