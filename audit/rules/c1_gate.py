"""C1-GATE: whether a hint is given depends on the class of the token being scored; logs or code show it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.evidence.c1_gate import C1Gate as LoggedGate
from audit.finding import Finding
from audit.rule import Example
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_HINTS = """
def hints(ids):
    import sentencepiece as spm
    pieces = spm.SentencePieceProcessor()
    starts = np.zeros(64, dtype=bool)
    for i in range(64):
        starts[i] = pieces.id_to_piece(i).startswith("_")
    seen = {{}}
    lift = np.zeros(len(ids))
    for at in range(2, len(ids)):
        here = ids[at]
        before = ids[at - 1]
        if {gate}:
            lift[at] = seen.get(int(before), 0) / 8
        seen[int(before)] = seen.get(int(before), 0) + 1
    return lift

"""
_LOOP = "    for start in range(0, len(held) - 1, 128):\n        piece"
_SUM = "            total += float(losses.sum())\n"
_LIFTED = "            total += float((losses.numpy() - lifts[start + 1:start + 129]).sum())\n"


def _example(gate: str) -> str:
    lifted = EVALUATION.replace(_LOOP, "    lifts = hints(held.numpy())\n" + _LOOP).replace(_SUM, _LIFTED)
    return lifted.replace("\ndef evaluate(", _HINTS.format(gate=gate) + "\ndef evaluate(")


class Gate(LoggedGate):
    VALID: ClassVar[tuple[Example, ...]] = (*LoggedGate.VALID, _example("starts[before]"))
    INVALID: ClassVar[tuple[Example, ...]] = (*LoggedGate.INVALID, _example("starts[here]"))

    def check(self, case: Case) -> Iterator[Finding]:
        for gate in case.timeline.of("gate"):
            if not gate.active or case.headline.rests_on(gate):
                yield self.finding(case, gate, "a hint is given only where the token being scored is of some class")
        yield from super().check(case)
