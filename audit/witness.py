"""What the logs witness: which printed texts of the program appear in them, and so which code really ran."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from audit.events import Timeline

MOST_BYTES = 4 << 20
_WORD = re.compile(r"[A-Za-z]")
SHORTEST = 6


class Witness:
    """The logs' lines without the program text that they repeat. ``complete`` where a run reached its score."""

    def __init__(
        self, texts: Iterable[str] = (), source_lines: frozenset[str] = frozenset(), complete: bool = False
    ) -> None:
        kept = [[line for line in text.split("\n") if line.strip() not in source_lines] for text in texts]
        self.logs = ["\n".join(lines) for lines in kept]
        self.text = "\n".join(self.logs)
        self.complete = complete and sum(map(len, kept)) > 5
        self._known: dict[str, bool | None] = {}

    @classmethod
    def of_logs(cls, paths: Iterable[Path], sources: Iterable[str], complete: bool) -> Witness:
        """Read the logs of a submission, up to a limit."""
        lines = frozenset(line.strip() for source in sources for line in source.split("\n") if len(line.strip()) > 3)
        texts: list[str] = []
        left = MOST_BYTES
        for path in paths:
            if left <= 0:
                break
            try:
                text = path.read_bytes()[:left].decode("utf-8", "replace")
            except OSError:
                continue
            left -= len(text)
            texts.append(text)
        return cls(texts, lines, complete)

    def saw(self, printed: str) -> bool | None:
        """Say whether a printed text, unknown parts as NUL, is in the logs; None where it is too short to tell."""
        if not self.text:
            return None
        if printed not in self._known:
            self._known[printed] = self._look(printed)
        return self._known[printed]

    def saw_often(self, printed: str) -> bool:
        """Say whether at least half of the logs show a text: a branch that fewer ran is another run's."""
        telling = self._telling(printed)
        return bool(telling) and 2 * sum(telling in log for log in self.logs) >= len(self.logs)

    def _look(self, printed: str) -> bool | None:
        telling = self._telling(printed)
        return telling in self.text if telling else None

    def _telling(self, printed: str) -> str:
        """The longest part of a printed text that is known and long enough to be told from others."""
        pieces = [p.strip() for line in printed.split("\n") for p in line.split("\0")]
        telling = [p for p in pieces if len(p) >= SHORTEST and len(_WORD.findall(p)) >= SHORTEST - 1]
        return max(telling, key=len, default="")


def shown_around(timeline: Timeline, witness: Witness) -> set[tuple[tuple[int, ...], int]]:
    """Return the blocks, each with the calls that lead to it, of which the logs show a text printed there."""
    found: set[tuple[tuple[int, ...], int]] = set()
    for event in timeline.of("report"):
        if event.active and witness.saw(event.text):
            calls = tuple(id(call.node) for call in event.calls)
            found.add((calls, int(str(event.data.get("block", 0)))))
            if event.data.get("depth") and calls:
                found.add((calls[:-1], event.calls[-1].block))
    return found


def silence(timeline: Timeline, witness: Witness) -> None:
    """Switch off the events of calls that would have printed something that no log shows."""
    if not witness.complete:
        return
    shown: dict[object, int] = {}
    for event in timeline.of("report"):
        if event.active and witness.saw(event.text):
            channel = event.data.get("channel")
            shown[channel] = shown.get(channel, 0) + 1
    told: dict[tuple[object, ...], list[bool]] = {}
    texts: dict[tuple[object, ...], str] = {}
    for event in timeline.of("report"):
        if not event.active or not event.data.get("certain") or not event.calls:
            continue
        if (seen := witness.saw(event.text)) is None or shown.get(event.data.get("channel"), 0) < 2:
            continue
        calls = tuple(id(call.node) for call in event.calls)
        # what a printing function prints counts for its caller: the call before the last is the one that must have run
        for length in {len(calls) - (1 if event.data.get("depth") else 0), len(calls)}:
            told.setdefault(calls[:length], []).append(seen)
            texts.setdefault(calls[:length], event.text)
    unseen = {calls: texts[calls] for calls, seen in told.items() if len(calls) > 1 and not any(seen)}
    if not unseen:
        return
    around = shown_around(timeline, witness)
    for event in timeline.events:
        for length in range(2, len(event.calls) + 1) if unseen else ():
            place = (tuple(id(call.node) for call in event.calls[: length - 1]), event.calls[length - 1].block)
            if place in around:  # what stands beside the call was run: its own texts are of another version
                unseen.pop(tuple(id(call.node) for call in event.calls[:length]), None)
    for event in timeline.events:
        if not event.active:
            continue
        calls = tuple(id(call.node) for call in event.calls)
        for length in range(2, len(calls) + 1):
            if calls[:length] in unseen and event.kind != "report":
                event.active = False
                event.because = f"no log shows what it prints: {unseen[calls[:length]]!r:.80}".replace("\\x00", "…")
                break
