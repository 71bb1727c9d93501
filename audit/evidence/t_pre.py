"""The rule on hint tables: what is computed over the validation text belongs inside the evaluation's time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.finding import Basis, Certainty
from audit.rule import Example
from reproduce.runlog import RunLog

_KEY = "ngram_hint_precompute_outside"
_LOG = """\
Hyperparameters:
  ngram_hint_precompute_outside: {outside}
  seed: 1
ngram_tilt:precompute_done elapsed=11.78s total_targets=47851520
quantized_ttt_phased val_loss:2.31944212 val_bpb:1.05989454 eval_time:400000ms
"""


class TPre(EvidenceRule):
    id = "T-PRE"
    title = "hint tables inside the timer"
    order = 23
    certainty = Certainty.MEDIUM
    basis = Basis.RULING
    reference = "#2135 was accepted with it inside; #1967, #2018, #2041, #2118"
    forbids = "Building n-gram hint tables over the validation text outside the evaluation's timer."
    why = "A pass over the validation text is evaluation, whenever it runs."
    comply = "Build the table after the timer has started."
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(outside="False")},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(outside="True")},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        limit = "inside the evaluation's time"
        said = [(run, value) for run in evidence.reported if (value := _outside(run)) is not None]
        built = [run for run, _ in said if any(event.kind in ("gate", "precomputed") for event in run.events)]
        outside = [run for run, value in said if value and run in built]
        if outside:
            yield self.line(
                Status.FAIL,
                f"{_KEY}: True",
                f"{evidence.name(outside[0])} builds its hint table outside the timer ({_KEY} is on)",
                limit=limit,
                file=evidence.place(outside[0]),
            )
        elif said and not built:
            yield self.line(Status.UNCHECKED, "no log shows that a hint table is built", limit=limit)
        elif said:
            yield self.line(Status.PASS, f"{_KEY}: False", limit=limit, file=evidence.place(built[0]))
        else:
            yield self.line(Status.UNCHECKED, "no log says when a hint table is built", limit=limit)


def _outside(run: RunLog) -> bool | None:
    value = run.settings.get(_KEY, run.settings.get(_KEY.upper()))
    return None if value is None else value.strip().lower() in ("1", "true", "yes")
