"""One line of the gate: a limit, what was measured, and whether it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from audit.finding import Certainty, Severity

AUDIT_LINE = "audit of the code"  # the line of the gate that sums up the audit's findings
_FILE = re.compile(r"(?P<file>[^\s:]+\.[A-Za-z0-9]+)(?::? line (?P<line>\d+)\b)?")


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
    severity: Severity | None = None  # of a failure; None: the rule's own
    certainty: Certainty | None = None

    @property
    def place(self) -> tuple[str, int | None]:
        """File and line (1-based) that the check is about, else those where its figure was read; "" where none is."""
        if self.file:
            return self.file, self.line
        found = _FILE.match(self.evidence)
        if found is None:
            return "", None
        return found["file"], int(found["line"]) if found["line"] else None
