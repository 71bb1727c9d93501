"""The watch page in a real browser: it fills itself, follows the run, shows hostile text as text, and is accessible."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from browser import Page, start

from reports import watch_page
from reproduce.rundir import RunDirectory, SeedRun, State

pytestmark = pytest.mark.slow
HOSTILE = "</td><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    yield from start(tmp_path_factory.mktemp("profile"))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """One seed that trains and one that failed for a hostile reason."""
    directory = RunDirectory(tmp_path)
    plan = {"name": HOSTILE, "folder": "x", "command": "python train_gpt.py", "env": {}, "isolation": "none"}
    rest = {"commit": None, "inputs": [], "seeds": [1, 2], "notes": [], "format": 1}
    (tmp_path / "plan.json").write_text(json.dumps({**plan, **rest}))
    directory.write(SeedRun(1, State.RUNNING, attempt=1))
    directory.write(SeedRun(2, State.FAILED, why=HOSTILE, attempt=1))
    directory.log(1).write_text("".join(f"step:{i}/9 train_loss:{5 - i}.5 train_time:{i}000ms\n" for i in range(4)))
    return directory


@pytest.fixture
def page(browser: Page, run: RunDirectory) -> Iterator[Page]:
    with watch_page.serve(run.path) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        browser.console(), browser.requests()
        browser.driver.get(f"http://127.0.0.1:{server.server_port}/")
        until(browser, "return document.querySelectorAll('tbody tr').length === 2")
        yield browser
        browser.driver.get("about:blank")
        server.shutdown()
        thread.join()


def until(browser: Page, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser.driver, 20, poll_frequency=0.05).until(lambda _: browser.run(script))


def test_page_shows_rows_and_curves_and_asks_nobody_else(page: Page) -> None:
    assert page.run("return document.querySelectorAll('polyline')[0].points.length") == 4
    assert "3/9" in page.run("return document.querySelector('tbody').textContent")
    assert {address.split("/")[2].split(":")[0] for address in page.requests()} == {"127.0.0.1"}
    assert page.console() == []
    assert page.faults() == []


def test_page_follows_the_run_by_itself(page: Page, run: RunDirectory) -> None:
    with run.log(1).open("a") as file:
        file.write("step:7/9 train_loss:0.5 train_time:7000ms\n")
    until(page, "return document.querySelector('tbody').textContent.includes('7/9')")


def test_hostile_text_stays_text(page: Page) -> None:
    assert HOSTILE in page.run("return document.querySelector('tbody').textContent")
    assert page.run("return document.title").startswith("</td>")
    assert page.run("return document.querySelectorAll('img').length") == 0


def test_page_fits_a_phone(page: Page) -> None:
    page.size(390, 800)
    width = page.run("return document.documentElement.scrollWidth")
    page.size(1100, 900)
    assert width <= 390
