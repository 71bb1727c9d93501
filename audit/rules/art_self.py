"""ART-SELF: the program fetches something from outside, or runs another program that does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION, trainer

if TYPE_CHECKING:
    from audit.case import Case

_FETCHES = re.compile(r"https?://|\b(?:curl|wget|pip|git clone|huggingface-cli|rsync|scp)\b")
_DOWNLOAD = """
    import urllib.request
    urllib.request.urlretrieve("https://example.org/table.bin", "table.bin")
"""


class SelfContained(Rule):
    id = "ART-SELF"
    title = "fetches from outside"
    severity = Severity.WARNING
    certainty = Certainty.MEDIUM
    basis = Basis.README
    reference = "README FAQ: no network and no external downloads during evaluation"
    forbids = "Downloading, installing or calling out to the network from the submitted program."
    why = "What is fetched is not in the 16 MB, and the evaluation has no network."
    comply = "Name packages in requirements.txt; ship everything else in the artifact."
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION,)
    INVALID: ClassVar[tuple[Example, ...]] = (trainer(before_score=_DOWNLOAD),)

    def check(self, case: Case) -> Iterator[Finding]:
        for call in case.timeline.of("outside"):
            how = str(call.data["how"])
            runs = how in ("run", "check_call", "check_output", "Popen", "call", "system")
            if runs and not _FETCHES.search(call.text):
                continue
            if how == "load_inline":
                continue
            yield self.finding(case, call, f"{how} reaches outside the submission: {call.text[:100] or 'unknown'}")
