"""D-SEED: the seed was chosen by its score."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity
from audit.prose import telling
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_CHOSEN = re.compile(
    r"""seed[- ](?:hunt(?:ing)?|lottery|mining|search(?:ing)?|brute[- ]?forc\w+)
    | brute[- ]?forc\w+\s+(?:the\s+|over\s+)?seeds?
    | (?:cherry[- ]?pick\w*|hand[- ]?pick\w*)\s+(?:the\s+)?(?:best\s+)?seeds?
    | lucky\s+seeds?
    | best\s+(?:\w+\s+)?(?:of|out\s+of|among|from)\s+(?:\w+\s+)?\d+\s+(?:\w+\s+)?seeds
    | (?:top|best)[- ](?:three|3|five|5)\s+(?:of|out\s+of|from)\s+(?:the\s+)?\d+\s+seeds
    """,
    re.I | re.X,
)


class ChosenSeed(Rule):
    id = "D-SEED"
    title = "seed chosen by its score"
    severity = Severity.NOTE
    certainty = Certainty.LOW
    basis = Basis.README
    reference = "README: no brute-forcing of seeds; three runs are the custom"
    forbids = "Trying many seeds and reporting those that score best."
    why = "Seeds differ by more than most improvements; the best of many shows luck, not a method."
    comply = "Name the seeds beforehand, run them once each and report all of them."
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": EVALUATION, "README.md": "Seeds 1, 2 and 3; the best seed gives 1.10.\n"},
        {"train_gpt.py": EVALUATION, "README.md": "No seed hunting was done.\n"},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": EVALUATION, "README.md": "We report the best 3 of 20 seeds.\n"},
    )

    def check(self, case: Case) -> Iterator[Finding]:
        for line, words in telling(case.folder.readme_text, _CHOSEN):
            assert case.folder.readme is not None
            file = case.folder.relative(case.folder.readme)
            yield self.place(case, file, line, f"the README tells of seeds chosen by their score: {words}")
