"""Audits one submission: reads it, puts every rule's question to it, weighs the answers."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.case import Case
from audit.finding import AuditResult, Finding, Severity
from audit.registry import choose
from audit.verdict import read_profile, weigh
from reproduce.errors import InputError
from reproduce.folder import SubmissionFolder, open_folder

_log = logging.getLogger(__name__)
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


def audit_path(path: str | Path, profile: str = "field-guide", rules: Iterable[str] | None = None) -> AuditResult:
    """Audit a submission folder or a trainer file. Raises InputError for one that cannot be read."""
    return audit_folder(open_folder(path), profile, rules)


@contextmanager
def without_collecting() -> Iterator[None]:
    """Look for no garbage cycles meanwhile: an audit makes few, and looking for them takes a fifth of its time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@without_collecting()
def audit_folder(
    folder: SubmissionFolder, profile: str = "field-guide", rules: Iterable[str] | None = None
) -> AuditResult:
    """Audit an opened submission.

    Raises InputError where the trainer cannot be read, or for an unknown rule or profile. A rule that fails on this
    submission is a gap of the analysis, named in ``unchecked``, and never a pass.
    """
    started = time.perf_counter()
    policy = read_profile(profile)
    try:
        chosen = choose(list(rules) if rules is not None else None)
    except KeyError as error:
        raise InputError(str(error.args[0]), "the id of a rule (see `golfproof rules`)") from None
    case = Case(folder)
    trainer = case.trainer
    findings: list[Finding] = []
    unchecked: list[str] = []
    failures: list[str] = []
    for rule in chosen.values():
        try:
            findings += rule.check(case)
        except InputError as error:
            unchecked.append(f"{rule.id}: {error}")
        except Exception as error:
            _log.exception("%s failed on %s", rule.id, folder.path)
            failures.append(f"{rule.id} failed: {type(error).__name__}: {error}")
    unchecked += [f"{module.file}: {module.problem}" for module in case.modules if module.problem]
    gaps = [*failures, *case.gaps()]
    findings = order(findings)
    verdict, reasons = weigh(findings, gaps, policy)
    return AuditResult(
        submission=folder.name,
        trainer=trainer.file,
        trainer_why=folder.trainer_why,
        verdict=verdict,
        reasons=reasons,
        findings=tuple(findings),
        unchecked=tuple(dict.fromkeys([*gaps, *unchecked])),
        profile=policy.name,
        settings={name: value for name, (value, where) in sorted(case.timeline.settings.items()) if where == "run"},
        seconds=time.perf_counter() - started,
    )


def order(findings: list[Finding]) -> list[Finding]:
    """Active ones first, the gravest first, each place once."""
    seen: set[tuple[object, ...]] = set()
    kept: list[Finding] = []
    ranked = sorted(findings, key=lambda f: (not f.active, _ORDER[f.severity], f.rule, f.file, f.line or 0))
    for finding in ranked:
        key = (finding.rule, finding.file, finding.line, finding.active)
        if key not in seen:
            seen.add(key)
            kept.append(finding)
    return kept
