"""Reads what a run over many submissions left behind: saved reports, or the records of a corpus audit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

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
        raw = {"schema": 1, "submission": raw.get("submission"), "folder": raw.get("submission"), "audit": audit}
    return from_json(json.dumps(raw), place)


def _with_reference(finding: object) -> object:
    if not isinstance(finding, dict) or "reference" in finding:
        return finding
    from audit.registry import all_rules

    rule = all_rules().get(str(finding.get("rule")))
    return {**finding, "reference": rule.reference if rule else ""}


def collect_corpus(
    root: str | Path, *, profile: str = "field-guide", cache: Path | None = None, progress: Progress | None = None
) -> Iterator[Report]:
    """A report a submission below ``root``: audited on all cores with the audit's cache, then gate, seeds and claims.

    A submission that cannot be read is reported with the reason. Raises InputError where there is none.
    """
    from audit.corpus import audit_corpus
    from reports.collect import collect_folder
    from reproduce.folder import find_submissions, open_folder

    root = Path(root)
    total = len(find_submissions(root))
    for done, record in enumerate(audit_corpus(root, profile=profile, cache=cache), 1):
        name = str(record["submission"])
        audited = report_of(dict(record), name)
        try:
            folder = open_folder(root / name, strict=False)
            found = collect_folder(folder, profile=profile, folder=name, source_texts=False, audit=audited.audit)
        except (InputError, OSError) as error:
            found = _noted(audited, str(error))
        if progress is not None:
            progress(done, total)
        yield found


def _noted(report: Report, note: str) -> Report:
    return replace(report, notes=(*report.notes, note))


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
