"""C1-BOUND: what is learnt from a chunk reaches past the chunk's last scored target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.events import Event, common_loops
from audit.finding import Basis, Finding
from audit.provenance import Linear
from audit.rule import Example, Rule
from audit.rules.examples import evaluator

if TYPE_CHECKING:
    from audit.case import Case

_ROWS = "    rows = np.zeros((64, 64))\n"
_MIX = """
            row = rows[x.numpy()] + 0.1
            guess = (row / row.sum(-1, keepdims=True))[np.arange(len(y)), y.numpy()]
            total += float(-np.log(0.5 * np.exp(-losses.numpy()) + 0.5 * guess).sum())
            learnt = held[start:start + {end}].numpy()
            np.add.at(rows, (learnt[:-1], learnt[1:]), 1)
"""

# The same in chunks, as trainers write it: the end is cut at the end of the text, and the update comes by a method.
_CHUNKS = """
            stop = min(start + 128, len(held) - 1)
            row = rows[x.numpy()] + 0.1
            guess = (row / row.sum(-1, keepdims=True))[np.arange(len(y)), y.numpy()]
            total += float(-np.log(0.5 * np.exp(-losses.numpy()) + 0.5 * guess).sum())
            learnt = held[start:stop + {more}].numpy()
            np.add.at(rows, (learnt[:-1], learnt[1:]), 1)
"""
_TABLES = "    helper = torch.optim.SGD(model.parameters(), lr=1e-3)\n"
_ADAPTS = """
            total += float(losses.sum())
            stop = min(start + 128, len(held) - 1)
            learnt = held[start:stop + {more}]
            after = F.cross_entropy(model(learnt[:-1]), learnt[1:])
            helper.zero_grad()
            after.backward()
            helper.step()
"""


class Bound(Rule):
    id = "C1-BOUND"
    title = "update beyond the scored targets"
    basis = Basis.FIELD_GUIDE
    reference = (
        "reviews of #779 and #798; index arithmetic clears #700, #688, #745, #849; field guide #1017 condition 1"
    )
    forbids = "Updating a table or weights with a slice that ends after the last target scored so far."
    why = "The next target is then known before it is scored."
    comply = (
        "End the update's slice where the scored slice ends: val[start:end + 1] holds exactly the targets up to end."
    )
    VALID: ClassVar[tuple[Example, ...]] = (
        evaluator(_ROWS, _MIX.format(end=129)),
        evaluator(_ROWS, _CHUNKS.format(more=1)),
        evaluator(_TABLES, _ADAPTS.format(more=1)),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        evaluator(_ROWS, _MIX.format(end=161)),
        evaluator(_ROWS, _CHUNKS.format(more=2)),
        evaluator(_TABLES, _ADAPTS.format(more=9)),
    )

    def check(self, case: Case) -> Iterator[Finding]:
        slices = [e for e in case.timeline.of("slice") if e.active]
        for update in case.timeline.of("count", "step"):
            if not update.active or not case.headline.rests_on(update):
                continue
            for loss in case.headline.losses:
                if not common_loops(update, loss):
                    continue
                taken, scored = _ends(slices, update), _ends(slices, loss)
                if any(t.terms == s.terms and t.constant > s.constant for t in taken for s in scored) and not any(
                    t == s for t in taken for s in scored
                ):
                    message = "the update takes in tokens after the last target that its chunk has scored"
                    yield self.finding(case, update, message, also=(loss,))


def _ends(slices: list[Event], event: Event) -> list[Linear]:
    """Where the slices of validation tokens end that an event's value rests on."""
    ends = [e.data["upper"] for e in slices if e.bit & event.value.bits]
    return [end for end in ends if isinstance(end, Linear) and end.terms]
