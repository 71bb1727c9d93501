"""C1-GATE: whether a hint is given depends on the class of the token being scored; logs or code show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from audit.evidence.c1_gate import C1Gate as LoggedGate
from audit.evidence.check import Status
from audit.evidence.evidence import Evidence
from audit.finding import Finding
from audit.rule import Example, call_steps, event_step
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


# The same where the counts are a class's dictionaries, and where each is read and written in two statements.
_WORDS = """
class Words:
    def __init__(self):
        self.past = []
        self.totals, self.pairs, self.best, self.most = {{}}, {{}}, {{}}, {{}}

    def __call__(self, tokens, starts):
        hint = np.zeros(tokens.size, dtype=np.uint16)
        chance = np.zeros(tokens.size, dtype=np.float32)
        before = 0
        for at, raw in enumerate(tokens):
            token = int(raw)
            fresh = bool(starts[{read}])
            key = None
            if fresh and len(self.past) >= 2:
                key = tuple(self.past)
                total = self.totals.get(key, 0)
                if total > 0:
                    hint[at] = np.uint16(self.best[key])
                    chance[at] = np.float32(self.most[key] / total)
            if key is not None:
                pair = self.pairs.get((key, token), 0) + 1
                self.pairs[(key, token)] = pair
                self.totals[key] = self.totals.get(key, 0) + 1
                if pair > self.most.get(key, 0):
                    self.most[key] = pair
                    self.best[key] = token
            self.past.append(token)
            before = token
        return hint, chance


def hints(ids):
    import sentencepiece as spm
    tokenizer = spm.SentencePieceProcessor()
    pieces = [tokenizer.id_to_piece(i) for i in range(64)]
    starts = np.zeros(64, dtype=np.uint8)
    for i, piece in enumerate(pieces):
        starts[i] = 1 if piece.startswith("_") else 0
    return Words()(ids[1:], starts)

"""
_LIFTS = """            hit = hint[start:start + 128] == y.numpy()
            lift = chance[start:start + 128]
            total += float((losses.numpy() - lift * hit + np.log1p(lift)).sum())
"""


# Notes kept under names when a word begins: what is stored has no position, so it is no hint of the token there.
_NOTED = (
    _example("True")
    .replace("    seen = {}\n", "    seen = {}\n    notes = {}\n")
    .replace(
        "            lift[at] = seen.get(int(before), 0) / 8\n",
        """            lift[at] = sum(notes.values()) / 8
        if starts[here]:
            for name in os.listdir("."):
                notes[f"{name}!"] = seen.get(int(before), 0)
""",
    )
)


def _words(read: str) -> str:
    lifted = EVALUATION.replace(_LOOP, "    hint, chance = hints(held.numpy())\n" + _LOOP).replace(_SUM, _LIFTS)
    return lifted.replace("\ndef evaluate(", _WORDS.format(read=read) + "\ndef evaluate(")


class Gate(LoggedGate):
    version = 2
    VALID: ClassVar[tuple[Example, ...]] = (*LoggedGate.VALID, _example("starts[before]"), _words("before"), _NOTED)
    INVALID: ClassVar[tuple[Example, ...]] = (*LoggedGate.INVALID, _example("starts[here]"), _words("token"))

    def check(self, case: Case) -> Iterator[Finding]:
        gates = list(case.timeline.of("gate"))
        counted = self.counted(Evidence.of_case(case))
        for gate in gates:
            if not gate.active or case.headline.rests_on(gate):
                changes: dict[str, Any] = {}
                if gate.active and counted is Status.PASS:
                    changes = {"active": False, "because": "the logs count no such hint"}
                message = "a hint is given only where the token being scored is of some class"
                yield self.finding(case, gate, message, **changes)
        shown = [e for e in gates if e.active][:2]
        steps = tuple(step for e in shown for step in (*call_steps(case, e), event_step(case, e, "step")))
        for finding in super().check(case):
            yield replace(finding, path=(*finding.path, *steps))

    def counted(self, evidence: Evidence) -> Status:
        """What the logs say of hints that were given by the class of the token."""
        statuses = {line.status for line in self.lines(evidence)}
        return next(iter(statuses)) if len(statuses) == 1 else Status.FAIL
