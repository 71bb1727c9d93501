"""M-ELBO: a bound over drawn masks is reported as if it were the loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_LOGITS = "            logits = model(x)\n"
_MASKED = """            shown = (torch.rand(len(y)) < 0.5).long()
            logits = model(y * shown)
"""


class Bound(Rule):
    id = "M-ELBO"
    title = "bound reported as loss"
    severity = Severity.NOTE
    certainty = Certainty.LOW
    basis = Basis.UNRULED
    reference = "#1403 (a quadrature of eight mask ratios); nobody ruled"
    forbids = "Reporting a truncated or sampled bound of a diffusion model as the validation loss."
    why = "Only a full bound is sure to lie above the true loss; with parts of the integral left out it may lie below."
    comply = "Evaluate a bound whose every term is paid for, and say in the README that it is one."
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION,)
    INVALID: ClassVar[tuple[Example, ...]] = (EVALUATION.replace(_LOGITS, _MASKED),)

    def check(self, case: Case) -> Iterator[Finding]:
        for loss in case.headline.losses:
            if case.under_masks(loss):
                message = "the model sees the scored tokens through masks drawn at random: the loss is that of a bound"
                yield self.finding(case, loss, message)
