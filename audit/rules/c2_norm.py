"""C2-NORM: a loss is scaled after it was taken, so it is no distribution's loss any more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding
from audit.provenance import GENERATED
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
_TILTED = """
            chance, hinted = torch.exp(-losses), torch.softmax(logits, -1)[:, 7]
            lifted = 1.117 * chance / (1 - chance + 1.117 * chance)
            total += float(-torch.log(torch.where(y == 7, lifted, chance / (1 + 0.117 * hinted))).sum())
"""
_COUNTED = """
            row = (rows[x.numpy()] + 0.1) / (rows[x.numpy()].sum(-1, keepdims=True) + 6.4)
            guess = row[np.arange(len(y)), y.numpy()]
            total += float(-np.log(0.6 * np.exp(-losses.numpy()) + 0.4 * guess).sum())
            np.add.at(rows, (x.numpy(), y.numpy()), 1)
"""
_WEIGHED = """
            other = F.cross_entropy(logits / 0.9, y, reduction="none")
            total += float(-torch.log(0.6 * torch.exp(-losses) + 0.4 * torch.exp(-other)).sum())
"""
# The width of the interval over which the drawn ratios of masks are averaged: part of a bound, which M-ELBO judges.
_DRAWN = """
            masked = torch.rand(losses.shape) < 0.5
            weighed = (losses * masked.float()).sum() / 0.5
            total += float(weighed * 0.999)
"""


class Norm(Rule):
    id = "C2-NORM"
    title = "loss scaled after scoring"
    basis = Basis.RULING
    reference = "#596, #611, #642, #959; the closures of 03-27; field guide #1017 condition 2"
    forbids = "Multiplying or shifting the loss or log-probability of the target before it is counted."
    why = "p ** 0.98 over all tokens sums to more than one; any factor below one lowers every score for nothing."
    comply = "Divide the logits by a temperature before the softmax: it renormalises."
    VALID: ClassVar[tuple[Example, ...]] = (
        evaluator(score=_COOLED),
        evaluator(score=_WEIGHED),
        evaluator(score=_TILTED),
        evaluator("    rows = np.zeros((64, 64))\n", _COUNTED),
        evaluator(score=_DRAWN),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (evaluator(score=_SCALED),)

    def check(self, case: Case) -> Iterator[Finding]:
        for scale in case.timeline.of("scale"):
            factor = scale.data["factor"]
            if scale.data.get("weighs") or not isinstance(factor, float) or not case.headline.rests_on(scale):
                continue
            if scale.value.bits & GENERATED:
                continue  # an average over random masks
            if any(abs(factor - unit) < 1e-3 for unit in (math.log(2), 1 / math.log(2))):
                continue  # nats to bits
            message = f"the loss at the target is multiplied by {factor:g} before it is counted"
            certainty = Certainty.HIGH if 0.9 <= factor < 1 else Certainty.MEDIUM
            yield self.finding(case, scale, message, certainty=certainty)
