"""The page that every rule is: id, ruling, explanation, examples, and a check over one case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity, Step

if TYPE_CHECKING:
    from audit.case import Case
    from audit.events import Event
    from audit.provenance import Trail

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

    def finding(
        self, case: Case, sink: Event, message: str, *, also: Iterable[Event] = (), rounds: bool = False, **changes: Any
    ) -> Finding:
        """Return a finding at an event, with the path that its value took and the events that complete the breach.

        ``rounds`` shows the loops that the events stand in, where the order of things is the breach. ``changes``
        replace fields of the finding.
        """
        path = [*trail_steps(case, sink.trail, sink.line, sink.file), *call_steps(case, sink)]
        path += loop_steps(case, sink, path) if rounds else []
        path.append(event_step(case, sink, "sink"))
        for event in also:
            path += call_steps(case, event)
            path += loop_steps(case, event, path) if rounds else []
            path.append(event_step(case, event, "step"))
        fields: dict[str, Any] = {
            "rule": self.id,
            "message": message,
            "severity": self.severity,
            "certainty": self.certainty,
            "basis": self.basis,
            "reference": self.reference,
            "file": sink.file,
            "line": sink.line,
            "path": tuple(path),
            "active": sink.active,
            "because": f"switched off by {sink.because}" if sink.because and not sink.active else "",
        }
        return Finding(**{**fields, **changes})

    def place(self, case: Case, file: str, line: int, message: str, **changes: Any) -> Finding:
        """Return a finding at a line that no event of the timeline stands for."""
        fields: dict[str, Any] = {
            "rule": self.id,
            "message": message,
            "severity": self.severity,
            "certainty": self.certainty,
            "basis": self.basis,
            "reference": self.reference,
            "file": file,
            "line": line,
            "path": (Step(file, line, case.excerpt(file, line), message, "sink"),),
        }
        return Finding(**{**fields, **changes})


NOTES = {
    "score": "adds the loss to the score",
    "store": "keeps the loss for the score",
    "nll": "takes the loss at the target",
    "step": "moves the weights",
    "backward": "sends the loss back",
    "count": "counts the tokens into the table",
    "lookup": "looks the key up in the count table",
    "read": "reads the count table",
    "report": "reports the number",
    "forward": "runs the model on the data",
    "save": "writes the artifact",
}


def event_step(case: Case, event: Event, role: str) -> Step:
    """Return an event as a step of a path."""
    note = NOTES.get(event.kind, event.kind)
    within = f" in {event.function}" if event.function else ""
    return Step(event.file, event.line, case.excerpt(event.file, event.line), note + within, role)


def call_steps(case: Case, event: Event) -> list[Step]:
    """Return the calls that led to an event, the outermost first; the entry's own call says nothing."""
    calls = [call for call in event.calls if call.line][1:]
    return [Step(c.file, c.line, case.excerpt(c.file, c.line), f"calls {c.function}", "step") for c in calls]


def loop_steps(case: Case, event: Event, path: list[Step]) -> list[Step]:
    """Return the two innermost loops around an event that a path does not show yet."""
    shown = {(step.file, step.line) for step in path}
    steps = []
    for loop in event.loops[-2:]:
        line = getattr(loop.node, "lineno", 0)
        if line and (loop.file, line) not in shown:
            steps.append(Step(loop.file, line, case.excerpt(loop.file, line), "goes round", "step"))
    return steps


def trail_steps(case: Case, trail: Trail | None, line: int, file: str) -> list[Step]:
    """Return the steps a value took before it came to a line, the source first."""
    steps: list[Step] = []
    for place in trail.steps() if trail is not None else ():
        at = getattr(place.node, "lineno", 0)
        if (
            not at
            or (place.file, at) == (file, line)
            or (steps and (steps[-1].file, steps[-1].line) == (place.file, at))
        ):
            continue
        role = "step" if steps else "source"
        note = "comes from here" if not steps else "passes through"
        steps.append(Step(place.file, at, case.excerpt(place.file, at), note, role))
    return steps
