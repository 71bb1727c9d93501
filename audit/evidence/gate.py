"""Joins all evidence into the gate: one line a limit, with what was measured and whether it holds."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import replace

from audit.evidence.check import AUDIT_LINE, Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.limits import Limits
from audit.finding import AuditResult
from audit.verdict import Profile
from reproduce.folder import SubmissionFolder
from reproduce.table import table_of


def gate(
    folder: SubmissionFolder,
    limits: Limits | None = None,
    audit: AuditResult | None = None,
    evidence: Evidence | None = None,
    against: str | None = None,
    changed: tuple[str, ...] | None = None,
    profile: Profile | None = None,
) -> tuple[Check, ...]:
    """Every line of the gate for one submission.

    ``against`` names what S-SIG compares with (audit.evidence.records.find), ``changed`` the paths of the pull request.
    Under a ``profile`` a rule that it tolerates, or whose basis it does not count, warns instead of failing.

    Raises InputError where a seed's log stops before its final evaluation: then nothing can be said of the score.
    What cannot be checked is ``unchecked``.
    """
    evidence = evidence or Evidence.of_folder(folder, limits, against, changed)
    if evidence.runs and any(run.headline for run in evidence.runs):
        table_of(folder, evidence.runs, evidence.claims)
    lines: list[Check] = [_audit_line(audit)]
    for rule in evidence_rules():
        lines += [_under(profile, rule, line) for line in rule.lines(evidence)]
    return tuple(lines)


def _under(profile: Profile | None, rule: EvidenceRule, line: Check) -> Check:
    if profile is None or line.status is not Status.FAIL or rule.id in profile.promoted:
        return line
    if rule.id in profile.tolerated:
        return replace(line, status=Status.WARN, evidence=f"{line.evidence} ({profile.tolerated[rule.id]})".strip())
    if rule.basis not in profile.bases:
        return replace(line, status=Status.WARN, evidence=f"{line.evidence} (not a rule of {profile.name})".strip())
    return line


def passes(checks: Iterable[Check]) -> bool:
    """Whether nothing failed."""
    return not any(check.status is Status.FAIL for check in checks)


def evidence_rules() -> Iterator[EvidenceRule]:
    """One of each rule that rests on evidence, in the order of the gate."""
    import audit.evidence as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    yield from sorted((rule() for rule in EvidenceRule.__subclasses__()), key=lambda rule: (rule.order, rule.id))


def _audit_line(audit: AuditResult | None) -> Check:
    if audit is None:
        return Check(AUDIT_LINE, "no finding", "not run", Status.UNCHECKED)
    active = sorted({finding.rule for finding in audit.findings if finding.active})
    status = {"clean": Status.PASS, "illegal": Status.FAIL}.get(audit.verdict, Status.WARN)
    if status is Status.PASS and audit.unchecked and audit.trainer is None:
        status = Status.UNCHECKED
    shown = audit.verdict + (f": {', '.join(active)}" if active else "")
    return Check(AUDIT_LINE, "no finding", shown, status, audit.trainer or "", data={"rules": active})
