"""The report as JUnit XML: a test a gate line and a test a rule, so that any CI shows what failed."""

from __future__ import annotations

from xml.etree import ElementTree

from audit.evidence.check import Check, Status
from audit.finding import Finding, Severity
from reports import digest
from reports.escape import plain
from reports.report import Report


def render(report: Report) -> str:
    """The XML text. Failures are failed checks and active errors; what could not be checked is skipped, not passed."""
    suites = ElementTree.Element("testsuites", name="golfproof")
    if report.checks:
        _suite(suites, "gate", [_check(check) for check in report.checks])
    if report.audit is not None or report.probes:
        cases = [_finding(finding) for finding in digest.active_findings(report)]
        for reason in report.audit.unchecked if report.audit else ():
            case = ElementTree.Element("testcase", name=plain(reason), classname="golfproof.audit")
            ElementTree.SubElement(case, "skipped", message="could not be checked")
            cases.append(case)
        verdict = ElementTree.Element("testcase", name=f"verdict: {plain(report.verdict)}", classname="golfproof.audit")
        if report.verdict == "illegal":
            reasons = "; ".join(report.audit.reasons) if report.audit else ""
            ElementTree.SubElement(verdict, "failure", message=plain(reasons or digest.VERDICTS["illegal"]))
        _suite(suites, "audit", [verdict, *cases])
    for total in ("tests", "failures", "skipped"):
        suites.set(total, str(sum(int(suite.get(total, "0")) for suite in suites)))
    ElementTree.indent(suites, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _suite(parent: ElementTree.Element, name: str, cases: list[ElementTree.Element]) -> None:
    suite = ElementTree.SubElement(
        parent,
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors="0",
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
    )
    suite.extend(cases)


def _check(check: Check) -> ElementTree.Element:
    case = ElementTree.Element("testcase", name=plain(check.name), classname="golfproof.gate")
    said = plain(f"{check.actual}, limit {check.limit}")
    if check.status is Status.FAIL:
        failure = ElementTree.SubElement(case, "failure", message=said, type=plain(check.rule or "gate"))
        failure.text = plain(check.message or check.evidence, keep_newlines=True)
    elif check.status is Status.UNCHECKED:
        ElementTree.SubElement(case, "skipped", message=f"could not be checked: {said}")
    else:
        out = ElementTree.SubElement(case, "system-out")
        out.text = f"{check.status}: {said}"
    return case


def _finding(finding: Finding) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        name=plain(f"{finding.rule} {digest.place(finding)}"),
        classname="golfproof.audit",
        file=plain(finding.file),
    )
    if finding.line:
        case.set("line", str(finding.line))
    text = plain(f"{finding.message} ({finding.basis}: {finding.reference})")
    if finding.severity is Severity.ERROR:
        failure = ElementTree.SubElement(case, "failure", message=text, type=plain(finding.rule))
        failure.text = "\n".join(plain(f"{step.role} {digest.place(step)} {step.note}") for step in finding.path)
    else:
        out = ElementTree.SubElement(case, "system-out")
        out.text = f"{finding.severity}: {text}"
    return case
