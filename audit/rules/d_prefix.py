"""D-PREFIX: validation text is stored with the submission and compared with the targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION, evaluator

if TYPE_CHECKING:
    from audit.case import Case

_STORED = """
    kept = torch.from_numpy(np.frombuffer(open("prefix.xz", "rb").read(), dtype=np.uint16).astype(np.int64))
"""
_PAID = """
            known = kept[start:start + 128] == y
            total += float((losses * (~known).float()).sum())
"""


class Prefix(Rule):
    id = "D-PREFIX"
    title = "validation text in the artifact"
    basis = Basis.RULING
    reference = "#168, #262, #275"
    forbids = "Storing validation tokens with the submission and using them when those tokens are scored."
    why = "It pays for a copy of the test set, not for a model of text."
    comply = "Keep validation text out of everything that ships."
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION,)
    INVALID: ClassVar[tuple[Example, ...]] = (evaluator(_STORED, _PAID),)

    def check(self, case: Case) -> Iterator[Finding]:
        for match in case.timeline.of("match"):
            if not match.active or case.headline.rests_on(match):
                yield self.finding(case, match, "targets are compared with tokens read from a file of the submission")
