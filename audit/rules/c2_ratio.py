"""C2-RATIO: the quotient of two hash buckets is used as a probability."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.c1_hashkey import KEYED, ROWS, TABLE
from audit.rules.examples import evaluator

if TYPE_CHECKING:
    from audit.case import Case


class BucketRatio(Rule):
    id = "C2-RATIO"
    title = "ratio of two hash buckets"
    basis = Basis.RULING
    reference = "#779, #982 (closures); #886, #1147 (sums measured); field guide #1017 condition 2"
    forbids = "Dividing the count in one hash bucket by the count in another and using it as a probability."
    why = "Buckets collide, each for itself: summed over the vocabulary such ratios reach hundreds instead of one."
    comply = "Count rows of all tokens under a context key and divide by the row's own sum."
    VALID: ClassVar[tuple[Example, ...]] = (evaluator(TABLE, ROWS),)
    INVALID: ClassVar[tuple[Example, ...]] = (evaluator(TABLE, KEYED),)

    def check(self, case: Case) -> Iterator[Finding]:
        for ratio in case.timeline.of("ratio"):
            if not ratio.active or case.headline.rests_on(ratio):
                yield self.finding(case, ratio, "the quotient of two hash-bucket counts is used as a probability")
