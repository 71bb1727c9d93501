"""The audit takes the measurement in, and says where reading and measuring disagree."""

from __future__ import annotations

import pytest

from audit.finding import AuditResult, Basis, Certainty, Finding, Severity
from audit.probe.experiments import Experiment, Status
from audit.probe.join import join
from audit.probe.probe import ProbeResult, finding


def audit(*rules: str) -> AuditResult:
    findings = tuple(
        Finding(r, "read", Severity.ERROR, Certainty.HIGH, Basis.RULING, "#779", "train_gpt.py", 7) for r in rules
    )
    return AuditResult("toy", "train_gpt.py", "", "illegal" if rules else "clean", tuple(rules), findings)


def probe(verdict: str, *rules: str) -> ProbeResult:
    experiment = Experiment("floor", "final", Status.BREACH, "reported 3.1", "spike", 4.1, 3.1, rules)
    findings = (finding(experiment, "train_gpt.py", 1337, "golfproof probe toy"),) if rules else ()
    return ProbeResult("toy", "train_gpt.py", verdict, ("why",), (), findings, (), "golfproof probe toy", 1337, 2.0)


def test_a_measured_breach_makes_a_clean_reading_illegal_and_names_the_disagreement() -> None:
    result = join(audit(), probe("breach", "C1-HASHKEY"))
    assert result.verdict == "illegal" and result.findings[-1].basis is Basis.MEASUREMENT
    assert any("PROBE-FLOOR was measured" in reason for reason in result.reasons)


def test_reading_and_measuring_that_agree_are_not_called_a_disagreement() -> None:
    result = join(audit("C1-HASHKEY"), probe("breach", "C1-HASHKEY"))
    assert result.verdict == "illegal" and not any("disagree" in reason for reason in result.reasons)


def test_a_probe_that_saw_nothing_does_not_clear_what_was_read() -> None:
    result = join(audit("C3-TTT"), probe("holds"))
    assert result.verdict == "illegal" and any("reading finds C3-TTT" in reason for reason in result.reasons)


def test_rules_that_no_number_shows_are_no_disagreement() -> None:
    assert not any("disagree" in reason for reason in join(audit("ART-CAP"), probe("holds")).reasons)


@pytest.mark.parametrize("rules", [(), ("C3-TTT",)])
def test_what_could_not_be_run_changes_no_verdict_and_stands_among_the_unchecked(rules: tuple[str, ...]) -> None:
    before = audit(*rules)
    result = join(before, probe("review"))
    assert result.verdict == before.verdict and "probe: why" in result.unchecked
