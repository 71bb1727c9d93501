"""M-TAIL: truncated windows at the end of the stream score its last tokens again and again."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION
from audit.windows import window_list

if TYPE_CHECKING:
    from audit.case import Case

_LOOP = "    for start in range(0, len(held) - 1, 128):\n        piece = held[start:start + 129]\n"
_SLIDING = """    whole, step, long = len(held) - 1, 16, 128
    starts = [at for at in range(0, whole, step) if {test}]
    for start in starts:
        end = min(start + long, whole)
        piece = held[max(end - step, 0):end + 1]
"""
_AGAIN = EVALUATION.replace(_LOOP, _SLIDING.format(test="min(at + long, whole) - at >= step or at == 0"))
_ONCE = EVALUATION.replace(_LOOP, _SLIDING.format(test="at + long - step < whole"))


class Tail(Rule):
    id = "M-TAIL"
    title = "tail scored again"
    severity = Severity.WARNING
    certainty = Certainty.MEDIUM
    basis = Basis.RULING
    reference = "#50, #124 (dropped tail); found on #162 (counted twice)"
    forbids = "Window lists whose last, truncated windows score the same tail tokens again, or that drop the tail."
    why = "Each validation token counts once; repeated tail tokens weigh more than the others. The bias is small."
    comply = "Stop after the window that first reaches the end, and score from the first position not scored yet."
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION, _ONCE)
    INVALID: ClassVar[tuple[Example, ...]] = (_AGAIN,)

    def check(self, case: Case) -> Iterator[Finding]:
        used = 0
        for loss in (*case.headline.losses, *case.headline.scores):
            used |= loss.value.loops
        for collecting in case.timeline.of("windows"):
            origin = collecting.data["origin"]
            windows = window_list(collecting.node, origin) if isinstance(origin, ast.expr) else None
            if windows is None or not windows.repeated:
                continue
            message = (
                f"truncated windows at the end score the tail again: {windows.repeated} too many on a small stream"
            )
            changes: dict[str, Any] = {}
            if collecting.active and not used & int(str(collecting.data["loop"])):
                changes = {"active": False, "because": "these windows do not make the headline"}
            yield self.finding(case, collecting, message, also=case.headline.scores[:1], **changes)
