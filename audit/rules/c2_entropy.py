"""C2-ENTROPY: one of the mixed experts is a number that does not depend on the token being scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.examples import evaluator

if TYPE_CHECKING:
    from audit.case import Case

_EXPERTS = """
            logp = F.log_softmax(logits, dim=-1)
            first = -logp.gather(1, y[:, None]).squeeze(1)
            second = torch.full_like(first, math.log(64))
{third}
            mixed = -torch.logsumexp(-torch.stack([first, second{name}], -1) - math.log({n}), -1)
            total += float(mixed.sum())
"""
_SURPRISE = _EXPERTS.format(third="            doubt = -(logp.exp() * logp).sum(-1)", name=", doubt", n=3)
_WITHOUT = _EXPERTS.format(third="", name="", n=2)


class EntropyExpert(Rule):
    id = "C2-ENTROPY"
    title = "target-independent expert"
    basis = Basis.FIELD_GUIDE
    reference = "field guide #1017 condition 2; measured on #700 and #1384 (mass 1.46 to 51); #688, #745, #824 closed"
    forbids = "Mixing a per-position number that ignores the target, such as the model's entropy, as an expert's loss."
    why = (
        "exp(-entropy) is then given to every token of the vocabulary, so the mixture's probabilities sum to far more "
        "than one. On hard tokens the loss is capped near the entropy: the scorer is paid for surprise."
    )
    comply = "Use entropy to set mixing weights, never as a mixed likelihood."
    VALID: ClassVar[tuple[Example, ...]] = (evaluator(score=_WITHOUT),)
    INVALID: ClassVar[tuple[Example, ...]] = (evaluator(score=_SURPRISE),)

    def check(self, case: Case) -> Iterator[Finding]:
        for expert in case.timeline.of("expert", "bias"):
            if not expert.active or case.headline.rests_on(expert):
                message = "a number that does not depend on the target is mixed in as one of the experts' losses"
                yield self.finding(case, expert, message)
        for lookup in case.timeline.of("lookup"):
            if lookup.active and case.headline.rests_on(lookup) and not case.keyed_by_target(lookup):
                message = "the key ends on the model's input token, so every target is given the same number"
                yield self.finding(case, lookup, message)
