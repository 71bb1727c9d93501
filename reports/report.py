"""The one value every format is made from: what is known of a submission, saved and loaded as versioned JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from audit.evidence.check import Check
from audit.finding import AuditResult, Finding
from reproduce.claims import Claims
from reproduce.errors import InputError
from reproduce.table import SeedTable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

# Raise it when a saved report of the older shape can no longer be read; added fields with defaults do not count.
SCHEMA = 1
WORDS = 600  # characters of the author's own words that are kept


@dataclass(frozen=True)
class Source:
    """The text of a file that findings point into.

    ``packed`` where the submission holds it only in packed form; ``inside`` is then the file that unpacks it, at its
    1-based ``line``.
    """

    file: str
    text: str
    packed: bool = False
    inside: str = ""
    line: int = 1


@dataclass(frozen=True)
class Comparison:
    """The submission's seeds against a record: ``p_value`` is one-sided (the submission is better), val_bpb means."""

    record: str
    record_mean: float
    record_std: float | None
    record_n: int
    difference: float  # submission minus record, bits per byte: negative is better
    p_value: float | None
    test: str = "Welch"
    why: str = ""  # why there is no p-value


@dataclass(frozen=True)
class Experiment:
    """One run-time experiment: ``measured`` against ``bound``, in the unit that ``message`` names.

    ``mass``: what the submission's probabilities sum to on average over the tokens probed, where that was measured.
    """

    name: str
    stage: str
    status: str  # breach | warning | holds | unchecked
    message: str
    bound: float | None = None
    measured: float | None = None
    mass: float | None = None


@dataclass(frozen=True)
class Report:
    """Everything a reviewer is told about one submission. A part that was not asked for is None or empty."""

    submission: str
    audit: AuditResult | None = None
    checks: tuple[Check, ...] = ()
    seeds: SeedTable | None = None
    claims: Claims | None = None
    comparison: Comparison | None = None
    probes: tuple[Finding, ...] = ()  # what the experiments found
    experiments: tuple[Experiment, ...] = ()
    notes: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    link: str = ""  # where the files can be read, e.g. https://github.com/OWNER/REPO/blob/COMMIT/FOLDER
    folder: str = ""  # the submission's place in its repository, e.g. records/TRACK/NAME
    words: str = ""  # what the author says of it: the blurb of submission.json, or the README's beginning
    generated_by: str = ""
    schema: int = SCHEMA

    @property
    def verdict(self) -> str:
        """The audit's verdict, or ``not audited``."""
        return self.audit.verdict if self.audit else "not audited"


def generator() -> str:
    """The name and version that a report carries."""
    try:
        return f"golfproof {version('golfproof')}"
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "golfproof"


def assemble(
    submission: str,
    *,
    audit: AuditResult | None = None,
    checks: Iterable[Check] = (),
    seeds: SeedTable | None = None,
    claims: Claims | None = None,
    comparison: Comparison | None = None,
    probes: Iterable[Finding] = (),
    experiments: Iterable[Experiment] = (),
    notes: Iterable[str] = (),
    sources: Iterable[Source] = (),
    link: str = "",
    folder: str = "",
    words: str = "",
) -> Report:
    """A report of these parts. The program text that logs repeat is dropped: the audit has compared it already."""
    if seeds is not None:
        seeds = replace(seeds, runs=tuple(replace(run, source=None) for run in seeds.runs))
    cited = {step.file for finding in (audit.findings if audit else ()) for step in finding.path}
    cited |= {finding.file for finding in (audit.findings if audit else ())}
    return Report(
        submission=submission,
        audit=audit,
        checks=tuple(checks),
        seeds=seeds,
        claims=claims,
        comparison=comparison,
        probes=tuple(probes),
        experiments=tuple(experiments),
        notes=tuple(notes),
        sources=tuple(source for source in sources if source.file in cited),
        link=link.rstrip("/"),
        folder=folder.strip("/"),
        words=words[:WORDS],
        generated_by=generator(),
    )


def without_excerpts(report: Report) -> Report:
    """The report with no line of the submission's program or README in it: figures, rules, places and rulings stay."""
    audit = report.audit
    if audit is not None:
        audit = replace(audit, findings=tuple(_without_excerpt(finding) for finding in audit.findings))
    seeds = report.seeds
    if seeds is not None:  # lines of the log stand in its events
        seeds = replace(seeds, runs=tuple(replace(run, events=()) for run in seeds.runs))
    probes = tuple(_without_excerpt(finding) for finding in report.probes)
    return replace(report, audit=audit, seeds=seeds, probes=probes, sources=(), words="")


def _without_excerpt(finding: Finding) -> Finding:
    return replace(finding, path=tuple(replace(step, excerpt="") for step in finding.path))


@cache
def _adapter() -> TypeAdapter[Report]:
    from pydantic import TypeAdapter  # 50 ms, which an audit without a report should not pay

    return TypeAdapter(Report)


def to_json(report: Report) -> str:
    """The report as JSON in ASCII; `from_json` gives it back. Floats that are no numbers become null."""
    return json.dumps(_finite(_adapter().dump_python(report, mode="json")), indent=1)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def from_json(text: str | bytes, path: str = "report") -> Report:
    """The report that `to_json` wrote, or one of an audit's result alone.

    Raises InputError (naming ``path``) on anything else.
    """
    from pydantic import ValidationError

    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(path, "a report in JSON", str(error)) from error
    if not isinstance(raw, dict) or "submission" not in raw:
        raise InputError(path, "a report that golfproof has saved")
    if "schema" not in raw and {"verdict", "findings"} <= raw.keys():
        raw = {"submission": raw["submission"], "audit": raw, "schema": SCHEMA}  # `golfproof audit --format json`
    if raw.get("schema") != SCHEMA:
        raise InputError(path, f"a golfproof report of schema {SCHEMA}", f"schema {raw.get('schema')!r}")
    try:
        return _adapter().validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(path, f"a golfproof report of schema {SCHEMA}", f"{where}: {first['msg']}") from error


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `to_json`'s output, made from the dataclasses themselves."""
    schema = _adapter().json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"report-{SCHEMA}.json",
        **schema,
        "title": "Golfproof report",
    }
