"""C4-TWOPASS: validation is scored with a table or weights built from a first pass over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.examples import evaluator, submission

if TYPE_CHECKING:
    from audit.case import Case

_FULL = """
    rows = np.zeros((64, 64))
    ids = held.numpy()
    np.add.at(rows, (ids[:-1], ids[1:]), 1)
"""
_ONLINE = """
    rows = np.zeros((64, 64))
"""
_MIX = """
            row = rows[x.numpy()] + 0.1
            guess = (row / row.sum(-1, keepdims=True))[np.arange(len(y)), y.numpy()]
            total += float(-np.log(0.5 * np.exp(-losses.numpy()) + 0.5 * guess).sum())
"""
_COUNT = """
            np.add.at(rows, (x.numpy(), y.numpy()), 1)
"""
# Several orders count the tokens of a scored window one after another, each reading the count it adds to.
_CACHE = """
class Cache:
    def __init__(self):
        self.counts = {n: {} for n in range(2, 6)}

    def update(self, ids):
        for n in range(2, 6):
            for at in range(len(ids) - n + 1):
                before, after = tuple(ids[at:at + n - 1]), ids[at + n - 1]
                if before not in self.counts[n]:
                    self.counts[n][before] = {}
                row = self.counts[n][before]
                row[after] = row.get(after, 0) + 1

    def predict(self, before):
        for n in range(5, 1, -1):
            if tuple(before[-(n - 1):]) in self.counts[n]:
                row = self.counts[n][tuple(before[-(n - 1):])]
                return row, sum(row.values())
        return {}, 0


"""
_ORDERS = """
            for at in range(len(y)):
                row, among = cache.predict(ids[start:start + at + 1])
                guess = (row.get(ids[start + at + 1], 0) + 0.1) / (among + 6.4)
                total -= math.log(0.5 * math.exp(-float(losses[at])) + 0.5 * guess)
            cache.update(ids[start:start + 129])
"""
_LEARNS = """
        total += float(losses.sum())
        tuner.zero_grad()
        F.cross_entropy(model(x), y).backward()
        tuner.step()
"""
_TWICE = evaluator("    tuner = torch.optim.SGD(model.parameters(), lr=1e-3)\n", _LEARNS).replace(
    "    val_loss, val_bpb = evaluate(restored, held, sizes)\n",
    """    evaluate(restored, held, sizes)
    total = 0.0
    for start in range(0, len(held) - 1, 128):
        piece = held[start:start + 129]
        with torch.no_grad():
            total += float(F.cross_entropy(restored(piece[:-1]), piece[1:], reduction="sum"))
    val_loss = total / (len(held) - 1)
    val_bpb = val_loss / math.log(2)
""",
)


class TwoPass(Rule):
    id = "C4-TWOPASS"
    title = "second pass over validation"
    basis = Basis.RULING
    reference = "#846, #868, #869, #870, #881, #888, #893, #907, #959, #991; field guide #1017 condition 4"
    forbids = "Reporting a pass over the validation tokens that uses a table or weights built from an earlier pass."
    why = "The first pass has seen every token; the second predicts what it already knows, later tokens included."
    comply = "One pass from left to right: score, then update; report the first score of each token."
    VALID: ClassVar[tuple[Example, ...]] = (
        evaluator(_ONLINE, _MIX + _COUNT),
        submission(tables="    cache, ids = Cache(), held.tolist()\n", score=_ORDERS, functions=_CACHE),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (evaluator(_FULL, _MIX), _TWICE)

    def check(self, case: Case) -> Iterator[Finding]:
        for breach in case.counting_breaches:
            if breach.how in ("before", "again"):
                message = "a table filled from the whole validation stream is looked up to score it"
                yield self.finding(
                    case, breach.update, message, also=(breach.loss, *case.counted(breach.loss)), rounds=True
                )
        for breach in case.training_breaches:
            if breach.how == "before" and not breach.update.data.get("leaf"):
                first = case.scored_with(breach.update)
                if first is not None:
                    message = "the tokens are scored again with weights that a first pass over them has trained"
                    yield self.finding(case, breach.update, message, also=(first, breach.loss), rounds=True)
        for event in case.timeline.of("choose"):
            picks_weights = bool(event.data.get("reported"))
            if event.active and not picks_weights and case.headline.rests_on(event) and case.repeats(event):
                yield self.finding(
                    case, event, "the best of several passes over the same tokens is reported", rounds=True
                )
