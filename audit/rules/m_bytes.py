"""M-BYTES: the byte denominator is not the bytes of the validation text; logs show it, the code says where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from audit.evidence.m_bytes import MBytes as LoggedBytes
from audit.finding import Finding
from audit.rule import Example, event_step
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_RETURN = "    return total / count, total / math.log(2) / size\n"
_FIXED = "    return total / count, total / count / (math.log(2) * 3.5)\n"


class Bytes(LoggedBytes):
    INVALID: ClassVar[tuple[Example, ...]] = (*LoggedBytes.INVALID, EVALUATION.replace(_RETURN, _FIXED))
    VALID: ClassVar[tuple[Example, ...]] = (*LoggedBytes.VALID, EVALUATION)

    def check(self, case: Case) -> Iterator[Finding]:
        for fixed in case.timeline.of("fixed"):
            if case.headline.rests_on(fixed):
                message = (
                    f"the loss is divided by a fixed number of bytes a token ({fixed.data['divisor']:.4f} with ln 2)"
                )
                yield self.finding(case, fixed, message)
        for finding in super().check(case):
            yield replace(finding, path=(*finding.path, *_tables(case)))


def _tables(case: Case) -> list:
    """Where the program fills its table of bytes, and where it adds them up."""
    seen: set[tuple[str, int]] = set()
    steps = []
    for event in case.timeline.of("bytes"):
        if event.active and (event.file, event.line) not in seen and len(seen) < 12:
            seen.add((event.file, event.line))
            steps.append(replace(event_step(case, event, "step"), note="counts bytes"))
    return steps
