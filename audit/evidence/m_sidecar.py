"""The rule on case-transformed text: its score is divided by the bytes of the original, from a sidecar."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.splits import known_mistakes, near, ratio, split_of, true_bytes
from audit.finding import Basis
from audit.rule import Example
from reproduce.runlog import RunLog


def _log(bytes_per_token: float) -> dict[str, str]:
    bpb = 2.33 / (math.log(2) * bytes_per_token)
    text = (
        "Hyperparameters:\n  caseops_enabled: True\n  val_tokens: 47851520\n  train_shards: 80\n  seed: 1\n"
        f"quantized_ttt_phased val_loss:2.33000000 val_bpb:{bpb:.8f} eval_time:1000ms\n"
    )
    return {"train_gpt.py": "import torch\n", "train.log": text}


class MSidecar(EvidenceRule):
    id = "M-SIDECAR"
    title = "bytes of the original text"
    order = 41
    basis = Basis.RULING
    reference = "#2138, #2039, #2071"
    forbids = "Dividing by the bytes of the case-transformed text instead of those of the original."
    why = "The transform adds marks, so its text has 9% more bytes than the original: 164.6 MB instead of 151.1 MB."
    comply = "Read the bytes of each token from the fineweb_val_bytes_*.bin sidecar of the original text."
    VALID: ClassVar[tuple[Example, ...]] = (_log(3.1571),)
    INVALID: ClassVar[tuple[Example, ...]] = (_log(3.440),)

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        transformed = [r for r in evidence.reported if (split := split_of(r)) is not None and split.name == "caseops"]
        limit = "3.1571 bytes per token"
        if not transformed:
            yield self.line(Status.UNCHECKED, "no log names case-transformed text", limit=limit)
            return
        mistakes = [mistake for mistake in known_mistakes() if mistake.rule == self.id]
        measured = [(run, run.headline, ratio(run.headline)) for run in transformed if run.headline]
        for run, metric, value in measured:
            for mistake in mistakes:
                if value is None or _covers_the_text(run, value):
                    continue
                if near(value, mistake.bytes_per_token):
                    yield self.line(
                        Status.FAIL,
                        f"{value:.4f}",
                        f"{evidence.name(run)}: {value:.4f} bytes per token, {mistake.why}",
                        limit=limit,
                        file=evidence.place(run),
                        at=metric.line,
                        bytes_per_token=value,
                    )
                    return
        known = [value for _, _, value in measured if value is not None]
        if known and all(value is not None and _covers_the_text(run, value) for run, _, value in measured):
            yield self.line(Status.PASS, f"{known[0]:.4f}: the bytes of the whole text", limit=limit)
            return
        right = split_of(transformed[0])
        if known and right is not None and all(near(value, right.bytes_per_token) for value in known):
            yield self.line(Status.PASS, f"{known[0]:.4f}", limit=limit)
        else:
            shown = f"{known[0]:.4f}" if known else "loss and score are not both logged"
            yield self.line(Status.UNCHECKED, shown, limit=limit)


def _covers_the_text(run: RunLog, value: float) -> bool:
    """Whether tokens and bytes per token give the original text's bytes: other tokens, and a sidecar that is right."""
    return run.val_tokens is not None and abs(value * run.val_tokens / true_bytes() - 1) <= 0.005
