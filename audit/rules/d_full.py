"""D-FULL: only a part of the validation tokens is scored; logs count them, the code says which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from audit.evidence.d_full import DFull as LoggedFull
from audit.finding import Finding, Step
from audit.provenance import TRAIN
from audit.rule import Example
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_LOOP = "    for start in range(0, len(held) - 1, 128):\n"
_FIFTY = "    for turn in range(50):\n        start = turn * 128\n"
_WINDOWS = "    starts = list(range(0, len(held) - 1, 1024))\n    if not starts:\n        starts = [0]\n"
_LISTED = EVALUATION.replace(_LOOP, _WINDOWS + "    for start in starts:\n").replace("start + 129", "start + 1025")
# The loop only counts: what it scores comes from a stream that keeps its own place.
_STREAM = """

class Stream:
    def __init__(self, ids):
        self.ids, self.at = ids, 0

    def __call__(self, count):
        piece = self.ids[self.at:self.at + count]
        self.at += count
        return piece


"""
_DRAWN = "    stream = Stream(held)\n    for turn in range(50):\n        piece = stream(129)\n"
_STREAMED = EVALUATION.replace(_LOOP + "        piece = held[start:start + 129]\n", _DRAWN).replace(
    "\ndef evaluate(", _STREAM + "\ndef evaluate("
)


class Full(LoggedFull):
    VALID: ClassVar[tuple[Example, ...]] = (*LoggedFull.VALID, EVALUATION, _LISTED)
    INVALID: ClassVar[tuple[Example, ...]] = (*LoggedFull.INVALID, EVALUATION.replace(_LOOP, _FIFTY), _STREAMED)

    def check(self, case: Case) -> Iterator[Finding]:
        for subset in case.timeline.of("subset"):
            if case.headline.rests_on(subset):
                yield self.finding(
                    case, subset, f"only the first {subset.data['tokens']:,} validation tokens are scored"
                )
        training = {loop.bit for step in case.timeline.of("step") if step.value.bits & TRAIN for loop in step.loops}
        for loss in case.headline.losses:
            moving = [loop for loop in loss.loops if loss.value.loops & loop.bit]
            moving = moving or [loop for loop in loss.loops if loop.bit not in training]  # batches drawn from a stream
            if moving and all(loop.times is not None and loop.over == "range" for loop in moving):
                rounds = " x ".join(str(loop.times) for loop in moving)
                yield self.finding(case, loss, f"a fixed number of pieces of the validation tokens is scored: {rounds}")
        for finding in super().check(case):
            yield replace(finding, path=(*finding.path, *parts_taken(case)))


def parts_taken(case: Case) -> list[Step]:
    """Where the program takes a part of the validation tokens before it scores them."""
    places = {
        (e.file, e.line): None for e in case.timeline.of("slice", "subset") if e.active and not e.loops and e.line
    }
    return [Step(file, line, case.excerpt(file, line), "takes a part of the tokens") for file, line in list(places)[:4]]
