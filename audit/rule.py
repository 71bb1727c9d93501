"""The page that every rule is: id, ruling, explanation, examples, and a check over one case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity

if TYPE_CHECKING:
    from audit.case import Case

# A small submission of our own: the text of its train_gpt.py, or file names with their texts.
Example = str | Mapping[str, str]


class Rule:
    """Subclass it in a file of its own under audit/rules or audit/evidence; the registry finds it there."""

    id: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Severity] = Severity.ERROR
    certainty: ClassVar[Certainty] = Certainty.HIGH
    basis: ClassVar[Basis]
    reference: ClassVar[str]  # who ruled, with issue or pull request numbers
    forbids: ClassVar[str]
    why: ClassVar[str]
    comply: ClassVar[str]
    version: ClassVar[int] = 1  # raise it when the check changes: cached results of older versions are dropped
    VALID: ClassVar[Iterable[Example]] = ()
    INVALID: ClassVar[Iterable[Example]] = ()

    def check(self, case: Case) -> Iterator[Finding]:
        """Yield a finding a breach; yield nothing where the case complies."""
        raise NotImplementedError
