"""C2-NORM: a loss is scaled after it was taken, so it is no distribution's loss any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.examples import evaluator

if TYPE_CHECKING:
    from audit.case import Case

_SCALED = """
            total += float((0.98 * losses).sum())
"""
_COOLED = """
            total += float(F.cross_entropy(logits / 0.98, y, reduction="sum"))
"""


class Norm(Rule):
    id = "C2-NORM"
    title = "loss scaled after scoring"
    basis = Basis.RULING
    reference = "#596, #611, #642, #959; the closures of 03-27; field guide #1017 condition 2"
    forbids = "Multiplying or shifting the loss or log-probability of the target before it is counted."
    why = "p ** 0.98 over all tokens sums to more than one; any factor below one lowers every score for nothing."
    comply = "Divide the logits by a temperature before the softmax: it renormalises."
    VALID: ClassVar[tuple[Example, ...]] = (evaluator(score=_COOLED),)
    INVALID: ClassVar[tuple[Example, ...]] = (evaluator(score=_SCALED),)

    def check(self, case: Case) -> Iterator[Finding]:
        for scale in case.timeline.of("scale"):
            if case.headline.rests_on(scale):
                factor = scale.data["factor"]
                yield self.finding(
                    case, scale, f"the loss at the target is multiplied by {factor} before it is counted"
                )
