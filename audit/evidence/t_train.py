"""The rule on training time: 600 seconds by the trainer's own clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.machine import weigh_seconds
from audit.finding import Basis, Certainty
from audit.rule import Example

_LOG = """\
seed:1
step:0/20000 val_loss:6.9 val_bpb:4.1000 train_time:0ms
step:7000/20000 train_loss:2.0000 train_time:{ms}ms step_avg:85.00ms
final_roundtrip_exact val_loss:2.00000000 val_bpb:1.18450000
"""
_ONE_GPU = "|   0  NVIDIA H100 80GB HBM3   On  |\nworld_size:1 grad_accum_steps:8\n" + _LOG


class TTrain(EvidenceRule):
    id = "T-TRAIN"
    title = "training time"
    order = 20
    certainty = Certainty.MEDIUM
    basis = Basis.README
    reference = "README; #2121 (final timing above 600 s)"
    forbids = "More than 600 seconds of training on 8xH100 SXM, on the record track."
    why = (
        "Time is the budget that all entries share. Seconds of fewer GPUs fail where eight times as many would still "
        "exceed it; of seconds on other GPUs nothing follows, and a reader decides."
    )
    comply = "Stop by the clock, and log train_time at the last step of every seed."
    VALID: ClassVar[tuple[Example, ...]] = ({"train_gpt.py": "import torch\n", "train.log": _LOG.format(ms=600_099)},)
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(ms=640_000)},
        {"train_gpt.py": "import torch\n", "train.log": _ONE_GPU.format(ms=5_100_000)},
        {"train_gpt.py": "import torch\n", "README.md": "val_bpb: 1.1845 on 1xH100\n\n| Metric | Value |\n|---|---|\n"
         "| val_bpb | 1.1845 |\n| training wallclock | 5,100s |\n"},
    )  # fmt: skip

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        limits = evidence.limits
        limit = f"{limits.train_seconds:g} s"
        if evidence.non_record:
            yield self.line(Status.UNCHECKED, "no limit on the non-record track", limit=limit)
            return
        timed = [(run, run.train_seconds) for run in evidence.reported if run.train_seconds is not None]
        if not timed:
            yield self._claimed(evidence, limit)
            return
        run, longest = max(timed, key=lambda item: item[1])
        over = longest - limits.train_seconds
        status, machine = weigh_seconds(evidence, longest, limits.train_seconds + limits.train_overshoot, run)
        if status is Status.FAIL and over <= 5:
            status = Status.WARN
        yield self.line(
            status,
            f"{longest:.1f} s" + (f" ({over:.1f} s past the limit, within a step)" if 0 < over <= 1 else ""),
            f"{evidence.name(run)} trained {longest:.1f} s, {over:.1f} s past the limit" + (machine and f" ({machine})")
            if status != Status.PASS
            else "",
            limit=limit,
            file=evidence.place(run),
            seconds=longest,
        )

    def _claimed(self, evidence: Evidence, limit: str) -> Check:
        """What is claimed where no log has a clock: an admission counts, an assurance does not."""
        figure = evidence.claims.figures.get("train_seconds")
        if figure is None:
            return self.line(Status.UNCHECKED, "no log gives a training time", limit=limit)
        shown = f"{figure.value:.1f} s claimed, no log gives a training time"
        allowed = evidence.limits.train_seconds + 5
        status, machine = weigh_seconds(evidence, figure.value, allowed, None)
        if status is Status.PASS:
            return self.line(Status.UNCHECKED, shown, limit=limit)
        if figure.file == "submission.json":
            status = Status.WARN  # there, training time often means that of the whole run
        return self.line(
            status,
            shown,
            f"{figure.where} says that training took {figure.value:.1f} s" + (machine and f" ({machine})"),
            limit=limit,
            file=figure.file,
            at=figure.line,
            evidence=figure.where,
            seconds=figure.value,
        )
