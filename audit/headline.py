"""Which report of the program makes the headline number, and which losses it rests on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from audit.events import Event, Timeline
from audit.provenance import EVENTS, NLL, VAL

_SCORE_WORDS = re.compile(r"bpb|bits.per.byte|val_loss|exact|roundtrip|final", re.I)


@dataclass(frozen=True)
class Headline:
    """``report`` prints the score (None where none was found); ``losses`` and ``scores`` are the events it rests on."""

    report: Event | None
    why: str
    bits: int = 0
    losses: tuple[Event, ...] = ()
    scores: tuple[Event, ...] = field(default=())

    def rests_on(self, event: Event) -> bool:
        """Say whether the score rests on an event."""
        return bool(self.bits & event.bit)


def find_headline(timeline: Timeline, claimed: list[str], stages: list[str]) -> Headline:
    """Return the report of the claimed score, else of the logs' last stage, else the last of a validation score.

    ``claimed`` are the stages for which the logs print the claimed figure, ``stages`` those that the logs end on.
    """
    told = [
        e
        for e in timeline.of("report")
        if e.active and e.value.bits & NLL and e.value.bits & VAL and e.value.bits & EVENTS
    ]
    same = [e for e in told if any(prints(e.text, stage) for stage in claimed)]
    named = [e for e in told if any(prints(e.text, stage) for stage in stages)]
    if same:
        report, why = same[-1], "the logs give the claimed score for this stage"
    elif named:
        report, why = named[-1], "the logs name this stage as their last"
    else:
        outside = (
            [e for e in told if not e.loops and _SCORE_WORDS.search(e.text)] or [e for e in told if not e.loops] or told
        )
        if not outside:
            return Headline(None, "no report of a validation score was found")
        report, why = outside[-1], "the last report of a validation score"
    bits = report.value.bits
    losses = tuple(e for e in timeline.of("nll") if e.active and e.bit & bits and e.value.bits & VAL)
    scores = tuple(e for e in timeline.of("score", "store") if e.active and e.bit & bits)
    return Headline(report, why, bits, losses, scores)


def prints(text: str, stage: str) -> bool:
    """Say whether a printed text, with NUL for its unknown parts, can begin a log line of that stage."""
    if not stage or len(stage) < 3:
        return False
    if stage in text:
        return True
    word, _, figure = stage.partition(" ")
    if figure:  # one of several figures of a line: its first word, and the figure's name
        return word in text and figure in text
    if "\0" not in text:
        return False
    head = re.split(r"[\s:=]", text.strip(), maxsplit=1)[0]
    if head.strip("\0_ ") == "":
        return False
    pattern = "".join(".+" if part == "\0" else re.escape(part) for part in re.split("(\0)", head))
    return re.fullmatch(pattern, stage) is not None
