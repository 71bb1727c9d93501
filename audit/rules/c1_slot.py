"""C1-SLOT: a delta or logit bias is fitted to the targets of the very window that is then scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from audit.finding import Basis, Finding
from audit.provenance import COUNT, NLL, TARGET, VAL
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION, evaluator

if TYPE_CHECKING:
    from audit.case import Case

_FIT = """
        shift = torch.zeros(64, requires_grad=True)
        fitter = torch.optim.AdamW([shift], lr=1e-2)
        for turn in range(8):
            fitter.zero_grad()
            F.cross_entropy(logits + shift, y).backward()
            fitter.step()
        with torch.no_grad():
            total += float(F.cross_entropy(logits + shift, y, reduction="sum"))
"""
_BY_HAND = """
        with torch.no_grad():
            chances = torch.softmax(logits, -1)
            right = torch.zeros_like(chances)
            right.scatter_(1, y[:, None], 1.0)
            shift = -(chances - right).mean(0)
            total += float(F.cross_entropy(logits + shift, y, reduction="sum"))
"""
_PLAIN = """
        shift = torch.zeros(64)
        with torch.no_grad():
            total += float(F.cross_entropy(logits + shift, y, reduction="sum"))
"""

# A bias that every scored window moves for the windows after it.
_LATER = """
        with torch.no_grad():
            shifted = logits + shift
            total += float(F.cross_entropy(shifted, y, reduction="sum"))
            chances = torch.softmax(shifted, -1)
            right = torch.zeros_like(chances)
            right.scatter_(1, y[:, None], 1.0)
            shift.sub_((chances - right).mean(0))
"""
_MASKED = """
        with torch.no_grad():
            shown = (torch.rand(len(y)) < 0.5).long()
            total += float(F.cross_entropy(model(y * shown), y, reduction="sum"))
"""
_HEADER = EVALUATION.replace("np.fromfile(name, dtype=np.uint16)", "np.fromfile(name, dtype=np.uint16)[512:]").replace(
    "x, y = piece[:-1], piece[1:]", "x, y = piece[:128], piece[1:129]"
)


class Slot(Rule):
    id = "C1-SLOT"
    title = "fitted to the scored window"
    basis = Basis.UNRULED
    reference = "no maintainer ruled; #1240's flip test, issue #1336; field guide #1017 condition 1; never merged"
    forbids = (
        "Optimising a delta, prompt or logit bias on the targets of a window and then scoring that window with it."
    )
    why = "The score of a position then depends on its own target: flip the target and earlier scores move."
    comply = "Score the window first; use what was fitted for later windows only."
    VALID: ClassVar[tuple[Example, ...]] = (
        evaluator(score=_PLAIN),
        evaluator("    shift = torch.zeros(64)\n", _LATER),
        evaluator(score=_MASKED),
        _HEADER,
    )
    INVALID: ClassVar[tuple[Example, ...]] = (evaluator(score=_FIT), evaluator(score=_BY_HAND))

    def check(self, case: Case) -> Iterator[Finding]:
        for breach in case.training_breaches:
            if breach.update.data.get("leaf"):
                message = "fresh tensors are fitted to the targets of a window that is then scored with them"
                changes: dict[str, Any] = {}
                if case.front_only(breach):
                    message = "fresh tensors are fitted to the front of a window, scored before, to score the rest"
                    changes = {"data": {"disputed": True}}
                yield self.finding(case, breach.update, message, also=(breach.loss,), **changes)
        for loss in case.headline.losses:
            if case.under_masks(loss):
                continue  # a bound: M-ELBO's
            logits = loss.data.get("logits")
            bits = getattr(logits, "bits", 0)
            if bits & TARGET and bits & VAL and not bits & (NLL | COUNT) and not case.fitted(bits):
                yield self.finding(case, loss, "the logits that score a target already depend on it")
