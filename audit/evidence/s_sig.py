"""The rule on significance: a record beats the one before it by more than chance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.records import Record, day, find, standing
from audit.finding import Basis, Certainty, Finding, Severity
from audit.rule import Example
from reproduce.statistics import Test, bpb_to_nats, bytes_per_token, nats_to_bpb, one_sample_below, welch_below

if TYPE_CHECKING:
    from audit.case import Case

NORMAL_T = 0.6745  # p = 0.25, one-sided, of the normal distribution
_CALLED_RECORD = re.compile(r"\W{0,5}(?:new\s)?record\b", re.IGNORECASE)
WRITTEN_NATS, WRITTEN_P = 0.005, 0.01  # README: nats per token
APPLIED_P = 0.25  # #1899, #1900, #1902: one-sided Welch test, no minimum gain

_LOG = "seed:{seed}\nfinal_exact val_loss:{loss:.8f} val_bpb:{score:.8f}\n"


def _example(mean: float, spread: float) -> dict[str, str]:
    """Three seeds around a mean, for the record that stood on 2026-04-09."""
    metadata = json.dumps({"name": "Record: an entry", "date": "2026-04-09"})
    files = {"train_gpt.py": "import torch\n", "submission.json": metadata}
    for seed, step in ((1, -spread), (2, 0.0), (3, spread)):
        files[f"train_seed{seed}.log"] = _LOG.format(seed=seed, score=mean + step, loss=(mean + step) * 2.5831)
    return files


class SSig(EvidenceRule):
    id = "S-SIG"
    title = "gain over the record"
    order = 80
    of_runs = False
    severity = Severity.NOTE
    certainty = Certainty.MEDIUM
    basis = Basis.RULING
    reference = "README; #181, #473, #549, #589; as applied from 04-28: #1899, #1900, #1902"
    forbids = "Calling a record what chance explains: written, 0.005 nats per token at p < 0.01; applied, p < 0.25."
    why = "Seeds scatter by about a thousandth of a bit per byte; smaller gains over few seeds are noise."
    comply = "Run more seeds, or wait for a larger gain."
    against: ClassVar[str | None] = "record"  # the examples' question; the gate asks what --against names
    VALID: ClassVar[tuple[Example, ...]] = (_example(1.0700, 0.0003),)
    INVALID: ClassVar[tuple[Example, ...]] = (_example(1.0900, 0.0003), _example(1.0821, 0.0030))

    def check(self, case: Case) -> Iterator[Finding]:
        """A note on a submission that calls itself a record and is surely none; the gate says how surely.

        No t below that of the normal distribution is significant at any number of seeds, so this needs no library.
        """
        evidence = Evidence.of_case(case)
        if not _CALLED_RECORD.match(evidence.claims.name or "") or evidence.non_record:
            return
        on, scores = day(evidence.claims.date), _scores(evidence)
        record = standing(on) if on is not None else None
        if record is None or len(scores) < 2:
            return
        test = compare(scores, record, tail=False)
        if test.gain <= 0 or (test.t is not None and test.t <= NORMAL_T):
            yield Finding(
                rule=self.id,
                message=f"it calls itself a record; against {record.label} its seeds gain {test.gain:+.5f} bpb",
                severity=self.severity,
                certainty=self.certainty,
                basis=self.basis,
                reference=self.reference,
                file="submission.json",
                data={"gain": test.gain, "t": test.t, "record": record.label},
            )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        limit = f"p < {APPLIED_P}"
        if evidence.against is None:
            yield self.line(Status.UNCHECKED, "not asked: --against record", limit=limit)
            return
        record = find(evidence.against, day(evidence.claims.date))
        scores = _scores(evidence)
        if not scores:
            yield self.line(Status.UNCHECKED, "no log has a score", limit=limit, evidence=record.label)
            return
        token_bytes = next(
            (
                value
                for run in evidence.reported
                if run.headline and run.headline.val_loss and run.headline.val_bpb
                if (value := bytes_per_token(run.headline.val_loss, run.headline.val_bpb)) is not None
            ),
            None,
        )
        yield self._applied(scores, record, token_bytes)
        yield self._written(scores, record, token_bytes)

    def _applied(self, scores: list[float], record: Record, token_bytes: float | None) -> Check:
        test = compare(scores, record)
        nats = f" ({bpb_to_nats(test.gain, token_bytes):+.5f} nats per token)" if token_bytes else ""
        shown = f"{test.gain:+.5f} bpb{nats}, {_p(test)}"
        passed = test.p is not None and test.p < APPLIED_P and test.gain > 0
        undecided = test.p is None and test.gain > 0
        return self.line(
            Status.PASS if passed else Status.UNCHECKED if undecided else Status.WARN,
            shown,
            "" if passed or undecided else f"against {record.label}: {shown}, not p < {APPLIED_P}",
            name="applied bar", limit=f"p < {APPLIED_P}", evidence=f"{record.label}, {len(scores)} seed(s)",
            gain=test.gain, p=test.p, kind=test.kind,
        )  # fmt: skip

    def _written(self, scores: list[float], record: Record, token_bytes: float | None) -> Check:
        limit = f"{WRITTEN_NATS} nats per token at p < {WRITTEN_P}"
        if token_bytes is None:
            return self.line(Status.UNCHECKED, "bytes per token are not known", name="written bar", limit=limit)
        test = compare(scores, record, nats_to_bpb(WRITTEN_NATS, token_bytes))
        shown = f"{bpb_to_nats(test.gain, token_bytes):+.5f} nats per token, {_p(test)} for a gain that large"
        passed = test.p is not None and test.p < WRITTEN_P
        undecided = test.p is None and bpb_to_nats(test.gain, token_bytes) >= WRITTEN_NATS
        return self.line(
            Status.PASS if passed else Status.UNCHECKED if undecided else Status.WARN,
            shown,
            "" if passed or undecided else f"against {record.label}: {shown}, not {limit}",
            name="written bar", limit=limit, evidence=f"{record.label}, {len(scores)} seed(s)",
            gain=test.gain, p=test.p, kind=test.kind,
        )  # fmt: skip


def _scores(evidence: Evidence) -> list[float]:
    return [run.headline.val_bpb for run in evidence.reported if run.headline and run.headline.val_bpb is not None]


def compare(scores: list[float], record: Record, margin: float = 0.0, tail: bool = True) -> Test:
    """Welch's test against a record's seeds, the one-sample test where it has only one value."""
    if len(record.val_bpb) > 1:
        return welch_below(scores, record.val_bpb, margin, tail)
    return one_sample_below(scores, record.val_bpb[0], margin, tail)


def _p(test: Test) -> str:
    return f"p = {test.p:.3g} ({test.kind})" if test.p is not None else f"no p: {test.why}"
