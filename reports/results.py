"""Reads what a run over many submissions left behind: saved reports, or the records of a corpus audit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from reports.report import Report, from_json
from reproduce.errors import InputError

Progress = Callable[[int, int], None]  # done, all


def read_results(path: str | Path) -> Iterator[Report]:
    """Reports of a file with one JSON value a line (a report, an audit's result, or a record of ``audit --corpus``), or
    of every ``*.json`` below a folder. Raises InputError naming the file and line of what it cannot use."""
    path = Path(path)
    if path.is_dir():
        found = sorted(path.rglob("*.json"))
        if not found:
            raise InputError(path, "saved reports (*.json)", "none")
        for file in found:
            yield from_json(file.read_bytes(), str(file))
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, "saved reports, one JSON value a line", str(error)) from error
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise InputError(path, "saved reports, one JSON value a line", "an empty file")
    for number, line in enumerate(lines, 1):
        place = f"{path}:{number}"
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(place, "a saved report in JSON", str(error)) from error
        yield report_of(raw, place)


def report_of(raw: object, place: str) -> Report:
    """The report of one saved value; a corpus record is an audit's result without the rulings' references."""
    if isinstance(raw, dict) and "schema" not in raw and isinstance(raw.get("findings"), list):
        known = {"submission", "trainer", "trainer_why", "verdict", "reasons", "findings", "unchecked", "profile"}
        audit = {key: value for key, value in raw.items() if key in known | {"settings", "seconds"}}
        audit |= {"findings": [_with_reference(finding) for finding in raw["findings"]]}
        evidence = raw.get("evidence") or {"schema": 1, "submission": raw.get("submission")}
        if not isinstance(evidence, dict):
            raise InputError(place, "the evidence of a submission as an object", type(evidence).__name__)
        raw = {**evidence, "folder": raw.get("submission"), "audit": audit}
    return from_json(json.dumps(raw), place)


def _with_reference(finding: object) -> object:
    if not isinstance(finding, dict) or "reference" in finding:
        return finding
    from audit.registry import all_rules

    rule = all_rules().get(str(finding.get("rule")))
    return {**finding, "reference": rule.reference if rule else ""}


def corpus_records(root: str | Path, profile: str = "field-guide", **settings: Any) -> Iterator[dict[str, Any]]:
    """The records of `audit.corpus.audit_corpus` (which takes ``settings``) with the evidence of each submission: its
    claims, gate and seeds, so that a line is all that a report needs. Raises InputError where there is no submission.
    """
    from audit.corpus import audit_corpus
    from reports.collect import evidence_of
    from reproduce.folder import open_folder

    for record in audit_corpus(root, profile=profile, also=evidence_of, **settings):
        if "evidence" in record:
            yield record
            continue
        # The audit came to nothing (no trainer, too long, no such code), which says nothing of logs and claims.
        audit = report_of(dict(record), record["submission"]).audit
        try:
            folder = open_folder(Path(root) / record["submission"], strict=False)
            yield {**record, "evidence": evidence_of(folder, audit, profile)}
        except (InputError, OSError) as error:
            told = str(error).replace(f"{root}{os.sep}", "")
            yield {
                **record,
                "evidence": {"schema": 1, "submission": record["submission"], "notes": [told]},
            }


def collect_corpus(
    root: str | Path, *, profile: str = "field-guide", cache: Path | None = None, progress: Progress | None = None
) -> Iterator[Report]:
    """A report a submission below ``root``, made on all cores with the audit's cache.

    A submission that cannot be read is reported with the reason. Raises InputError where there is none.
    """
    told = (lambda done, total, record: progress(done, total)) if progress is not None else None
    for record in corpus_records(root, profile, cache=cache, progress=told):
        yield report_of(record, str(record["submission"]))


def with_probe(report: Report, path: Path) -> Report:
    """The report with what `golfproof probe --format json` saved. Raises InputError naming ``path``."""
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, "the JSON of `golfproof probe --format json`", str(error)) from error
    if not isinstance(raw, dict) or not isinstance(raw.get("experiments"), list):
        raise InputError(path, "the JSON of `golfproof probe --format json`", "no list of experiments")
    known = ("name", "stage", "status", "message", "bound", "measured")
    experiments = [
        {
            **{key: one.get(key) for key in known if one.get(key) is not None},
            "mass": (one.get("data") or {}).get("mass"),
        }
        for one in raw["experiments"]
        if isinstance(one, dict)
    ]
    findings = [_with_reference(finding) for finding in raw.get("findings", [])]
    probed = {"schema": 1, "submission": report.submission, "experiments": experiments, "probes": findings}
    made = from_json(json.dumps(probed), str(path))
    return replace(report, experiments=made.experiments, probes=made.probes)
