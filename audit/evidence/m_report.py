"""The rule on reported numbers: the headline is a number that was measured, not one corrected afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.finding import Basis, Certainty
from audit.rule import Example

_LOG = "seed:{seed}\nfinal_exact val_loss:2.00000000 val_bpb:{score:.8f}\n"
_SCORES = {1: 1.101, 2: 1.104, 3: 1.111}
_LOGS = {f"train_seed{s}.log": _LOG.format(seed=s, score=v) for s, v in _SCORES.items()}
_CODE = {"train_gpt.py": "import torch\n"}


class MReport(EvidenceRule):
    id = "M-REPORT"
    title = "offset between claims and logs"
    order = 42
    of_runs = False
    certainty = Certainty.MEDIUM
    basis = Basis.RULING
    reference = "#1981 (unsupported correction), #61"
    forbids = "A headline that is a logged number plus a correction."
    why = "A correction is an argument, not a measurement; the contest ranks measurements."
    comply = "Rerun the evaluation with the corrected code and claim what its log prints."
    VALID: ClassVar[tuple[Example, ...]] = (
        {**_CODE, **_LOGS, "submission.json": '{"seeds": {"1": 1.101, "2": 1.104, "3": 1.111}}'},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {**_CODE, **_LOGS, "submission.json": '{"seeds": {"1": 1.091, "2": 1.094, "3": 1.101}}'},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        limit = "claims stand in the logs"
        offsets: list[float] = []
        found = 0
        for claim in evidence.claims.seeds:
            if claim.val_bpb is None or claim.seed is None:
                continue
            runs = [run for run in evidence.runs if claim.seed in (run.seed, run.named_seed)]
            scores = [m.val_bpb for run in runs for m in (*run.metrics, run.headline) if m and m.val_bpb is not None]
            if not scores:
                continue
            slack = 0.5000001 * 10.0 ** -min(claim.decimals, 8) + 5e-5
            if any(abs(score - claim.val_bpb) <= slack for score in scores):
                found += 1
            elif runs[-1].headline is not None and runs[-1].headline.val_bpb is not None:
                offsets.append(claim.val_bpb - runs[-1].headline.val_bpb)
        if len(offsets) >= 2 and not found and max(offsets) - min(offsets) <= 2e-4 and max(offsets) < -5e-4:
            mean = sum(offsets) / len(offsets)
            yield self.line(
                Status.FAIL,
                f"{mean:+.5f} for each of {len(offsets)} seeds",
                f"each claimed seed is its log's score {mean:+.5f}: no log prints the claimed numbers",
                limit=limit,
                file="submission.json" if evidence.folder.metadata_path else "",
                offset=mean,
            )
        elif found and not offsets:
            yield self.line(Status.PASS, f"{found} claimed seeds stand in their logs", limit=limit)
        else:
            yield self.line(Status.UNCHECKED, "no seed's claim can be held against its log", limit=limit)
