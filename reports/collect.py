"""Gathers all that can be said of a submission folder without running it into one report."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.report import Comparison, Report, assemble, to_json
from reproduce.errors import InputError

if TYPE_CHECKING:
    from audit.evidence.records import Record
    from audit.finding import AuditResult
    from reproduce.claims import Claims
    from reproduce.folder import SubmissionFolder
    from reproduce.table import SeedTable


def collect(
    path: str | Path, *, profile: str = "field-guide", link: str = "", folder: str = "", source_texts: bool = True
) -> Report:
    """Audit, gate, seeds from the logs and claims of the submission at ``path``.

    ``link`` is where its files can be read on a website, ``folder`` its place in the repository. What cannot be made
    (no log with a score, no trainer) becomes a note. Raises InputError where there is no submission.
    """
    from reproduce.folder import open_folder

    return collect_folder(open_folder(path), profile=profile, link=link, folder=folder, source_texts=source_texts)


def collect_folder(
    submission: SubmissionFolder,
    *,
    profile: str = "field-guide",
    link: str = "",
    folder: str = "",
    source_texts: bool = True,
    audit: AuditResult | None = None,
) -> Report:
    """The report on an opened submission, with an ``audit`` that was made before or a new one; see `collect`."""
    from audit.case import Case
    from audit.evidence.evidence import Evidence
    from audit.evidence.gate import gate
    from audit.evidence.limits import read_limits
    from audit.run import audit_folder
    from audit.verdict import read_profile
    from reports.sources import sources_of
    from reproduce.claims import read_claims
    from reproduce.table import from_logs

    notes: list[str] = []
    seeds = claims = None
    if audit is None and submission.trainer is None:
        notes.append(f"the code was not audited: {submission.trainer_why or 'no trainer was found'}")
    elif audit is None:
        audit = audit_folder(submission, profile)
    try:
        claims = read_claims(submission)
    except InputError as error:
        notes.append(f"claims were not read: {error}")
    try:
        seeds = from_logs(submission)
    except InputError as error:
        notes.append(f"no table of seeds: {error}")
    record = _record(claims)
    try:
        limits, policy = read_limits(submission.path, {}), read_profile(profile)
        evidence = Evidence.of_folder(submission, limits, "record" if record else None)
        if evidence.non_record:
            record, evidence = None, replace(evidence, against=None)
        checks = gate(submission, limits, audit, evidence=evidence, profile=policy)
    except InputError as error:
        checks = ()
        notes.append(f"the gate could not be weighed: {error}")
    notes = [note.replace(f"{submission.path}{os.sep}", "").replace(str(submission.path), ".") for note in notes]
    notes.append("Seeds are read from the submission's own logs; nothing was rerun.")
    modules = Case(submission).modules if audit is not None and audit.findings and source_texts else ()
    return assemble(
        submission.name,
        audit=audit,
        checks=checks,
        seeds=replace(seeds, runs=tuple(replace(run, path=submission.relative(Path(run.path))) for run in seeds.runs))
        if seeds
        else None,
        claims=replace(claims, path=submission.relative(Path(claims.path))) if claims else None,
        comparison=_comparison(seeds, record),
        notes=notes,
        sources=sources_of(modules),
        link=link,
        folder=folder,
        words=own_words(submission),
    )


def evidence_of(submission: SubmissionFolder, audit: AuditResult | None, profile: str) -> dict[str, Any]:
    """All of the report on a submission save its audit, as JSON takes it: what a line of a corpus run carries.

    Left out is what no page shows: the logs' settings and events. `reports.results` makes the report of it again.
    """
    report = collect_folder(submission, profile=profile, audit=audit, source_texts=False)
    if (seeds := report.seeds) is not None:
        runs = tuple(replace(run, settings={}, events=()) for run in seeds.runs)
        report = replace(report, seeds=replace(seeds, runs=runs))
    raw = json.loads(to_json(report))
    return {key: value for key, value in raw.items() if key not in ("audit", "sources") and value not in (None, [], "")}


def _record(claims: Claims | None) -> Record | None:
    """The record that stood when the submission was made, if it says when."""
    from audit.evidence.records import day, standing

    on = day(claims.date) if claims is not None else None
    return standing(on) if on is not None else None


def _comparison(seeds: SeedTable | None, record: Record | None) -> Comparison | None:
    """The seeds against the record, by the test that the gate uses."""
    if seeds is None or record is None:
        return None
    from audit.evidence.s_sig import compare
    from reproduce.statistics import summarise

    scores = [run.headline.val_bpb for run in seeds.runs if run.headline and run.headline.val_bpb is not None]
    if not scores:
        return None
    test, summary = compare(scores, record), summarise(record.val_bpb)
    return Comparison(
        record=record.label,
        record_mean=summary.mean,
        record_std=summary.std,
        record_n=summary.n,
        difference=-test.gain,
        p_value=test.p,
        test=test.kind,
        why=test.why,
    )


def own_words(submission: SubmissionFolder) -> str:
    """What the author says of the submission: its blurb, else the first paragraph of its README."""
    for key in ("blurb", "description", "summary"):
        said = submission.metadata.get(key)
        if isinstance(said, str) and said.strip():
            return said.strip()
    try:
        paragraphs = re.split(r"\n\s*\n", submission.readme_text)
    except InputError:
        return ""
    words = next((part.strip() for part in paragraphs if re.match(r"\s*[^\s#|>`<!\[-]", part)), "")
    return re.sub(r"\*\*|__|`|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)", "", words)  # the marks of emphasis and of code
