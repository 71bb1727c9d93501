"""D-VALTRAIN: validation tokens are in the training data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.provenance import TRAIN, VAL
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

# `ln -s .../fineweb_val_000000.bin .../fineweb_train_000000.bin`
_ALIAS = re.compile(r"^[ \t$>]*(?:ln|cp|mv|rsync)\b[^\n]*_val_[^\n\s]*\s+[^\n\s]*_train_[^\n\s]*", re.M)
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
    INVALID: ClassVar[tuple[Example, ...]] = (
        _BOTH,
        {
            "train_gpt.py": EVALUATION,
            "README.md": "    ln -s data/fineweb_val_000000.bin only/fineweb_train_000000.bin\n",
        },
    )

    def check(self, case: Case) -> Iterator[Finding]:
        link = _ALIAS.search(case.folder.readme_text)
        if link is not None:
            first = next((e for e in case.timeline.of("step") if e.active and e.value.bits & TRAIN), None)
            if first is not None:
                message = f"the README gives the validation shard a training shard's name: {link[0].strip()[:120]}"
                yield self.finding(case, first, message)
        for step in case.timeline.of("step"):
            if step.value.bits & VAL and step.value.bits & TRAIN and (not step.active or case.headline.rests_on(step)):
                yield self.finding(case, step, "the training loop's loss is taken on validation tokens")
