"""C1-ORACLE: the better of several scorers is picked by the loss on the true token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding
from audit.rule import Example, Rule
from audit.rules.examples import evaluator

if TYPE_CHECKING:
    from audit.case import Case

_BEST = """
            other = F.cross_entropy(logits / 0.9, y, reduction="none")
            total += float(torch.minimum(losses, other).sum())
"""
_GATED = """
            other = F.cross_entropy(logits / 0.9, y, reduction="none")
            sure = torch.softmax(logits, -1).max(-1).values > 0.5
            total += float(torch.where(sure, losses, other).sum())
"""


class Oracle(Rule):
    id = "C1-ORACLE"
    title = "scorer picked by the truth"
    basis = Basis.RULING
    reference = "#573, #611, #614, #659, #685; field guide #1017 condition 1"
    forbids = "Choosing among scorers, epochs or trajectories by their loss on the true token."
    why = "The choice needs the answer. The minimum of two losses is the loss of no distribution."
    comply = "Choose or weigh by what is known before the target: the model's entropy, counts of the context."
    VALID: ClassVar[tuple[Example, ...]] = (evaluator(score=_GATED),)
    INVALID: ClassVar[tuple[Example, ...]] = (evaluator(score=_BEST),)

    def check(self, case: Case) -> Iterator[Finding]:
        for choice in case.timeline.of("choose"):
            if choice.active and not case.headline.rests_on(choice):
                continue
            if choice.data.get("reported"):
                message = "what is scored is chosen by its score on the validation set"
                yield self.finding(case, choice, message, certainty=Certainty.MEDIUM)
            else:
                yield self.finding(case, choice, "the lower of several losses on the true token is kept")
        for match in case.timeline.of("match"):
            if not match.active or case.headline.rests_on(match):
                yield self.finding(case, match, "the loss is zero where a stored copy agrees with the target")
