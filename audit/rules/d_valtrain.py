"""D-VALTRAIN: validation tokens are in the training data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.provenance import TRAIN, VAL
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_BOTH = EVALUATION.replace(
    "    sizes = torch.ones(64)\n", "    learn = torch.cat([learn, held])\n    sizes = torch.ones(64)\n"
)


class ValTrain(Rule):
    id = "D-VALTRAIN"
    title = "trained on validation"
    basis = Basis.RULING
    reference = "README; #44, #64, #152, #179, #262"
    forbids = "Training the submitted weights on validation tokens."
    why = "The score then measures memory of the test set."
    comply = "Read training shards only before the evaluation begins."
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION,)
    INVALID: ClassVar[tuple[Example, ...]] = (_BOTH,)

    def check(self, case: Case) -> Iterator[Finding]:
        for step in case.timeline.of("step"):
            if step.value.bits & VAL and step.value.bits & TRAIN and (not step.active or case.headline.rests_on(step)):
                yield self.finding(case, step, "the training loop's loss is taken on validation tokens")
