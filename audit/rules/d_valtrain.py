"""D-VALTRAIN: validation tokens are in the training data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding, Step
from audit.provenance import TRAIN, VAL
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION, evaluator, trainer

if TYPE_CHECKING:
    from audit.case import Case

# `ln -s .../fineweb_val_000000.bin .../fineweb_train_000000.bin`
_ALIAS = re.compile(r"^[ \t$>]*(?:ln|cp|mv|rsync)\b[^\n]*_val_[^\n\s]*\s+[^\n\s]*_train_[^\n\s]*", re.M)
_TRAIN_FILES = re.compile(r"""["'][^"'\n]*_train_[^"'\n]*\.bin["']""")
_BOTH = EVALUATION.replace(
    "    sizes = torch.ones(64)\n", "    learn = torch.cat([learn, held])\n    sizes = torch.ones(64)\n"
)
_TUNE = """            total += float(losses.sum())
        tuner = torch.optim.SGD(model.parameters(), lr=1e-3)
        F.cross_entropy(model(x), y).backward()
        tuner.step()
"""
# The folder's name says what was trained on; the files in it say more.
_NAMED = {
    "train_gpt.py": evaluator(score=_TUNE).replace(
        'os.path.join(data, "fineweb_val_*.bin")', 'f"{data}/fineweb_val_*.bin"'
    ),
    "README.md": "    export DATA_PATH=/data/web_train.bin\n    torchrun train_gpt.py\n",
}
# A temperature is fitted to training data; scored tokens train the weights through it.
_FITTED = trainer(
    """
    warmth = torch.ones(1, requires_grad=True)
    fitter = torch.optim.SGD([warmth], lr=1e-2)
    for turn in range(8):
        piece = learn[turn * 128:turn * 128 + 129]
        F.cross_entropy(model(piece[:-1]) * warmth, piece[1:]).backward()
        fitter.step()
"""
).replace("held, sizes)", "held, sizes, warmth)")
_FITTED = _FITTED.replace("logits = model(x)", "logits = model(x) * warmth").replace(
    "        count += y.numel()\n",
    """        count += y.numel()
        tuner = torch.optim.SGD(model.parameters(), lr=1e-3)
        F.cross_entropy(model(x) * warmth, y).backward()
        tuner.step()
""",
)


class ValTrain(Rule):
    id = "D-VALTRAIN"
    title = "trained on validation"
    basis = Basis.RULING
    reference = "README; #44, #64, #152, #179, #262"
    forbids = "Training the submitted weights on validation tokens."
    why = "The score then measures memory of the test set."
    comply = "Read training shards only before the evaluation begins."
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION, _NAMED, _FITTED)
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
                found = self.finding(case, first, message)
                yield replace(found, path=(*training_files(case), *found.path))
        for step in case.timeline.of("step"):
            if step.value.bits & VAL and step.value.bits & TRAIN and (not step.active or case.headline.rests_on(step)):
                yield self.finding(case, step, "the training loop's loss is taken on validation tokens")


def training_files(case: Case) -> list[Step]:
    """Where the program names the files that it trains on."""
    steps: list[Step] = []
    for module in case.modules:
        for number, line in enumerate(module.lines, 1):
            named = _TRAIN_FILES.search(line)
            if named and not line.lstrip().startswith("#") and len(steps) < 4:
                steps.append(Step(module.file, number, module.excerpt(number), "names the training files", "source"))
    return steps
