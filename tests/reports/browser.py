"""A headless Chromium for the page tests: started once, fresh profile, everything it logs and asks for is kept."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Page:
    """One page in the browser, with what it logged and the addresses it asked for."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, *, dark: bool = False, width: int = 1100, height: int = 900) -> None:
        """Load a file under a theme and a width in CSS pixels; earlier logs are dropped."""
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": [scheme]})
        self.size(width, height)
        self.driver.get(path.as_uri())

    def size(self, width: int, height: int) -> None:
        """Set the viewport, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script: str, *arguments: object) -> Any:
        """The value of a script's ``return``."""
        return self.driver.execute_script(script, *arguments)

    def console(self) -> list[str]:
        """What the page wrote to the console, refused resources included."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses of everything the page asked for, itself included; data: is no request."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [one["params"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        # The browser's own first page may still be loading its parts.
        ours = [one["request"]["url"] for one in asked if not one["documentURL"].startswith("chrome:")]
        return [address for address in ours if not address.startswith("data:")]

    def faults(self) -> list[str]:
        """What axe-core finds of serious or critical impact, as rule and element."""
        import axe_core_python

        axe = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
        # Through the debugger, which the page's own policy against foreign scripts does not bind.
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": axe + "; 0"})
        found = self.driver.execute_cdp_cmd(
            "Runtime.evaluate",
            {
                "expression": "axe.run(document).then(result => JSON.stringify(result.violations))",
                "awaitPromise": True,
                "returnByValue": True,
            },
        )
        violations = json.loads(found["result"]["value"])
        return [
            f"{one['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
            for one in violations
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]


def start(profile: Path) -> Iterator[Page]:
    """The browser with a fresh profile; skips, saying what is missing, where there is none."""
    selenium = pytest.importorskip(
        "selenium", reason="selenium is not installed: pip install 'golfproof[test-browser]'"
    )
    pytest.importorskip("axe_core_python", reason="axe-core is not installed: pip install 'golfproof[test-browser]'")
    binary = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
    )
    driver_binary = shutil.which("chromedriver")
    if not binary or not driver_binary:
        if os.environ.get("GOLFPROOF_NEEDS_BROWSER"):
            pytest.fail("GOLFPROOF_NEEDS_BROWSER is set and there is no chromium with chromedriver")
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    assert selenium is not None
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_binary))
    try:
        driver.get("about:blank")
        yield Page(driver)
    finally:
        driver.quit()
