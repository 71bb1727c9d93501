"""Reads a run's tape and finds the losses that add up to the number the run reported."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.errors import InputError

if TYPE_CHECKING:
    import numpy as np

_LOSS = re.compile(r"(?:val_)?loss[\"']?\s*[:=]\s*([0-9]+\.[0-9]+)")
_FIGURE = re.compile(r"(?:loss|bpb)[\"']?\s*[:=]\s*[0-9]+\.[0-9]+")
_POSITIONED = ("cross_entropy", "nll_loss", "gather", "take_along_dim")


@dataclass(frozen=True)
class Explained:
    """The vector of losses behind one reported mean.

    ``losses`` (n,) nats in the order of scoring; ``positions`` (n,) the place of each target in the stream, -1 where
    unknown; ``exact`` whether the places were matched one by one, or follow from the order and the count; ``began``
    the moment of the tape at which the first of them was heard.
    """

    site: tuple[str, int, str]
    losses: np.ndarray
    positions: np.ndarray
    exact: bool
    began: int = 0


@dataclass(frozen=True)
class Recording:
    """One run's tape. Event columns: moment, site, start, stop; see audit/probe/child/tape.py."""

    values: np.ndarray
    events: np.ndarray
    places: np.ndarray
    trained: np.ndarray
    sites: tuple[tuple[str, int, str], ...]
    marks: tuple[tuple[int, str], ...]
    full: bool
    failure: str
    asked: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    opened: tuple[tuple[int, str, str], ...] = ()  # moment, mode, path

    @cached_property
    def positions(self) -> dict[int, np.ndarray]:
        """Event -> place in the stream of each of its values, -1 where unknown."""
        import numpy as np

        found: dict[int, np.ndarray] = {}
        for event, place, start, length in self.places:
            if event not in found:
                found[int(event)] = np.full(int(self.events[event, 3] - self.events[event, 2]), -1)
            found[int(event)][start : start + length] = np.arange(place, place + length)
        return found

    def explain(self, val_loss: float, decimals: int, targets: int) -> Explained | None:
        """The vector that the mean ``val_loss``, printed with ``decimals`` digits, is the mean of; None if none is.

        Vectors are the values of one line of the submission since an earlier metric was printed, whole or the last
        ``targets`` of them (a pass that is scored anew keeps the last).
        """
        import numpy as np

        tolerance = 0.51 * 10.0**-decimals + 2e-6 * abs(val_loss)
        for start, end in self._spans(val_loss, decimals):
            inside = np.nonzero((self.events[:, 0] >= start) & (self.events[:, 0] < end))[0]
            fitting: list[tuple[int, Explained]] = []
            for site in np.unique(self.events[inside, 1]):
                chosen = inside[self.events[inside, 1] == site]
                for vector, kept in self._vectors(chosen):
                    counts = [n for n in {len(vector), targets} if targets // 8 <= n <= len(vector)]
                    fits = [n for n in counts if abs(vector[-n:].mean() - val_loss) <= tolerance]
                    if fits:
                        fitting.append((int(site), self._placed(int(site), chosen, vector, kept, fits[0], targets)))
                        break
            if fitting:
                # Where the losses are summed they are counted; where they are made they may only be looked at.
                site, best = min(
                    fitting,
                    key=lambda f: (not f[1].exact, abs(len(f[1].losses) - targets), f[1].site[2] in _POSITIONED),
                )
                return replace(best, began=int(self.events[inside[self.events[inside, 1] == site][0], 0]))
        return None

    def explain_bits(self, bpb: float, decimals: int, targets: int, counts: np.ndarray) -> Explained | None:
        """The vector behind a figure printed in bits per byte alone; (targets,) ``counts`` are the targets' bytes.

        The nearest to the line that prints it: a vector whose places are known and whose losses come to the figure over
        the bytes of those places.
        """
        import math

        import numpy as np

        wanted = f"{bpb:.{decimals}f}"
        ends = [moment for moment, text in self.marks if wanted in text] or [1 << 62]
        told = [moment for moment, text in self.marks if _FIGURE.search(text)]
        tolerance = 0.51 * 10.0**-decimals + 2e-6 * bpb
        for end in dict.fromkeys(ends):
            for start in dict.fromkeys((*(m for m in reversed(told) if m < end), -1)):
                inside = np.nonzero((self.events[:, 0] >= start) & (self.events[:, 0] < end))[0]
                for site in np.unique(self.events[inside, 1]):
                    chosen = inside[self.events[inside, 1] == site]
                    tried = [(v, k, n) for v, k in self._vectors(chosen) for n in {len(v), targets}]
                    for vector, kept, count in tried:
                        mean = vector[-count:].mean() if targets // 8 <= count <= len(vector) else math.inf
                        if abs(mean / (math.log(2) * counts.mean()) - bpb) > 0.02 * bpb:
                            continue
                        placed = self._placed(int(site), chosen, vector, kept, count, targets)
                        if not (placed.positions > 0).any() or (placed.exact and (placed.positions <= 0).any()):
                            continue
                        known = np.where(placed.positions > 0, placed.positions, targets)
                        bits = placed.losses.sum() / (math.log(2) * counts[known - 1].sum())
                        if abs(bits - bpb) <= tolerance:
                            return replace(placed, began=int(self.events[chosen[0], 0]))
        return None

    def _spans(self, val_loss: float, decimals: int) -> Iterator[tuple[int, int]]:
        """Where the losses may lie: from an earlier figure, the nearest first, to a line that prints this one, the line
        of most digits first (two evaluations may agree in the first four)."""
        figures = [(moment, _LOSS.findall(text)) for moment, text in self.marks]
        wanted = f"{val_loss:.{decimals}f}"
        ends: list[tuple[int, int]] = []
        for moment, found in figures:
            for figure in found:
                digits = min(len(figure.split(".")[1]), decimals)
                if abs(float(figure) - val_loss) <= 0.51 * 10.0**-digits:
                    ends.append((-digits, moment))
        told = [moment for moment, text in self.marks if _LOSS.search(text) or wanted in text]
        for end in dict.fromkeys(moment for _, moment in sorted(ends)) or {1 << 62: None}:
            earlier = [moment for moment in reversed(told) if moment < end] if ends else []
            for start in dict.fromkeys((*earlier, -1)):
                yield start, end

    def _vectors(self, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The values of some events, and those of them that are not 0 if some are (a sum under a mask), each with which
        of the values they are."""
        import numpy as np

        vector = np.concatenate([self.values[a:b] for a, b in self.events[chosen, 2:]])
        yield vector, np.ones(len(vector), bool)
        kept = vector != 0
        if not kept.all():
            yield vector[kept], kept

    def _placed(
        self, site: int, chosen: np.ndarray, vector: np.ndarray, kept: np.ndarray, count: int, targets: int
    ) -> Explained:
        import numpy as np

        kind = self.sites[site][2]
        if kind in _POSITIONED:
            positions = np.concatenate([self.positions[int(event)] for event in chosen])[kept][-count:]
            return Explained(self.sites[site], vector[-count:], positions, bool((positions >= 0).all()))
        positions = np.concatenate([self._matched(int(event)) for event in chosen])[kept][-count:]
        known = float((positions >= 0).mean())
        if known > 0.98:
            return Explained(self.sites[site], vector[-count:], positions, True)
        if targets <= count < 1.05 * targets:  # one value a target in order, perhaps some of the tail again
            ordered = np.arange(1, count + 1)
            ordered[ordered > targets] = -1
            return Explained(self.sites[site], vector[-count:], ordered, False)
        return Explained(self.sites[site], vector[-count:], np.full(count, -1), False)

    def _matched(self, event: int) -> np.ndarray:
        """Places of a summed slice: it is found, value for value, in the cross entropy computed just before it, whole
        under a mask or in part."""
        import numpy as np

        start, stop = self.events[event, 2:]
        piece = self.values[start:stop]
        counted = piece != 0
        for before in self._scorings_before(event):
            a, b = self.events[before, 2:]
            whole = self.values[a:b]
            if len(whole) == len(piece) and np.array_equal(whole[counted], piece[counted]):
                return np.where(counted, self.positions[before], -1)
            for offset in np.nonzero(whole == piece[0])[0]:
                if offset + len(piece) <= len(whole) and np.array_equal(whole[offset : offset + len(piece)], piece):
                    return self.positions[before][offset : offset + len(piece)]
        return np.full(len(piece), -1)

    def _scorings_before(self, event: int) -> list[int]:
        import bisect

        index = bisect.bisect_left(self._scorings, event)
        return self._scorings[max(index - 2, 0) : index][::-1]

    @cached_property
    def _scorings(self) -> list[int]:
        return sorted(self.positions)


def read_recording(path: Path) -> Recording:
    """Read a tape; raises InputError for anything else, for the program under test could have written it."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            notes = json.loads(bytes(file["notes"]))
            events, values = file["events"], file["values"].astype(np.float64)
            places, trained = file["places"], file["trained"]
        sane = (
            events.ndim == places.ndim == trained.ndim == 2
            and (events.shape[1], places.shape[1], trained.shape[1]) == (4, 4, 3)
            and (len(events) == 0 or (events[:, 2].min() >= 0 and events[:, 3].max() <= len(values)))
            and (len(events) == 0 or events[:, 1].max() < len(notes["sites"]))
            and (len(places) == 0 or places[:, 0].max() < len(events))
        )
        if not sane:
            raise ValueError("its tables contradict each other")
        return Recording(
            values, events, places, trained,
            tuple((str(name), int(line), str(kind)) for name, line, kind in notes["sites"]),
            tuple((int(moment), str(text)) for moment, text in notes["marks"]),
            bool(notes["full"]), str(notes["failure"]), dict(notes["asked"]),
            tuple((int(moment), str(mode), str(name)) for moment, mode, name in notes["opened"]),
        )  # fmt: skip
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(path, "a tape of the probe", str(error)) from error
