"""ART-CAP: code and compressed model stay under 16,000,000 bytes; the finding tells the least of the totals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from audit.evidence.art_cap import ArtCap as LoggedCap
from audit.evidence.evidence import Evidence
from audit.evidence.sizes import account
from audit.finding import Finding, Step

if TYPE_CHECKING:
    from audit.case import Case


class Cap(LoggedCap):
    def check(self, case: Case) -> Iterator[Finding]:
        for finding in super().check(case):
            evidence = Evidence.of_case(case)
            worst = 0
            for run in evidence.reported:
                sizes = account(evidence, run, pack=True)
                totals = [total for total in (sizes.logged, sizes.shipped, sizes.packed) if total is not None]
                worst = max(worst, min(totals, default=0))
            # Reviewers have gone by the log, by what ships, and by what it packs to: the least of them, over the seeds.
            finding = replace(finding, path=(*finding.path, *told_sizes(case)))
            yield replace(finding, data={**finding.data, "least": worst}) if worst else finding


_SIZE = re.compile(r"\b(?:total|submission|artifact)\b.{0,40}\b(?:size|bytes|MB|MiB)\b|\bexceed", re.I)


def told_sizes(case: Case) -> list[Step]:
    """Where the program prints how large its artifact is, and whether that is too large."""
    steps: list[Step] = []
    for event in case.timeline.of("report"):
        teller = event.calls[-1] if event.data.get("depth") and event.calls else event  # a function that only prints
        place = (teller.file, teller.line)
        if _SIZE.search(event.text) and place not in {(s.file, s.line) for s in steps} and len(steps) < 6:
            steps.append(Step(*place, case.excerpt(*place), "tells the size"))
    return steps
