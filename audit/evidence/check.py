"""One line of the gate: a limit, what was measured, and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    UNCHECKED = "unchecked"  # could not be decided: never a pass


@dataclass(frozen=True)
class Check:
    """``limit`` and ``actual`` are printed as they stand; ``evidence`` says where the figure was read.

    ``message`` is the full sentence for a finding; ``file`` and ``line`` (1-based) the place; ``data`` the figures.
    """

    name: str
    limit: str
    actual: str
    status: Status
    evidence: str = ""
    rule: str | None = None
    message: str = ""
    file: str = ""
    line: int | None = None
    data: dict[str, object] = field(default_factory=dict)
