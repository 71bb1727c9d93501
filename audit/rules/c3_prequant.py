"""C3-PREQUANT: fine-tuning on the validation tokens before the artifact is written, then scoring the same tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION, trainer

if TYPE_CHECKING:
    from audit.case import Case

_ADAPT = """
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for turn in range(3):
        for start in range(0, len(held) - 1, 128):
            piece = held[start:start + 129]
            loss = F.cross_entropy(model(piece[:-1]), piece[1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
"""
# The scorer runs the layers of the unwrapped model itself.
_BY_LAYERS = """
def forward_layers(model, ids):
    inner = model
    if hasattr(inner, "module"):
        inner = inner.module
    if hasattr(inner, "_orig_mod"):
        inner = inner._orig_mod
    return F.linear(inner.embed(ids), inner.head.weight)

"""


def _scored_by_layers(before_save: str = "") -> str:
    return trainer(before_save=before_save, functions=_BY_LAYERS).replace(
        "logits = model(x)", "logits = forward_layers(model, x)"
    )


# Adapted after the artifact was written and read back: C3-TTT's. What is saved at the end are scores.
_SCORE_KEPT = trainer(before_score=_ADAPT.replace("model", "restored")).replace(
    "\n\nif __name__", '\n    torch.save({"val_bpb": val_bpb}, "scores.pt")\n\n\nif __name__'
)


class PreQuant(Rule):
    id = "C3-PREQUANT"
    title = "fine-tuned on validation before quantisation"
    basis = Basis.RULING
    reference = "#1972, #1902 (cocohearts); field guide #1017 condition 3"
    forbids = "Training on validation tokens before the artifact is written and then scoring those tokens with it."
    why = "The score is then taken after the weights have seen the answers: score-after-adapt."
    comply = "Adapt only on tokens whose score is already counted, chunk by chunk, after the artifact is fixed."
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION, _scored_by_layers(), _SCORE_KEPT)
    INVALID: ClassVar[tuple[Example, ...]] = (trainer(before_save=_ADAPT), _scored_by_layers(_ADAPT))

    def check(self, case: Case) -> Iterator[Finding]:
        for breach in case.training_breaches:
            if breach.how == "before" and case.reaches_artifact(breach.update):
                message = (
                    "the weights are trained on validation tokens, written to the artifact, and score those tokens"
                )
                yield self.finding(
                    case, breach.update, message, also=(breach.loss, *case.counted(breach.loss)), rounds=True
                )
