"""What a rule reports: where, why, on what authority, and along which path through the code."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"  # makes a submission illegal
    WARNING = "warning"  # minor: a bias, a formality
    NOTE = "note"


class Certainty(StrEnum):
    HIGH = "high"  # may fail a submission
    MEDIUM = "medium"  # asks for a reader
    LOW = "low"  # a hint


class Basis(StrEnum):
    RULING = "maintainer ruling"
    README = "contest README"
    FIELD_GUIDE = "field guide"
    MEASUREMENT = "measurement"
    UNRULED = "unruled"


@dataclass(frozen=True)
class Step:
    """One place on the way from source to sink; ``line`` is 1-based in ``file`` (unpacked text where packed)."""

    file: str
    line: int
    excerpt: str
    note: str
    role: str = "step"  # source | step | sink


@dataclass(frozen=True)
class Finding:
    """One breach of one rule. ``active`` is False where the submitted configuration cannot reach it."""

    rule: str
    message: str
    severity: Severity
    certainty: Certainty
    basis: Basis
    reference: str
    file: str
    line: int | None = None
    path: tuple[Step, ...] = ()
    active: bool = True
    because: str = ""  # the settings that make it reachable, or dead
    data: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditResult:
    """What the audit of one submission came to; ``unchecked`` names what could not be decided, with the reason."""

    submission: str
    trainer: str | None
    trainer_why: str
    verdict: str  # illegal | unruled | review | clean
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...] = ()
    profile: str = "field-guide"
    settings: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
