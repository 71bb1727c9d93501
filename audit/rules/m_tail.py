"""M-TAIL: truncated windows at the end of the stream score its last tokens again and again."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION
from audit.windows import window_lists

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
        seen: set[ast.AST] = set()
        counted = [*case.headline.losses, *case.headline.scores]
        walked = case.program.called
        for loss in counted:
            for function, file in case.functions_on_the_way(loss):
                if function in seen:
                    continue
                seen.add(function)
                for windows in window_lists(function):
                    if windows.repeated:
                        message = (
                            f"truncated windows at the end score the tail again: {windows.repeated} more than once on "
                            "a small stream"
                        )
                        yield self.finding(case, loss, message, line=windows.line, file=file)
        for function in walked - seen:
            for windows in window_lists(function):
                if windows.repeated and (file := case.file_of(function)):
                    because = "this scorer does not make the headline"
                    message = "truncated windows at the end score the tail again"
                    yield self.place(case, file, windows.line, message, active=False, because=because)
