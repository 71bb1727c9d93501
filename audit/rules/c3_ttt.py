"""C3-TTT: weights or tables adapted on validation tokens before those tokens are scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.order import late_updates
from audit.rule import Example, Rule
from audit.rules.examples import evaluator, trainer

if TYPE_CHECKING:
    from audit.case import Case

_TUNE = """
    tuner = torch.optim.SGD(model.parameters(), lr=1e-3)
"""
_SCORE_FIRST = """
        total += float(losses.sum())
        for turn in range(3):
            tuner.zero_grad()
            F.cross_entropy(model(x), y).backward()
            tuner.step()
"""
_TRAIN_FIRST = """
        tuner.zero_grad()
        F.cross_entropy(model(x), y).backward()
        tuner.step()
        with torch.no_grad():
            total += float(F.cross_entropy(model(x), y, reduction="sum"))
"""
_TABLE = """
    rows = np.zeros((64, 64))
"""
_LOOK_UP = """
            row = rows[x.numpy()] + 0.1
            guess = (row / row.sum(-1, keepdims=True))[np.arange(len(y)), y.numpy()]
            total += float(-np.log(0.5 * np.exp(-losses.numpy()) + 0.5 * guess).sum())
"""
_COUNT = """
            np.add.at(rows, (x.numpy(), y.numpy()), 1)
"""
# A round that has nothing to score counts its tokens and ends there.
_NOTHING_TO_SCORE = """
            if len(y) < 2:
                np.add.at(rows, (x.numpy(), y.numpy()), 1)
                continue
"""
# The tokens that followed the most alike states so far make a distribution of their own in each round.
_MEMORY = """
    states = torch.zeros(4096, 64)
    followed = torch.zeros(4096, dtype=torch.long)
"""
_NEIGHBOURS = """
            near = (logits @ states.T).topk(8, dim=-1).indices
            chance = torch.zeros(len(y), 64)
            chance.scatter_add_(1, followed[near], torch.full((len(y), 8), 1 / 8))
            guess = chance.gather(-1, y[:, None]).squeeze(-1)
            total += float(-torch.log(0.5 * torch.exp(-losses) + 0.5 * guess).sum())
"""
_REMEMBER = """
            states[start:start + 128] = logits
            followed[start:start + 128] = y
"""
# Windows overlap: what the front of one holds was scored before, and only the rest is scored.
_KEPT = _TUNE + "    kept = {name: value.clone() for name, value in model.state_dict().items()}\n"
_FRONT = """
        cut = 64 if start else 0
        if cut:
            tuner.zero_grad()
            F.cross_entropy(model(x[:cut]), y[:cut]).backward()
            tuner.step()
        with torch.no_grad():
            later = F.cross_entropy(model(x), y, reduction="none")
            total += float(later[cut:].sum())
        model.load_state_dict(kept)
"""


def _overlapping(score: str) -> str:
    return evaluator(_KEPT, score=score).replace("range(0, len(held) - 1, 128)", "range(0, len(held) - 1, 64)")


_BEFORE = """
    tuner = torch.optim.SGD(restored.parameters(), lr=1e-3)
    for start in range(0, len(held) - 1, 128):
        piece = held[start:start + 129]
        tuner.zero_grad()
        F.cross_entropy(restored(piece[:-1]), piece[1:]).backward()
        tuner.step()
"""


class ScoreFirst(Rule):
    id = "C3-TTT"
    title = "adapted before scoring"
    basis = Basis.RULING
    reference = "#417, #442, #462, #518, #548, #771; lawful model #549; field guide #1017 condition 3"
    forbids = "Training on validation tokens, or counting them into a table, before their score is taken."
    why = "A token must be predicted by a model that has not seen it. Learning first and scoring later reports memory."
    comply = "In each chunk: score without gradient, add to the sum, then step. Leave the last chunk untrained."
    VALID: ClassVar[tuple[Example, ...]] = (
        evaluator(_TUNE, score=_SCORE_FIRST),
        evaluator(_TABLE, score=_NOTHING_TO_SCORE + _LOOK_UP + _COUNT),
        evaluator(_MEMORY, score=_NEIGHBOURS + _REMEMBER),
        _overlapping(_FRONT),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        evaluator(_TUNE, score=_TRAIN_FIRST),
        trainer(before_score=_BEFORE),
        evaluator(_TABLE, score=_NOTHING_TO_SCORE + _COUNT + _LOOK_UP),
        evaluator(_MEMORY, score=_REMEMBER + _NEIGHBOURS),
        _overlapping(_FRONT.replace("model(x[:cut]), y[:cut]", "model(x), y")),
        _overlapping(_FRONT.replace("later[cut:]", "later")),
    )

    def check(self, case: Case) -> Iterator[Finding]:
        for breach in case.training_breaches:
            if breach.update.data.get("leaf") or case.front_only(breach):
                continue  # fresh tensors fitted to a window are C1-SLOT's
            if breach.how == "again":
                message = "later rounds over the same tokens score them with weights already trained on them"
            elif breach.how == "same round":
                message = "the weights are trained on a chunk before the chunk is scored"
            else:
                message = "the weights are trained on validation tokens before those tokens are scored"
                if case.reaches_artifact(breach.update):
                    message += ", and written to the artifact: see C3-PREQUANT"
            yield self.finding(
                case, breach.update, message, also=(breach.loss, *case.counted(breach.loss)), rounds=True
            )
        for breach in case.counting_breaches:
            if breach.how == "same round":
                message = "the table takes in the tokens of a round before they are looked up in it"
                yield self.finding(
                    case, breach.update, message, also=(breach.loss, *case.counted(breach.loss)), rounds=True
                )
        for update in late_updates(case.timeline, case.headline):
            message = "weights are trained on validation tokens before a score"
            yield self.finding(case, update, message)
