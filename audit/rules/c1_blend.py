"""C1-BLEND: a mixture is evaluated at the target only, with a side that is no distribution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.c1_hashkey import KEYED, ROWS, TABLE
from audit.rules.examples import evaluator

if TYPE_CHECKING:
    from audit.case import Case


_SUM = "            chance = 0.5 * np.exp(-losses.numpy()) + 0.5 * guess\n"
_STACKED = """            both_sides = np.stack([np.exp(-losses.numpy()), guess], -1)
            chance = (np.array([0.5, 0.5]) * both_sides).sum(-1)
"""
_MIXED = "            chance = 0.5 * np.exp(-losses.numpy()) + 0.5 * guess\n"
_AT_TARGET = "np.clip(3 * guess, 0, 1)"
_OF_CONTEXT = "seen / (seen + 8)"


def _weighed(weight: str) -> str:
    mixed = f"""            seen = rows[mixed].sum(-1)
            share = {weight}
            chance = (1 - share) * np.exp(-losses.numpy()) + share * guess
"""
    return ROWS.replace(_MIXED, mixed)


# Counts of hashed contexts, a column a token, with the model's chance as their prior: the divisor is the row's own sum.
_COUNTS = "    rows, seen = torch.zeros(4096, 64), torch.zeros(4096)\n"
_PRIOR = """
            key = ((torch.roll(x, 1) * 36313) ^ (x * 27191)) % 4096
            chance = F.softmax(logits, dim=-1).gather(1, y[:, None]).squeeze(1)
            mixed = (rows[key, y] + 4.0 * chance) / (seen[key] + 4.0)
            total -= float(mixed.log().sum())
            rows.index_put_((key, y), torch.ones(len(y)), accumulate=True)
            seen.index_add_(0, key, torch.ones(len(y)))
"""


class Blend(Rule):
    id = "C1-BLEND"
    title = "mixture at the target only"
    basis = Basis.RULING
    reference = "#1185, #1026; #972 scores 1.5134 when normalised (#978); field guide #1017 condition 1"
    forbids = (
        "Mixing the model's probability of the target with a number that was never normalised over the vocabulary."
    )
    why = "What the other tokens would get is never computed, so nothing keeps the mixture's sum at one."
    comply = "Mix two distributions over the whole vocabulary, then take the target's entry."
    VALID: ClassVar[tuple[Example, ...]] = (
        evaluator(TABLE, ROWS),
        evaluator(TABLE, _weighed(_OF_CONTEXT)),
        evaluator(_COUNTS, _PRIOR),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        evaluator(TABLE, KEYED),
        evaluator(TABLE, KEYED.replace(_SUM, _STACKED)),
        evaluator(TABLE, _weighed(_AT_TARGET)),
    )

    def check(self, case: Case) -> Iterator[Finding]:
        for blend in case.timeline.of("blend"):
            if not blend.active or case.headline.rests_on(blend):
                message = "the mixture is taken at the target only; one side was never normalised over the vocabulary"
                if blend.data.get("weight"):
                    message = "the weight of the mixture is read at the target: the tokens' chances need not sum to one"
                yield self.finding(case, blend, message)
