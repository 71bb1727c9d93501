"""C4-EPOCH: the same tokens are scored in every epoch, and a later epoch's score is the one reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.examples import submission

if TYPE_CHECKING:
    from audit.case import Case

_EPOCHS = """
    tuner = torch.optim.SGD(model.parameters(), lr=1e-3)
    total, count, size = 0.0, 0, 0
    for turn in range(4):
        for start in range(0, len(held) - 1, 128):
            piece = held[start:start + 129]
            loss = F.cross_entropy(model(piece[:-1]), piece[1:])
            if turn == 3:
                total += float(loss.detach()) * 128
            loss.backward()
            tuner.step()
"""
_ONCE = _EPOCHS.replace("range(4)", "range(1)").replace("turn == 3", "turn == 0")


def _example(body: str) -> str:
    return submission(functions=f"\ndef adapt(model, held):\n{body}    return total\n").replace(
        "val_loss, val_bpb = evaluate(restored, held, sizes)",
        "val_loss = adapt(restored, held) / (len(held) - 1)\n    val_bpb = val_loss / math.log(2)",
    )


class Epochs(Rule):
    id = "C4-EPOCH"
    title = "scored again in each epoch"
    basis = Basis.RULING
    reference = "#568, #596, #605, #642, #684; field guide #1017 condition 4"
    forbids = "Running several epochs over the validation tokens and reporting the score of a later one."
    why = "From the second epoch on, every token has been trained on before it is scored."
    comply = "Count the score of the first pass only; extra epochs over a chunk come after its score is counted."
    VALID: ClassVar[tuple[Example, ...]] = (_example(_ONCE),)
    INVALID: ClassVar[tuple[Example, ...]] = (_example(_EPOCHS),)

    def check(self, case: Case) -> Iterator[Finding]:
        for breach in case.training_breaches:
            if breach.how == "again" and not breach.update.data.get("leaf") and breach.loop is not None:
                message = "a loop that does not move to other tokens both trains on them and scores them"
                line = getattr(breach.loop.node, "lineno", breach.loss.line)
                yield self.finding(
                    case,
                    breach.loss,
                    message,
                    also=(breach.update, *case.counted(breach.loss)),
                    rounds=True,
                    line=line,
                    file=breach.loop.file,
                )
