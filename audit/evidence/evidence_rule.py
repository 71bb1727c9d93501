"""A rule that rests on evidence: it weighs figures into gate lines, and its failures are its findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.finding import Certainty, Finding, Severity
from audit.rule import Rule

if TYPE_CHECKING:
    from audit.case import Case


class EvidenceRule(Rule):
    """Subclasses weigh the evidence once; the gate prints the lines, the audit keeps what failed.

    A failure is a finding of the rule's own severity and certainty; a warning one that asks for a reader.
    """

    against: ClassVar[str | None] = None  # what the examples are compared with, for a rule that compares
    outside: ClassVar[bool] = False  # rests on what no folder holds: its examples name it in a file `.changed`
    limit: ClassVar[str] = ""  # what the gate prints as the limit where it does not depend on options
    of_runs: ClassVar[bool] = True  # judges single runs, not the claims about them
    order: ClassVar[int] = 50  # place among the lines of the gate: sizes, times, data, metric, claims, process

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        """Yield the lines of the gate, at least one: what cannot be decided is ``unchecked``, never a pass."""
        raise NotImplementedError

    def lines(self, evidence: Evidence) -> Iterator[Check]:
        """The lines of the gate. A run that may not be the submission's, such as a study's, fails nobody: it warns."""
        loose = {evidence.place(run) for run in evidence.runs if self.of_runs and not evidence.tied(run)}
        for line in self.weigh(evidence):
            if line.status is Status.FAIL and line.file in loose:
                note = f"{line.evidence} (not surely a run behind the claim)".strip()
                line = replace(line, status=Status.WARN, evidence=note)
            yield line

    def check(self, case: Case) -> Iterator[Finding]:
        yield from self.findings(Evidence.of_case(case))

    def findings(self, evidence: Evidence) -> Iterator[Finding]:
        """The lines that failed, as findings."""
        for line in self.lines(evidence):
            if line.status is Status.FAIL:
                severity, certainty = line.severity or self.severity, line.certainty or self.certainty
            elif line.status is Status.WARN:
                severity = Severity.WARNING if self.severity is Severity.ERROR else self.severity
                certainty = Certainty.MEDIUM if self.certainty is Certainty.HIGH else self.certainty
            else:
                continue
            file, at = line.place
            yield Finding(
                rule=self.id,
                message=line.message or f"{line.name}: {line.actual}, limit {line.limit}",
                severity=severity,
                certainty=certainty,
                basis=self.basis,
                reference=self.reference,
                file=file,
                line=at,
                data=line.data,
            )

    # -- lines ------------------------------------------------------------------------------------------------------

    def line(
        self, status: Status, actual: str, message: str = "", *, name: str = "", limit: str = "", evidence: str = "",
        file: str = "", at: int | None = None, severity: Severity | None = None, certainty: Certainty | None = None,
        **data: object,
    ) -> Check:  # fmt: skip
        """One gate line of this rule; a failure has the rule's severity and certainty, or its own."""
        return Check(
            name or self.title, limit or self.limit, actual, status, evidence or file, self.id, message, file, at, data,
            severity, certainty,
        )  # fmt: skip
