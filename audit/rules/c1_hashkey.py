"""C1-HASHKEY: a count table looked up under a key that holds the target answers only for the truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION, evaluator

if TYPE_CHECKING:
    from audit.case import Case

TABLE = """
    joint = np.zeros(4096, dtype=np.int64)
    rows = np.zeros((4096, 64), dtype=np.int64)
    context = np.zeros(4096, dtype=np.int64)
"""
KEYED = """
            before, truth = x.numpy(), y.numpy()
            mixed = (before * 31) & 4095
            both = (mixed ^ (truth * 17)) & 4095
            guess = joint[both] / np.maximum(context[mixed], 1)
            chance = 0.5 * np.exp(-losses.numpy()) + 0.5 * guess
            total += float(-np.log(chance).sum())
            np.add.at(joint, both, 1)
            np.add.at(context, mixed, 1)
"""
ROWS = """
            before, truth = x.numpy(), y.numpy()
            mixed = (before * 31) & 4095
            row = (rows[mixed] + 0.1) / (rows[mixed].sum(-1, keepdims=True) + 6.4)
            guess = row[np.arange(len(truth)), truth]
            chance = 0.5 * np.exp(-losses.numpy()) + 0.5 * guess
            total += float(-np.log(chance).sum())
            np.add.at(rows, (mixed, truth), 1)
"""
# Only several processes use the table.
_SEVERAL = {
    "train_gpt.py": evaluator(
        TABLE + "    several = int(os.environ.get('WORLD_SIZE', '1')) > 1\n",
        "            if several:\n"
        + "".join(f"    {line}\n" for line in KEYED.strip("\n").split("\n"))
        + "            else:\n                total += float(losses.sum())\n",
    ),
    "train.log": "world_size:{} grad_accum_steps:8\nseed:1\nstep:500/500 train_loss:2.0 train_time:590000ms\n"
    "final_exact val_loss:2.00000000 val_bpb:1.10000000\n",
}


def _processes(count: int) -> dict[str, str]:
    return {name: text.replace("world_size:{}", f"world_size:{count}") for name, text in _SEVERAL.items()}


# One stretch of the stream is hashed by offsets from its own start; only the order of the slices tells the target.
_STRETCH = """
            last = 3
            stretch = held[max(start - last, 0):start + 129].numpy()
            places = len(stretch) - last
            hashed = np.zeros(places, dtype=np.int64)
            for back in range(last):
                hashed = np.bitwise_xor(hashed, stretch[back:back + places] * 31)
            hashed = hashed % 4096
            both = (hashed * 17 + stretch[last:] * 13) % 4096
            guess = joint[both] / np.maximum(context[hashed], 1)
            model_side = np.exp(-losses.numpy())
            chance = np.where(context[hashed] > 1, 0.5 * model_side + 0.5 * guess, model_side)
            total += float(-np.log(chance).sum())
            np.add.at(joint, both, 1)
            np.add.at(context, hashed, 1)
"""
_STRETCH_ROWS = _STRETCH.replace(
    "joint[both] / np.maximum(context[hashed], 1)", "(rows[hashed] / 9)[np.arange(places), stretch[last:]]"
).replace("np.add.at(joint, both, 1)", "np.add.at(rows, (hashed, stretch[last:]), 1)")
# The same rows laid out flat.
_STRETCH_FLAT = (
    _STRETCH.replace("both = (hashed * 17 + stretch[last:] * 13) % 4096", "both = hashed * 64 + stretch[last:]")
    .replace("joint[both]", "rows.reshape(-1)[both]")
    .replace("np.add.at(joint,", "np.add.at(rows.reshape(-1),")
)


def _of_widths(text: str) -> str:
    """The longest context that was seen before counts: how far back it reaches is another in each round."""
    first, rest = text.split("            model_side", 1)
    indented = "".join(f"    {line}\n" for line in first.replace("last = 3", "last = width - 1").split("\n")[1:-1])
    return f"\n            for width in range(5, 2, -1):\n{indented}            model_side{rest}"


class HashKey(Rule):
    id = "C1-HASHKEY"
    title = "look-up key contains the target"
    basis = Basis.RULING
    reference = "#779 and the closures of 03-27 (valerio-oai); field guide #1017 condition 1"
    forbids = (
        "Looking up a count under a key into which the token being scored was hashed, "
        "such as (hash(context) ^ target * prime) & mask."
    )
    why = (
        "Only the realised token is ever looked up. The other tokens' counts, collisions included, are never seen, so "
        "the number is no probability: nothing makes it sum to one, and it looks ahead to the target."
    )
    comply = "Index the table's rows by the context alone and give each row one column a token, then normalise the row."
    VALID: ClassVar[tuple[Example, ...]] = (
        evaluator(TABLE, ROWS),
        evaluator(TABLE, _STRETCH_ROWS),
        evaluator(TABLE, _of_widths(_STRETCH_ROWS)),
        evaluator(TABLE, _STRETCH_FLAT),
        evaluator(TABLE, _of_widths(_STRETCH_FLAT)),
        EVALUATION,
        _processes(1),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        evaluator(TABLE, KEYED),
        evaluator(TABLE, _STRETCH),
        evaluator(TABLE, _of_widths(_STRETCH)),
        _processes(8),
    )

    def check(self, case: Case) -> Iterator[Finding]:
        for lookup in case.timeline.of("lookup"):
            if not case.keyed_by_target(lookup):
                continue
            if case.headline.report is not None and lookup.active and not case.headline.rests_on(lookup):
                continue
            yield self.finding(case, lookup, "a count is looked up under a key that contains the token being scored")
