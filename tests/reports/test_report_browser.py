"""The HTML page in a real browser: it works offline, in both themes, on a phone, by keyboard and on paper."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Page, start
from test_report_escape import HOSTILE
from test_report_html import poisoned

from reports import html
from reports.report import Report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    yield from start(tmp_path_factory.mktemp("profile"))


@pytest.fixture
def saved(report: Report, tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(html.render(report), encoding="utf-8")
    return path


def key(browser: Page, name: str, text: str = "") -> None:
    """Press one key through the browser's own input, as a keyboard would."""
    for kind in ("keyDown", "keyUp"):
        event = {"type": kind, "key": name, **({"text": text} if text and kind == "keyDown" else {})}
        browser.driver.execute_cdp_cmd("Input.dispatchKeyEvent", event)


def mouse(browser: Page, kind: str, x: float, y: float) -> None:
    button = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "mouseMoved" else {}
    browser.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **button})


def middle_of_plot(browser: Page) -> tuple[float, float, float]:
    """Centre and width of the first chart's plot in the viewport."""
    box = browser.run(
        "const s = document.querySelector('.frame svg'); s.scrollIntoView({block: 'center'});"
        "const b = s.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2, b.width]"
    )
    return box[0], box[1], box[2]


def test_it_logs_no_error_and_asks_the_network_for_nothing(browser: Page, saved: Path) -> None:
    browser.open(saved)
    assert browser.run("return document.querySelectorAll('.frame.live').length") == 1
    assert browser.console() == []
    assert browser.requests() == [saved.as_uri()]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1100, 375], ids=["desktop", "phone"])
def test_axe_finds_no_serious_fault(browser: Page, saved: Path, dark: bool, width: int) -> None:
    browser.open(saved, dark=dark, width=width)
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert browser.faults() == []


def test_axe_would_find_one(browser: Page, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<!doctype html><html lang='en'><title>x</title><p style='color:#ddd;background:#fff'>pale</p>")
    browser.open(bad)
    assert any(fault.startswith("color-contrast") for fault in browser.faults())


def test_the_themes_differ_and_follow_the_system(browser: Page, saved: Path) -> None:
    colours = []
    for dark in (False, True):
        browser.open(saved, dark=dark)
        colours.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(255, 255, 255)", "rgb(20, 24, 28)"]


@pytest.mark.parametrize("width", [320, 375, 1100])
def test_the_page_itself_never_scrolls_sideways(browser: Page, saved: Path, width: int) -> None:
    browser.open(saved, width=width)
    assert browser.run("return document.documentElement.scrollWidth") == width


def test_hovering_reads_every_seed_at_that_step(browser: Page, saved: Path) -> None:
    browser.open(saved)
    x, y, _ = middle_of_plot(browser)
    mouse(browser, "mouseMoved", x, y)
    said = browser.run("return document.querySelector('.readout').textContent")
    for name in ("training step", "seed 1337 train", "seed 42 train", "seed 7 train"):
        assert name in said


def test_dragging_zooms_and_a_button_shows_everything_again(browser: Page, saved: Path) -> None:
    browser.open(saved)
    x, y, width = middle_of_plot(browser)
    before = browser.run("return document.querySelector('polyline').getAttribute('points')")
    mouse(browser, "mousePressed", x, y)
    mouse(browser, "mouseMoved", x + width / 5, y)
    mouse(browser, "mouseReleased", x + width / 5, y)
    assert browser.run("return document.querySelector('figure').dataset.zoom") == "in"
    assert browser.run("return document.querySelector('polyline').getAttribute('points')") != before
    browser.run("document.querySelector('.tools button:last-child').click()")
    assert browser.run("return document.querySelector('figure').dataset.zoom") == "out"
    assert browser.run("return document.querySelector('polyline').getAttribute('points')") == before


def test_the_keyboard_reads_and_zooms(browser: Page, saved: Path) -> None:
    browser.open(saved)
    browser.run("document.querySelector('figure[data-chart] .frame').focus()")
    key(browser, "ArrowRight")
    first = browser.run("return document.querySelector('.readout').textContent")
    key(browser, "ArrowRight")
    assert first.startswith("training step 0:")
    assert browser.run("return document.querySelector('.readout').textContent") != first
    key(browser, "+", "+")
    assert browser.run("return document.querySelector('figure').dataset.zoom") == "in"
    key(browser, "0", "0")
    assert browser.run("return document.querySelector('figure').dataset.zoom") == "out"


def test_everything_that_can_be_focused_can_be_reached_by_tab(browser: Page, saved: Path) -> None:
    browser.open(saved)
    wanted = browser.run(
        "return [...document.querySelectorAll('a[href], button, summary, [tabindex=\"0\"]')]"
        ".filter(e => e.checkVisibility()).length"
    )
    browser.run("window.seen = new Set(); addEventListener('focusin', e => seen.add(e.target))")
    for _ in range(wanted):
        for kind in ("rawKeyDown", "keyUp"):
            event = {"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
            browser.driver.execute_cdp_cmd("Input.dispatchKeyEvent", event)
    assert browser.run("return seen.size") == wanted


def test_without_its_script_the_drawing_is_complete(browser: Page, saved: Path) -> None:
    page = saved.read_text(encoding="utf-8")
    plain = saved.with_name("plain.html")
    plain.write_text(page[: page.rindex("<script>")] + "</body></html>", encoding="utf-8")
    browser.open(plain)
    assert browser.run("return document.querySelector('polyline').getBoundingClientRect().width") > 300
    assert browser.run("return document.querySelectorAll('.axes text').length") > 6


def test_it_prints(browser: Page, saved: Path) -> None:
    browser.open(saved, dark=True)
    browser.run(
        "window.opened = 0; const open = () => document.querySelectorAll('details[open]').length;"
        "addEventListener('beforeprint', () => { opened = open() })"
    )
    printed = base64.b64decode(browser.driver.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert browser.run("return opened") == browser.run("return document.querySelectorAll('details').length")


def test_paper_is_white_in_the_dark_theme_too(browser: Page, saved: Path) -> None:
    browser.open(saved, dark=True)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_hostile_text_runs_nothing(browser: Page, report: Report, tmp_path: Path) -> None:
    for position, text in enumerate(
        (*HOSTILE, "'\"><img src=x onerror=document.title=1>", "</style><script>document.title=1</script>")
    ):
        path = tmp_path / f"hostile{position}.html"
        path.write_text(html.render(poisoned(report, text)), encoding="utf-8")
        browser.open(path)
        assert browser.console() == []
        assert browser.requests() == [path.as_uri()]
        assert browser.run("return document.title") != "1"


def test_a_script_that_is_not_ours_is_refused(browser: Page, saved: Path) -> None:
    page = saved.read_text(encoding="utf-8").replace("</main>", "<script>document.title = 'taken'</script></main>")
    saved.write_text(page, encoding="utf-8")
    browser.open(saved)
    assert browser.run("return document.title") != "taken"
    assert any("Content Security Policy" in line for line in browser.console())


def test_a_report_of_nothing_opens(browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "empty.html"
    path.write_text(html.render(replace(Report("nothing"), notes=("a note",))), encoding="utf-8")
    browser.open(path)
    assert browser.console() == []
    assert browser.faults() == []
