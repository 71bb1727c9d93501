"""C3-WARMUP: the weights are moved on validation tokens while kernels warm up, and put back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.events import common_loops
from audit.finding import Basis, Certainty, Finding, Severity
from audit.provenance import VAL
from audit.rule import Example, Rule
from audit.rules.examples import evaluator, trainer

if TYPE_CHECKING:
    from audit.case import Case

_WARM = """
    kept = {{name: value.clone() for name, value in model.state_dict().items()}}
    warm = torch.optim.SGD(model.parameters(), lr=1e-3)
    piece = {source}
    F.cross_entropy(model(piece[:-1]), piece[1:]).backward()
    warm.step()
    model.load_state_dict(kept)
"""
# What a chunk teaches is tried on nothing and forgotten: every chunk is scored by the weights as they were loaded.
_TUNER = """
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    tuner = torch.optim.SGD(model.parameters(), lr=1e-3)
"""
_BY_TURNS = """
            total += float(losses.sum())
        F.cross_entropy(model(x), y).backward()
        tuner.step()
        model.load_state_dict(kept)
"""
# A pass of its own, scored before it learns, whose score is not the reported one.
_APART = """
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    tuner = torch.optim.SGD(model.parameters(), lr=1e-3)
    tried = 0.0
    for start in range(0, len(held) - 1, 128):
        piece = held[start:start + 129]
        with torch.no_grad():
            tried += float(F.cross_entropy(model(piece[:-1]), piece[1:], reduction="sum"))
        F.cross_entropy(model(piece[:-1]), piece[1:]).backward()
        tuner.step()
    model.load_state_dict(kept)
"""


class WarmUp(Rule):
    id = "C3-WARMUP"
    title = "warm-up steps on validation"
    severity = Severity.WARNING
    certainty = Certainty.MEDIUM
    basis = Basis.UNRULED
    reference = "raised on #1530, which was merged"
    forbids = "Sending gradients of validation tokens into the weights while compiled kernels warm up."
    why = "If the state is not put back exactly, the score rests on tokens trained on."
    comply = "Warm up on random or training tokens, and restore the state."
    VALID: ClassVar[tuple[Example, ...]] = (
        trainer(_WARM.format(source="torch.randint(0, 64, (129,))")),
        evaluator(_TUNER, _BY_TURNS),
        trainer(_APART),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (trainer(_WARM.format(source="held[:129]")),)

    def check(self, case: Case) -> Iterator[Finding]:
        report = case.headline.report
        for step in case.timeline.of("step"):
            if not step.active or not step.value.bits & VAL or step.data.get("leaf") or report is None:
                continue
            if any(common_loops(step, loss) for loss in case.headline.losses):
                continue  # scoring and learning by turns is no warm-up
            if case.scored_with(step) is not None:
                continue  # nor is a pass with a score of its own
            if step.order < report.order and not case.headline.rests_on(step):
                yield self.finding(case, step, "weights move on validation tokens and are put back before the score")
