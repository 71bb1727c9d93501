"""The rule on the data partition: no document stands in both the training shards and the scored split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.splits import near, ratio, split_of, splits, true_bytes
from audit.finding import Basis
from audit.rule import Example
from reproduce.runlog import RunLog

_LOG = """\
Hyperparameters:
  caseops_enabled: True
  val_tokens: 47851520
  train_shards: {shards}
  seed: 1
quantized_ttt_phased val_loss:2.31944212 val_bpb:1.05989454 eval_time:1000ms
"""
WHOLE = 1_000  # shards: only a cut of the whole source, with the default of 10,000 validation documents, gives as many


class DSplit(EvidenceRule):
    id = "D-SPLIT"
    title = "training shards"
    order = 31
    basis = Basis.RULING
    reference = "#2018, #2130, #2109; issue #2127"
    forbids = "Training shards that hold documents of the scored first 50,000; a validation split of one's own."
    why = "A script that keeps 10,000 documents for validation puts the other 40,000 scored ones into training."
    comply = "Train on the published shards (80 for the case-transformed data), or cut with --val-docs=50000."
    VALID: ClassVar[tuple[Example, ...]] = ({"train_gpt.py": "import torch\n", "train.log": _LOG.format(shards=80)},)
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(shards=1499)},
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(shards=150)},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        worst: Check | None = None
        for run in evidence.reported:
            split, shards, place = split_of(run), run.train_shards, evidence.place(run)
            excess = _excess(run)
            if excess > (0.005 if split is not None else 0.05):
                wanted = f"{true_bytes() / 1e6:.1f} MB of text"
                if split is not None and excess > (run.val_tokens or 0) / split.tokens - 1.001:
                    wanted = f"{split.tokens:,} tokens"
                yield self.line(
                    Status.FAIL if excess > 0.02 else Status.WARN, f"{run.val_tokens:,} validation tokens",
                    f"{evidence.name(run)} scores {run.val_tokens:,} tokens, {excess:.0%} more than {wanted}",
                    limit=wanted, file=place,
                )  # fmt: skip
                return
            if split is None or split.train_shards is None or shards is None:
                continue
            limit = f"{split.train_shards} published ({split.name})"
            if shards > split.train_shards:
                whole = shards >= WHOLE
                yield self.line(
                    Status.FAIL if whole else Status.WARN,
                    f"{shards:,}",
                    f"{evidence.name(run)} trains on {shards:,} shards, {split.train_shards} are published: "
                    + ("a cut of the whole source" if whole else "a cut of one's own")
                    + " may hold the scored documents",
                    limit=limit, file=place, shards=shards,
                )  # fmt: skip
                return
            worst = self.line(Status.PASS, f"{shards:,}", limit=limit, file=place)
        yield worst or self.line(Status.UNCHECKED, "no log shows which documents were trained on", limit="disjoint")


def _excess(run: RunLog) -> float:
    """By what part the scored text is longer than the split, by its bytes where they are known, else by its tokens."""
    split = split_of(run)
    if run.val_tokens is None or (split is not None and run.val_tokens in split.also):
        return 0.0
    value = ratio(run.headline) if run.headline else None
    if split is None:  # a ratio that a tokenizer has says that the table is right, and the text longer
        known = value is not None and any(near(value, other.bytes_per_token, 0.001) for other in splits().values())
        return value * run.val_tokens / true_bytes() - 1 if known and value is not None else 0.0
    by_tokens = run.val_tokens / split.tokens - 1
    return by_tokens if value is None else min(by_tokens, value * run.val_tokens / true_bytes() - 1)
