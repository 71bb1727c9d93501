"""Takes the training shards away when a trainer begins to evaluate, and says whether it ran on without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.probe.experiments import SIGNS, Experiment, Stage, Status
from audit.probe.recording import Recording

TEXTS = (".txt", ".log", ".json", ".py", ".jsonl", ".csv", ".md")
SHOWN = 12  # files named in a message


@dataclass(frozen=True)
class Beginning:
    """When the evaluation begins: as process ``process`` reads ``path`` for the ``read``-th time, or, where there is no
    artifact, as it scores the first token of the published figure (``moment`` of its tape)."""

    process: int
    path: str | None = None
    read: int = 0
    moment: int = 0

    def __str__(self) -> str:
        return f"{self.path} was read back" if self.path else "the first token of its figure was scored"

    def plan(self) -> dict[str, object]:
        """As audit/probe/child/evaluation.py takes it."""
        if self.path is None:
            return {"process": self.process, "moment": self.moment}
        return {"process": self.process, "path": self.path, "read": self.read}


def beginning(recordings: Sequence[Recording], headline: Stage | None) -> Beginning | None:
    """The first reading of the file written last of those that are written and then read back (the artifact); without
    one, the first score of the headline; None where neither was seen."""
    events = [(n, mode, path) for n, tape in enumerate(recordings) for _, mode, path in tape.opened]
    written = {path: at for at, (_, mode, path) in enumerate(events) if _writes(mode) and not path.endswith(TEXTS)}
    for path, at in sorted(written.items(), key=lambda item: -item[1]):
        for later in range(at + 1, len(events)):
            process, mode, name = events[later]
            if name == path and not _writes(mode):
                same = [e for e in events[: later + 1] if e[0] == process and e[2] == path and not _writes(e[1])]
                return Beginning(process, path, len(same))
    if headline is not None and headline.explained is not None:
        return Beginning(headline.process, moment=headline.explained.began)
    return None


def opened_after(recordings: Sequence[Recording], begun: Beginning) -> tuple[str, ...]:
    """The files that were opened from the beginning of the evaluation on, each once, in order."""
    found: dict[str, None] = {}
    reads = 0
    for process, tape in enumerate(recordings):
        for moment, mode, path in tape.opened:
            if process == begun.process and path == begun.path and not _writes(mode):
                reads += 1
            if process > begun.process or (
                process == begun.process and (reads >= begun.read if begun.path is not None else moment >= begun.moment)
            ):
                found[path] = None
    return tuple(found)


def check_isolation(
    recordings: Sequence[Recording],
    begun: Beginning | None,
    *,
    removed: bool | None,
    failure: str,
    moved: int = 0,
) -> Experiment:
    """What the evaluation opened, and what became of it without training shards.

    ``removed``: whether they were taken away in another run at that moment, None where there was no such run;
    ``failure``: how that run ended if not with its figures; ``moved``: scores that differ on the same data.
    """
    if begun is None:
        why = "no artifact was written and read back, and the losses of no figure were seen: its beginning is unknown"
        return Experiment("isolation", "", Status.UNCHECKED, why)
    files = opened_after(recordings, begun)
    shards = [path for path in files if "_train_" in path]
    data: dict[str, object] = {"began": str(begun), "opened": list(files[:50])}
    rules = SIGNS["isolation"][1]
    named = ", ".join(files[:SHOWN]) or "none"
    if removed is None:
        return Experiment(
            "isolation", "", Status.WARNING if shards else Status.UNCHECKED,
            f"after {begun} it opened {len(shards)} training shards (files: {named}); no run was made without them",
            bound=0.0, measured=float(len(shards)), rules=rules if shards else (), data=data,
        )  # fmt: skip
    if not removed:
        why = f"{begun} in the first run, but not in the run without training shards"
        return Experiment("isolation", "", Status.UNCHECKED, why, data=data)
    if failure or moved:
        how = f"it ended with: {failure}" if failure else f"{moved} scores moved"
        return Experiment(
            "isolation", "", Status.WARNING,
            f"training shards were removed when {begun}: {how} (files opened: {named})",
            bound=0.0, measured=float(max(len(shards), 1)), rules=rules, data=data,
        )  # fmt: skip
    before = [path for tape in recordings[begun.process : begun.process + 1] for _, _, path in tape.opened]
    own = begun.process > 0 and not any("_train_" in path for path in before)
    memory = (
        "it is a process of its own that never opened one"
        if own
        else "one process trained and evaluated: what it held in memory could not be taken from it"
    )
    return Experiment(
        "isolation", "", Status.HOLDS,
        f"training shards were removed when {begun}, there was no network, and it ran on to its figures; {memory}"
        f" (files opened: {named})",
        bound=0.0, measured=float(len(shards)), data={**data, "own_process": own},
    )  # fmt: skip


def check_network(attempts: Sequence[str]) -> Experiment:
    """What the program tried to reach."""
    outward = [a for a in attempts if a.startswith(("connected to", "looked up"))]
    return Experiment(
        "network", "", Status.WARNING if outward else Status.HOLDS,
        f"ran without a network; it {'; '.join(outward[:3])}" if outward else "ran without a network, asked for none",
        rules=SIGNS["network"][1] if outward else (), data={"attempts": list(attempts)[:50]},
    )  # fmt: skip


def _writes(mode: str) -> bool:
    return any(flag in mode for flag in "wxa+")
