"""D-TRAINEVAL: training data are read during evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.events import common_loops
from audit.finding import Basis, Finding
from audit.provenance import TRAIN
from audit.rule import Example, Rule
from audit.rules.examples import submission

if TYPE_CHECKING:
    from audit.case import Case

_FILL = """
    rows = np.ones((64, 64))
    np.add.at(rows, (learn[:-1].numpy(), learn[1:].numpy()), 1)
"""
_TABLES = "    rows = known\n"
_MIX = """
            row = rows[x.numpy()]
            guess = (row / row.sum(-1, keepdims=True))[np.arange(len(y)), y.numpy()]
            total += float(-np.log(0.5 * np.exp(-losses.numpy()) + 0.5 * guess).sum())
"""


def _example(where: str) -> str:
    text = submission(tables=_TABLES, score=_MIX, **{where: _FILL})
    text = text.replace("def evaluate(model, held, sizes)", "def evaluate(model, held, sizes, known)")
    text = text.replace("evaluate(restored, held, sizes)", "evaluate(restored, held, sizes, rows)")
    if where == "before_save":  # the table is in the artifact
        text = text.replace("torch.save(model.state_dict(), buffer)", "torch.save((model.state_dict(), rows), buffer)")
    return text


# The last round of the training loop writes the artifact and scores it.
_LAST_ROUND = """
    rounds = torch.optim.SGD(model.parameters(), lr=1e-3)
    turn = 0
    while True:
        if turn == 100:
            torch.save(model.state_dict(), "final.bin")
            break
        piece = learn[turn * 128:turn * 128 + 129]
        F.cross_entropy(model(piece[:-1]), piece[1:]).backward()
        rounds.step()
        turn += 1
    restored = model
"""


class TrainEval(Rule):
    id = "D-TRAINEVAL"
    title = "training data read at evaluation"
    basis = Basis.README
    reference = "README FAQ; #677, #576, #593"
    forbids = "Reading training shards after the artifact is written, unless their bits are counted in it."
    why = "Data read at evaluation are part of the model, and are not in the 16 MB."
    comply = "Put what evaluation needs into the artifact."
    VALID: ClassVar[tuple[Example, ...]] = (_example("before_save"), submission(before_score=_LAST_ROUND))
    INVALID: ClassVar[tuple[Example, ...]] = (_example("before_load"),)

    def check(self, case: Case) -> Iterator[Finding]:
        saves = [e for e in case.timeline.of("save") if e.active]
        if not saves:
            return
        last = max(saves, key=lambda e: e.order)
        for update in case.timeline.of("count", "step"):
            if not update.value.bits & TRAIN or update.order < last.order:
                continue
            if common_loops(last, update):
                continue  # a training loop that writes its artifact in its last round
            if not update.active or case.headline.rests_on(update):
                yield self.finding(case, update, "training data are taken in after the artifact was written")
