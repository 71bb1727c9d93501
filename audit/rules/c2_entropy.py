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

# The entropy of the model's prediction, written in the ways that programs write it.
_ENTROPIES = (
    "p = F.softmax(logits, dim=-1)\n            doubt = -(p * p.log()).sum(-1)",
    "norm = torch.logsumexp(logits, dim=-1, keepdim=True)\n"
    "            doubt = -((logits - norm).exp() * (logits - norm)).sum(-1)",
    "weights = logits.exp()\n            p = weights / weights.sum(-1, keepdim=True)\n"
    "            doubt = -(p * torch.log(p)).sum(-1)",
    "doubt = torch.logsumexp(logits, -1) - (F.softmax(logits, -1) * logits).sum(-1)",
    "moved = logits - logits.amax(-1, keepdim=True)\n            weights = moved.exp()\n"
    "            whole = weights.sum(-1)\n            doubt = whole.log() - (weights * moved).sum(-1) / whole",
    "doubt = torch.distributions.Categorical(logits=logits).entropy()",
    "doubt = torch.special.entr(F.softmax(logits, -1)).sum(-1)",
    'doubt = F.cross_entropy(logits, F.softmax(logits, -1), reduction="none")',
    'doubt = -torch.einsum("bv,bv->b", logp.exp(), logp)',
)
_WRITTEN = tuple(_EXPERTS.format(third=f"            {form}", name=", doubt", n=3) for form in _ENTROPIES)

_THREE = """
            logp = F.log_softmax(logits, dim=-1)
            doubt = -(logp.exp() * logp).sum(-1)
            first = logp.gather(1, y[:, None]).squeeze(1)
            second = torch.full_like(first, -math.log(64))
{together}
            total -= float(mixed.sum())
"""
_TOGETHER = (
    "rows = torch.stack([first, second, -doubt])\n            mixed = torch.logsumexp(rows, dim=0) - math.log(3)",
    "rows = torch.stack([first, second, -doubt]).t()\n            mixed = torch.logsumexp(rows, dim=-1) - math.log(3)",
    "rows = torch.cat([first[:, None], second[:, None], -doubt[:, None]], dim=1)\n"
    "            mixed = (rows.exp() / 3).sum(-1).log()",
    "rows = torch.empty(len(y), 3)\n            rows[:, 0] = first\n            rows[:, 1] = second\n"
    "            rows[:, 2] = -doubt\n            mixed = torch.logsumexp(rows, dim=-1) - math.log(3)",
    "rows = torch.empty(len(y), 3)\n            rows[:, 2] = -doubt\n            rows[:, 1] = second\n"
    "            rows[:, 0] = first\n            mixed = torch.logsumexp(rows, dim=-1) - math.log(3)",
    "pair = torch.stack([first, doubt], dim=-1)\n"
    "            rows = torch.stack([pair[:, 0], second, -pair[:, 1]], dim=-1)\n"
    "            mixed = torch.logsumexp(rows, dim=-1) - math.log(3)",
    "mixed = ((first.exp() + second.exp() + torch.exp(-doubt)) / 3).log()",
)
_STACKED = tuple(_THREE.format(together=f"            {form}") for form in _TOGETHER)

# Lawful: the entropy decides how much each expert counts, or only travels beside the loss.
_GATED = _THREE.format(
    together="""            share = torch.sigmoid(doubt - 2.0)
            mixed = torch.logaddexp(first + torch.log1p(-share), second + share.log())"""
)
_BESIDE = _THREE.format(
    together="""            pair = torch.stack([first, doubt], dim=-1)
            share = torch.sigmoid(pair[:, 1] - 2.0)
            rows = torch.stack([pair[:, 0] + torch.log1p(-share), second + share.log()], dim=-1)
            mixed = torch.logsumexp(rows, dim=-1)"""
)
_PREPARED = _THREE.format(
    together="""            pair = torch.zeros(len(y), 2)
            pair[:, 0] = first
            pair[:, 1] = doubt
            share = torch.sigmoid(pair[:, 1] - 2.0)
            mixed = torch.logaddexp(pair[:, 0] + torch.log1p(-share), second + share.log())"""
)
_FEATURE = _THREE.format(
    together="""            known = torch.stack([doubt, logp.max(-1).values], dim=-1)
            shares = F.log_softmax(known @ torch.ones(2, 2), dim=-1)
            mixed = torch.logsumexp(torch.stack([first, second], dim=-1) + shares, dim=-1)"""
)
_BY_HAND = """
            moved = logits - logits.amax(-1, keepdim=True)
            norm = moved.exp().sum(-1).log()
            total += float((norm - moved.gather(1, y[:, None]).squeeze(1)).sum())
"""
_TEMPERED = """
            weights = logits.exp()
            whole = weights.sum(-1)
            doubt = whole.log() - (weights * logits).sum(-1) / whole
            cooled = logits / (1.0 + 0.1 * doubt)[:, None]
            norm = torch.logsumexp(cooled, -1)
            total += float((norm - cooled.gather(1, y[:, None]).squeeze(1)).sum())
"""


class EntropyExpert(Rule):
    id = "C2-ENTROPY"
    version = 2
    title = "target-independent expert"
    basis = Basis.FIELD_GUIDE
    reference = "field guide #1017 condition 2; measured on #700 and #1384 (mass 1.46 to 51); #688, #745, #824 closed"
    forbids = "Mixing a per-position number that ignores the target, such as the model's entropy, as an expert's loss."
    why = (
        "exp(-entropy) is then given to every token of the vocabulary, so the mixture's probabilities sum to far more "
        "than one. On hard tokens the loss is capped near the entropy: the scorer is paid for surprise."
    )
    comply = "Use entropy to set mixing weights, never as a mixed likelihood."
    VALID: ClassVar[tuple[Example, ...]] = tuple(
        evaluator(score=score) for score in (_WITHOUT, _GATED, _BESIDE, _PREPARED, _FEATURE, _BY_HAND, _TEMPERED)
    )
    INVALID: ClassVar[tuple[Example, ...]] = tuple(
        evaluator(score=score) for score in (_SURPRISE, *_WRITTEN, *_STACKED)
    )

    def check(self, case: Case) -> Iterator[Finding]:
        for expert in case.timeline.of("expert", "bias"):
            if not expert.active or case.headline.rests_on(expert):
                message = "a number that does not depend on the target is mixed in as one of the experts' losses"
                yield self.finding(case, expert, message)
        for lookup in case.timeline.of("lookup"):
            if lookup.active and case.headline.rests_on(lookup) and not case.keyed_by_target(lookup):
                message = "the key ends on the model's input token, so every target is given the same number"
                yield self.finding(case, lookup, message)
