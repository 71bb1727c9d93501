"""C1-ORACLE: the better of several scorers is picked by the loss on the true token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION, evaluator, trainer

if TYPE_CHECKING:
    from audit.case import Case

_BEST = """
            other = F.cross_entropy(logits / 0.9, y, reduction="none")
            total += float(torch.minimum(losses, other).sum())
"""
_GATED = """
            other = F.cross_entropy(logits / 0.9, y, reduction="none")
            sure = torch.softmax(logits, -1).max(-1).values > 0.5
            total += float(torch.where(sure, losses, other).sum())
"""
# Averaged weights or the last ones: a name tells which, and decides later.
_BY_NAME = """
    plain = {{name: value.clone() for name, value in model.state_dict().items()}}
    average = {{name: 0.9 * value for name, value in plain.items()}}
    least, kept = evaluate(model, {tokens}, sizes)[0], "plain"
    model.load_state_dict(average)
    other = evaluate(model, {tokens}, sizes)[0]
    if other < least:
        kept = "average"
    print("uses", kept)
    if kept == "plain":
        model.load_state_dict(plain)
"""
# Processes that score in different ways leave their scores in files; the lowest is reported.
_BY_FILES = """
    ways = [evaluate, evaluate]
    rank = int(os.environ.get("RANK", "0"))
    score = ways[rank % 2](restored, held, sizes)[1]
    with open(f"score{rank}.txt", "w") as out:
        out.write(f"way {rank} {score:.8f}")
"""
_LOWEST = """    found = []
    for other in range(2):
        told = open(f"score{other}.txt").read().split()
        found.append((int(told[1]), float(told[2])))
    way, val_bpb = min(found, key=lambda row: row[1])
"""
_REPORT = '    print(f"final_exact'

# A model weighs each position by how surprising the token before it was, cut at a quantile.
_SURPRISED = EVALUATION.replace(
    "        return self.head(self.embed(ids))\n",
    """        hidden = self.embed(ids)
        chances = F.log_softmax(self.head(hidden), dim=-1)
        surprise = -torch.gather(chances[:-1], dim=-1, index=ids[1:].unsqueeze(-1))
        surprise = torch.minimum(torch.clamp_min(surprise, 0.0), torch.quantile(surprise, 0.9))
        return self.head(hidden * torch.cat([torch.zeros(1, 1), surprise]))
""",
)


def _by_files(pick: str) -> str:
    return trainer(before_score=_BY_FILES).replace(_REPORT, pick + _REPORT)


class Oracle(Rule):
    id = "C1-ORACLE"
    title = "scorer picked by the truth"
    basis = Basis.RULING
    reference = "#573, #611, #614, #659, #685; field guide #1017 condition 1"
    forbids = "Choosing among scorers, epochs or trajectories by their loss on the true token."
    why = "The choice needs the answer. The minimum of two losses is the loss of no distribution."
    comply = "Choose or weigh by what is known before the target: the model's entropy, counts of the context."
    VALID: ClassVar[tuple[Example, ...]] = (
        evaluator(score=_GATED),
        trainer(_BY_NAME.format(tokens="learn[:1024]")),
        _by_files(""),
        _SURPRISED,
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        evaluator(score=_BEST),
        trainer(_BY_NAME.format(tokens="held")),
        _by_files(_LOWEST),
    )

    def check(self, case: Case) -> Iterator[Finding]:
        for choice in case.timeline.of("choose"):
            if choice.active and not case.headline.rests_on(choice):
                continue
            if choice.data.get("reported"):
                yield self.finding(case, choice, "what is scored is chosen by its score on the validation set")
            else:
                yield self.finding(case, choice, "the lower of several losses on the true token is kept")
        for match in case.timeline.of("match"):
            if not match.active or case.headline.rests_on(match):
                yield self.finding(case, match, "the loss is zero where a stored copy agrees with the target")
