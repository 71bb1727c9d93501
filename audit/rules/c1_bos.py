"""C1-BOS: hidden states of the position before are mixed in, across the border of two documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity
from audit.provenance import COMPARED, VAL
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_PLAIN = "        return self.head(self.embed(ids))\n"
_SMEARED = """        states = self.embed(ids)[None]
        before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], dim=1)
{mask}        return self.head((states + 0.1 * before)[0])
"""
_RUNNING = """        states = self.embed(ids)[None]
        sums = torch.cumsum(states, dim=1)
        before = torch.cat([torch.zeros_like(sums[:, :1]), sums[:, :-1]], dim=1)
        return self.head((states + 0.1 * before)[0])
"""
_MASK = "        before = before * (ids != 1)[None, :, None]\n"


class DocumentBorder(Rule):
    id = "C1-BOS"
    title = "smear across documents"
    severity = Severity.WARNING
    certainty = Certainty.MEDIUM
    basis = Basis.RULING
    reference = "#1797 (audit note), fixed in #1851 and #1855; #1667 was merged with it"
    forbids = "Mixing the previous position's hidden state into a document's first token."
    why = "Documents are scored as independent; the first token must not see the end of the document before it."
    comply = "Multiply the mixed-in state by (input_ids != BOS), in the forward pass and in the adapting one."
    VALID: ClassVar[tuple[Example, ...]] = (
        EVALUATION,
        EVALUATION.replace(_PLAIN, _SMEARED.format(mask=_MASK)),
        EVALUATION.replace(_PLAIN, _RUNNING),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (EVALUATION.replace(_PLAIN, _SMEARED.format(mask="")),)

    def check(self, case: Case) -> Iterator[Finding]:
        seen: set[tuple[str, int, bool]] = set()
        alone = case.scores_documents_alone()
        for smear in case.timeline.of("smear"):
            if smear.value.bits & COMPARED or not smear.value.bits & VAL:
                continue
            place = (smear.file, smear.line, smear.active)
            if place in seen:
                continue
            seen.add(place)
            changes: dict[str, Any] = (
                {"active": False, "because": "each document is scored alone"} if alone and smear.active else {}
            )
            message = "the previous position's hidden state is mixed in without a mask at the start of documents"
            yield self.finding(case, smear, message, **changes)
