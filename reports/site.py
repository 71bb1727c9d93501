"""The corpus site: a static table of all audited submissions, a page each, and the leaderboard that would stand."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from reports import digest, html
from reports.entries import LEAST_SEEDS, Entry, entry_of, leaderboard
from reports.report import Report, generator
from reports.write import write_text


def write_site(
    reports: Iterable[Report],
    out: str | Path,
    *,
    title: str = "Submissions",
    progress: Callable[[], None] | None = None,
) -> Path:
    """Write index.html, leaderboard.html and pages/*.html into ``out`` (made if missing); gives the index's path.

    Reports are taken one at a time: a corpus of thousands need not fit into memory.
    """
    out = Path(out)
    (out / "pages").mkdir(parents=True, exist_ok=True)
    entries: list[Entry] = []
    taken: Counter[str] = Counter()
    for report in reports:
        page = f"pages/{_slug(report, taken)}.html"
        write_text(out / page, html.render(report, home="../index.html"))
        entries.append(entry_of(report, page))
        if progress is not None:
            progress()
    write_text(out / "leaderboard.html", render_leaderboard(entries))
    return write_text(out / "index.html", render_index(entries, title))


def _slug(report: Report, taken: Counter[str]) -> str:
    """A file name that no other page has, readable where the submission's place is."""
    folded = unicodedata.normalize("NFKD", report.folder or report.submission).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "-", folded).strip("-").lower()[:100] or "submission"
    taken[slug] += 1
    if taken[slug] == 1:
        return slug
    return _slug_again(slug, taken)


def _slug_again(slug: str, taken: Counter[str]) -> str:
    number = taken[slug]
    while f"{slug}-{number}" in taken:
        number += 1
    taken[slug] = number
    taken[f"{slug}-{number}"] += 1
    return f"{slug}-{number}"


def render_index(entries: list[Entry], title: str = "Submissions") -> str:
    """The table of all entries with its filters; works from a file, without a network."""
    entries = sorted(entries, key=lambda entry: (-(entry.pull or 0), entry.name))
    verdicts = Counter(entry.verdict for entry in entries)
    rules = Counter(rule for entry in entries for rule in entry.rules)
    return html.page(
        "site.html.j2",
        script="site.js",
        title=title,
        entries=entries,
        board=leaderboard(entries),
        # Lines of `golfproof audit --format jsonl` hold no scores: unknown is not the same as none.
        weighed=any(entry.claimed is not None or entry.supported is not None for entry in entries),
        verdicts=[(name, verdicts[name]) for name in dict.fromkeys((*digest.VERDICTS, *verdicts)) if verdicts[name]],
        rules=sorted(rules.items()),
        generated_by=generator(),
        cap=digest.CAP_BYTES,
        cap_seconds=digest.CAP_SECONDS,
        slack_seconds=digest.SLACK_SECONDS,
    )


def render_leaderboard(entries: list[Entry]) -> str:
    """The entries that would stand, the best first."""
    return html.page(
        "leaderboard.html.j2",
        script="site.js",
        entries=entries,
        board=leaderboard(entries),
        least_seeds=LEAST_SEEDS,
        generated_by=generator(),
    )
