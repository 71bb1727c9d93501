"""M-CLAMP: token ids are clamped to a smaller vocabulary before they are scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity
from audit.provenance import TARGET
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_CLAMPED = EVALUATION.replace(
    "F.cross_entropy(logits, y, reduction", "F.cross_entropy(logits, y.clamp(max=31), reduction"
)


class Clamp(Rule):
    id = "M-CLAMP"
    title = "targets clamped"
    severity = Severity.WARNING
    certainty = Certainty.MEDIUM
    basis = Basis.MEASUREMENT
    reference = "raised on #1723 (closed)"
    forbids = "Clamping or folding the target ids to fewer than the tokenizer's."
    why = "All ids above the limit become one easy token, while their bytes still count. Harmless where no id is above."
    comply = "Give the model an output for each id of the tokenizer."
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION,)
    INVALID: ClassVar[tuple[Example, ...]] = (_CLAMPED,)

    def check(self, case: Case) -> Iterator[Finding]:
        for clamp in case.timeline.of("clamp"):
            if clamp.value.bits & TARGET and (not clamp.active or case.headline.rests_on(clamp)):
                yield self.finding(case, clamp, "target ids are clamped: ids above the limit would become one token")
