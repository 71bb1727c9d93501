"""The rule on evaluation time: 600 seconds, apart from training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.machine import weigh_seconds
from audit.finding import Basis
from audit.rule import Example
from reproduce.runlog import RunLog

_LOG = """\
seed:1
final_roundtrip_exact val_loss:2.00000000 val_bpb:1.18450000 eval_time:{first}ms
final_ttt_exact val_loss:1.95000000 val_bpb:1.15480000 eval_time:{second}ms
"""


class TEval(EvidenceRule):
    id = "T-EVAL"
    title = "evaluation time"
    order = 21
    basis = Basis.RULING
    reference = "README; #529 (616 s), #1972 (688 s)"
    forbids = "More than 600 seconds for the evaluation that makes the score, on the record track."
    why = "Evaluation has a budget of its own, so that test-time training cannot run without end."
    comply = "Log eval_time for every stage, and keep the stages that the score needs within 600 seconds."
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(first=5_000, second=590_000)},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(first=5_000, second=640_000)},
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(first=310_000, second=400_000)},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        budget = evidence.limits.eval_seconds
        limit = f"{budget:g} s"
        if evidence.non_record:
            yield self.line(Status.UNCHECKED, "no limit on the non-record track", limit=limit)
            return
        headline = [
            (run, run.headline.seconds + adapting(run))
            for run in evidence.reported
            if run.headline is not None and run.headline.seconds is not None
        ]
        sums = [(run, run.eval_seconds + adapting(run)) for run in evidence.reported if run.eval_seconds is not None]
        if not sums:
            yield self.line(Status.UNCHECKED, "no log gives an evaluation time", limit=limit)
            return
        claimed = evidence.claims.eval_seconds
        if claimed is not None and budget + 5 < claimed < 36_000:
            status, machine = weigh_seconds(evidence, claimed, budget + 5, None)
            where = evidence.claims.figures["eval_seconds"].where
            yield self.line(
                status,
                f"{claimed:.1f} s claimed",
                f"{where} says that evaluation takes {claimed:.1f} s" + (machine and f" ({machine})"),
                limit=limit,
                file="submission.json",
                seconds=claimed,
            )
            return
        summed_run, summed = max(sums, key=lambda item: item[1])
        if headline:
            run, longest = max(headline, key=lambda item: item[1])
            if longest > budget:
                stage = run.headline.stage if run.headline else ""
                status, machine = weigh_seconds(evidence, longest, budget, run)
                yield self.line(
                    status,
                    f"{longest:.1f} s for {stage}",
                    f"{evidence.name(run)}: {stage} took {longest:.1f} s" + (machine and f" ({machine})"),
                    limit=limit,
                    file=evidence.place(run),
                    at=run.headline.line if run.headline else None,
                    seconds=longest,
                )
                return
        over = summed > budget
        # The stages before the last may be diagnostics that the score does not need: a reader has to say.
        yield self.line(
            Status.WARN if over else Status.PASS,
            f"{summed:.1f} s over all stages",
            f"{evidence.name(summed_run)}: the evaluations of its log add up to {summed:.1f} s" if over else "",
            limit=limit,
            file=evidence.place(summed_run),
            seconds=summed,
        )


def adapting(run: RunLog) -> float:
    """Seconds of test-time training that the log reports apart from any evaluation, after the artifact was written."""
    written = max((size.line for size in run.sizes), default=0)
    timed = {round(metric.seconds, 1) for metric in run.metrics if metric.seconds is not None}
    found = {round(e.values["seconds"], 1) for e in run.events if e.kind == "adapted" and e.line > written}
    return sum(found - timed)  # a time that is printed twice counts once
