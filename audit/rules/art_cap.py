"""ART-CAP: code and compressed model stay under 16,000,000 bytes; the finding tells the least of the totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from audit.evidence.art_cap import ArtCap as LoggedCap
from audit.evidence.evidence import Evidence
from audit.evidence.sizes import account
from audit.finding import Finding

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
            yield replace(finding, data={**finding.data, "least": worst}) if worst else finding
