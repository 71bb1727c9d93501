"""Joins what the code says with what the experiments measured, and says so where the two disagree."""

from __future__ import annotations

from dataclasses import replace

from audit.finding import AuditResult, Finding, Severity
from audit.probe.experiments import CAUSAL_RULES, FLOOR_RULES, MASS_RULES
from audit.probe.probe import ProbeResult
from audit.verdict import read_profile, weigh

# Rules whose breach shows in a number; of the others an experiment on noise has nothing to say.
MEASURABLE = frozenset((*FLOOR_RULES, *MASS_RULES, *CAUSAL_RULES, "M-BYTES", "M-SIDECAR"))


def join(result: AuditResult, probe: ProbeResult) -> AuditResult:
    """The audit with the probe's findings, weighed anew under its profile.

    What could not be run leaves the audit's verdict as it is, and stands in ``unchecked``. A disagreement is a reason
    of its own, and both sides keep their findings.
    """
    findings = (*result.findings, *probe.findings)
    gaps = list(result.reasons) if result.verdict == "review" else []
    unchecked = list(result.unchecked)
    if probe.verdict == "review":
        unchecked += [f"probe: {reason}" for reason in probe.reasons]
    verdict, reasons = weigh(findings, gaps, read_profile(result.profile))
    return replace(
        result,
        findings=findings,
        verdict=verdict,
        reasons=tuple(dict.fromkeys((*reasons, *disagreements(result, probe)))),
        unchecked=tuple(unchecked),
        seconds=result.seconds + probe.seconds,
    )


def disagreements(result: AuditResult, probe: ProbeResult) -> tuple[str, ...]:
    """Where code and experiment say different things, in words; empty where they agree or the probe could not run."""
    read = [f for f in result.findings if f.active and f.severity is Severity.ERROR and f.rule in MEASURABLE]
    measured = [f for f in probe.findings if f.severity is Severity.ERROR]
    if probe.verdict == "holds" and read:
        rules = ", ".join(dict.fromkeys(f.rule for f in read))
        return (
            f"code and experiment disagree: reading finds {rules}, no experiment on noise broke a bound"
            f" (docs/probe.md says what it cannot see)",
        )
    unexplained = [f for f in measured if not _explained(f, read)]
    return tuple(
        f"code and experiment disagree: {f.rule} was measured, reading finds no rule that it could be an instance of"
        for f in {f.rule: f for f in unexplained}.values()
    )


def _explained(measured: Finding, read: list[Finding]) -> bool:
    rules = measured.data.get("rules", [])
    return isinstance(rules, list) and any(f.rule in rules for f in read)
