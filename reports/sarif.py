"""The report as SARIF 2.1.0: findings with their paths as code flows, packed programs as embedded artifacts.

The limits are GitHub code scanning's: 5,000 results shown and 10 MB a file; a path keeps its first and last steps.
Rules carry no ``security-severity``: a breach of the contest's rules is no vulnerability.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from audit.finding import Certainty, Finding, Severity, Step
from audit.rule import Rule
from reports import digest
from reports.escape import plain, sarif_message
from reports.report import Report, Source

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
HOME = "https://github.com/golfproof/golfproof"
MOST_RESULTS = 5_000
MOST_BYTES = 10_000_000
MOST_STEPS = 100
LONGEST = 4_000  # characters of a message

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_PRECISION = {Certainty.HIGH: "very-high", Certainty.MEDIUM: "medium", Certainty.LOW: "low"}


def render(report: Report, rules: Mapping[str, Rule] | None = None) -> str:
    """The report as SARIF text; ``rules`` describes the rules of the findings (all that there are, unless given).

    Lines of the gate that do not hold are results, too. Findings that the submitted configuration does not reach are
    results of kind ``informational``.
    """
    if rules is None:
        from audit.registry import all_rules

        rules = all_rules()
    found = (*digest.active_findings(report), *digest.gate_findings(report, rules), *digest.inactive_findings(report))
    findings = found[:MOST_RESULTS]
    sources = report.sources
    while True:
        text = json.dumps(_log(report, findings, sources, rules))
        if len(text) <= MOST_BYTES:
            return text + "\n"
        # ASCII output, so characters are bytes. Embedded programs go first, then the least grave findings.
        if sources:
            sources = ()
        else:
            findings = findings[: len(findings) // 2]


def _log(
    report: Report, findings: Sequence[Finding], sources: Sequence[Source], rules: Mapping[str, Rule]
) -> dict[str, Any]:
    ids = sorted({finding.rule for finding in findings})
    packed = {source.file: source for source in sources if source.packed}
    artifacts = _artifacts(report, findings, sources)
    index = {artifact["location"]["uri"]: position for position, artifact in enumerate(artifacts)}
    seen: dict[str, int] = {}
    results = [_result(report, finding, ids, packed, index, seen) for finding in findings]
    name, _, version = (report.generated_by or "golfproof").partition(" ")
    driver: dict[str, Any] = {
        "name": name,
        "informationUri": HOME,
        "rules": [_descriptor(rule, rules.get(rule), findings) for rule in ids],
    }
    if version:
        driver["version"] = version
    audit = report.audit
    invocation: dict[str, Any] = {"executionSuccessful": True}
    if audit is not None and audit.unchecked:
        invocation["toolExecutionNotifications"] = [
            {"level": "note", "message": {"text": _message(reason)}} for reason in audit.unchecked[:1000]
        ]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "artifacts": artifacts,
        "results": results,
        "properties": {
            "submission": plain(report.submission),
            "verdict": plain(report.verdict),
            "profile": plain(audit.profile) if audit else None,
        },
    }
    if report.folder:
        run["automationDetails"] = {"id": f"golfproof/{plain(report.folder)}/"}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _message(text: str) -> str:
    return sarif_message(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def _uri(report: Report, file: str) -> str:
    """The file's place in the repository as a relative reference; a packed text lies beside its file."""
    path = f"{report.folder}/{file}" if report.folder else file
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return quote("/".join(parts).encode("utf-8", "surrogatepass")) or "submission"


def _packed_uri(report: Report, source: Source) -> str:
    return _uri(report, source.file) + ("" if "!" in source.file else "!unpacked")


def _artifacts(report: Report, findings: Sequence[Finding], sources: Sequence[Source]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    files = [file for finding in findings for file in (finding.file, *(step.file for step in finding.path))]
    packed = {source.file: source for source in sources if source.packed}
    for file in files:
        holder = packed[file].inside or file if file in packed else file
        found.setdefault(_uri(report, holder), {"location": {"uri": _uri(report, holder)}, "roles": ["analysisTarget"]})
    order = list(found)
    for source in packed.values():
        uri = _packed_uri(report, source)
        found[uri] = {
            "location": {"uri": uri},
            "parentIndex": order.index(_uri(report, source.inside or source.file)),
            "sourceLanguage": "python",
            "contents": {"text": plain(source.text, keep_newlines=True)},
            "description": {"text": "what the packed program executes"},
        }
    return list(found.values())


def _place(
    report: Report,
    file: str,
    line: int | None,
    packed: Mapping[str, Source],
    index: Mapping[str, int],
    snippet: str = "",
) -> dict[str, Any]:
    source = packed.get(file)
    uri = _packed_uri(report, source) if source else _uri(report, file)
    place: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if uri in index:
        place["artifactLocation"]["index"] = index[uri]
    if line:
        place["region"] = {"startLine": line}
        if snippet.strip():
            place["region"]["snippet"] = {"text": plain(snippet[:LONGEST], keep_newlines=True)}
    return place


def _result(
    report: Report,
    finding: Finding,
    ids: Sequence[str],
    packed: Mapping[str, Source],
    index: Mapping[str, int],
    seen: dict[str, int],
) -> dict[str, Any]:
    source = packed.get(finding.file)
    text = finding.message
    if source is not None and finding.line:
        text += f" (line {finding.line} of the unpacked program)"
    if finding.because:
        text += f" ({finding.because})"
    # A website has no lines of a packed text: the result stands at the line that unpacks it.
    file, line = (source.inside or source.file, source.line) if source else (finding.file, finding.line)
    result: dict[str, Any] = {
        "ruleId": plain(finding.rule),
        "ruleIndex": ids.index(finding.rule),
        "message": {"text": _message(text)},
        "locations": [{"physicalLocation": _place(report, file, line, {}, index)}],
        "partialFingerprints": {"golfproof/v1": _fingerprint(finding, seen)},
        "properties": {
            "certainty": finding.certainty,
            "basis": finding.basis,
            "reference": plain(finding.reference),
            "active": finding.active,
        },
    }
    if finding.active:
        result["level"] = _LEVELS[finding.severity]
    else:
        result |= {"kind": "informational", "level": "none"}
    if source is not None and finding.line:
        place = _place(report, finding.file, finding.line, packed, index)
        result["relatedLocations"] = [
            {"id": 1, "physicalLocation": place, "message": {"text": "in the unpacked program"}}
        ]
    if finding.path:
        steps = [_flow(report, step, packed, index) for step in _first_and_last(finding.path)]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    return result


def _first_and_last(path: Sequence[Step]) -> Sequence[Step]:
    if len(path) <= MOST_STEPS:
        return path
    return (*path[: MOST_STEPS // 2], *path[-(MOST_STEPS // 2) :])


def _flow(report: Report, step: Step, packed: Mapping[str, Source], index: Mapping[str, int]) -> dict[str, Any]:
    return {
        "importance": "important" if step.role == "step" else "essential",
        "location": {
            "physicalLocation": _place(report, step.file, step.line, packed, index, step.excerpt),
            "message": {"text": _message(f"{step.role}: {step.note}")},
        },
    }


def _fingerprint(finding: Finding, seen: dict[str, int]) -> str:
    """Stays the same when lines move: the rule, the file and the code it points at, numbered among its equals."""
    code = " ".join(finding.path[-1].excerpt.split()) if finding.path else ""
    key = "\0".join((finding.rule, finding.file, code or finding.message))
    digest_ = hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:24]
    seen[digest_] = seen.get(digest_, 0) + 1
    return f"{digest_}:{seen[digest_]}"


def _descriptor(rule_id: str, rule: Rule | None, findings: Sequence[Finding]) -> dict[str, Any]:
    example = next(finding for finding in findings if finding.rule == rule_id)
    severity = rule.severity if rule else example.severity
    certainty = rule.certainty if rule else example.certainty
    descriptor: dict[str, Any] = {
        "id": plain(rule_id),
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {"precision": _PRECISION[certainty], "tags": ["parameter-golf"]},
    }
    if rule is not None:
        descriptor |= {
            "name": _camel(rule.title),
            "shortDescription": {"text": sarif_message(rule.title)},
            "fullDescription": {"text": sarif_message(rule.forbids)},
            "help": {
                "text": sarif_message(f"{rule.forbids}\n\n{rule.why}\n\nTo comply: {rule.comply}\n\n{rule.reference}")
            },
            "helpUri": f"{HOME}/blob/main/docs/rules/{rule_id}.md",
        }
    return descriptor


def _camel(title: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in "".join(c if c.isalnum() else " " for c in title).split())
