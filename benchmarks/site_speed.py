"""Measures the corpus site's index in Chromium: first paint, and the time from a key to the table laid out again.

    python benchmarks/site_speed.py [--rows 1850] [--rounds 5] [--index SITE/index.html]

Rows are made up, or those of a site that `golfproof report --corpus` has written (--index). Prints medians in
milliseconds. Needs chromium, chromedriver and the extra ``test-browser``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "reports")]

FILTER = """
const form = document.getElementById('filters'), begun = performance.now();
form.text.value = arguments[0];
form.dispatchEvent(new Event('input', {bubbles: true}));
document.body.offsetHeight;  // lays the table out
return performance.now() - begun;
"""
SORT = """
const begun = performance.now();
document.querySelectorAll('#table thead button')[arguments[0]].click();
document.body.offsetHeight;
return performance.now() - begun;
"""
PAINT = "return performance.getEntriesByName('first-contentful-paint')[0].startTime"


def main() -> None:
    """Print the medians."""
    from browser import start
    from test_report_site import made

    from reports.site import render_index

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1850)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--index", type=Path)
    options = parser.parse_args()
    entries = [
        made(number, words="three blocks of attention, repeated four times " * 4) for number in range(options.rows)
    ]
    with tempfile.TemporaryDirectory() as folder:
        index = options.index or Path(folder) / "index.html"
        if options.index is None:
            index.write_text(render_index(entries), encoding="utf-8")
        size = index.stat().st_size
        rows = index.read_text(encoding="utf-8").count("<tr data-t=")
        found: dict[str, list[float]] = {}
        browsers = start(Path(folder) / "profile")
        page: Any = next(browsers)
        for _ in range(options.rounds):
            page.open(index.resolve(), width=1400)
            found.setdefault("first contentful paint", []).append(page.run(PAINT))
            for text in ("a", "author3", "mixer", "#17", "no such thing", ""):
                found.setdefault(f"filter {text!r}", []).append(page.run(FILTER, text))
            for column in (1, 4):
                found.setdefault(f"sort column {column}", []).append(page.run(SORT, column))
        browsers.close()  # type: ignore[attr-defined]
    sys.stdout.write(f"{rows} rows, {size:,} bytes\n")
    for name, values in found.items():
        sys.stdout.write(f"{name:<24} {statistics.median(values):8.1f} ms (worst {max(values):.1f})\n")


if __name__ == "__main__":
    main()
