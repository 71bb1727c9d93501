"""The experiments: each compares what one or two runs reported with what is possible, and says what it rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from audit.probe.bounds import Capital, capital, floor, implied_bytes, prefix_floor
from audit.probe.noise import Part, Stream
from audit.probe.recording import Explained, Recording
from reproduce.runlog import Metric

if TYPE_CHECKING:
    import numpy as np

DOUBTFUL_TAIL = 128  # targets that a trainer may drop or count twice at the end: one toy sequence
LEAST_CORRELATION = 0.5
MINOR = 0.02  # share of the targets; a tail that is dropped or counted twice stays below it


class Status(StrEnum):
    BREACH = "breach"  # what happened cannot happen in a lawful submission
    WARNING = "warning"  # a bias, or something a reader should see
    HOLDS = "holds"
    UNCHECKED = "unchecked"  # never a pass


@dataclass(frozen=True)
class Experiment:
    """One experiment on one reported figure. ``bound`` and ``measured`` are in the unit that ``message`` names."""

    name: str
    stage: str
    status: Status
    message: str
    source: str = ""
    bound: float | None = None
    measured: float | None = None
    rules: tuple[str, ...] = ()  # of rules.md: what a breach can be an instance of
    site: tuple[str, int] | None = None  # the submission's line that made the losses
    data: dict[str, object] = field(default_factory=dict)


FLOOR_RULES = ("C1-SLOT", "C3-TTT", "C3-PREQUANT", "C4-TWOPASS", "C1-HASHKEY", "C2-ENTROPY", "C2-NORM", "C1-ORACLE")
MASS_RULES = ("C1-HASHKEY", "C2-RATIO", "C2-ENTROPY", "C1-ORACLE", "C2-NORM", "C1-BLEND", "C2-BYTEMIX", "C1-SLOT")
CAUSAL_RULES = ("C1-SLOT", "C3-TTT", "C3-PREQUANT", "C4-TWOPASS", "C4-EPOCH", "C1-CAUSAL", "D-VALTRAIN", "C1-BOUND")

# What a breach of each experiment is, and which rules it can be an instance of; the rule pages are made from this.
SIGNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "floor": ("a score below what the drawn noise costs", FLOOR_RULES),
    "normalisation": ("probabilities that do not sum to 1, measured by a bet against them", MASS_RULES),
    "causality": ("scores that move when only later tokens of the stream are changed", CAUSAL_RULES),
    "isolation": (
        "an evaluation that does not run on to its figure when the training shards are removed",
        ("D-TRAINEVAL",),
    ),
    "network": ("an attempt to reach the network", ("ART-SELF",)),
}


@dataclass(frozen=True)
class Stage:
    """One reported figure with the losses behind it, where they were found."""

    metric: Metric
    decimals: int
    explained: Explained | None
    process: int = 0  # of those that the trainer started or became, the one that scored it
    in_bits: bool = False  # printed in bits per byte alone: the loss is made from it


def stages(
    metrics: Sequence[Metric], recordings: Sequence[Recording], targets: int, counts: np.ndarray | None = None
) -> tuple[Stage, ...]:
    """Every figure of a log that has a loss, each once: of lines that differ only in digits printed, the longest.

    With the bytes of the targets, (targets,) ``counts``, also what is printed in bits per byte alone, if no other line
    gives its stage in nats: with the mean of the losses behind it, or, where they were not seen, what it comes to if
    every target was counted once.
    """
    found: dict[tuple[str, float], Stage] = {}
    told = {metric.stage.removesuffix("_exact") for metric in metrics if metric.val_loss is not None}
    for metric in metrics:
        if metric.val_loss is None or not math.isfinite(metric.val_loss):
            if counts is not None and metric.stage.removesuffix("_exact") not in told:
                _in_bits(metric, recordings, targets, counts, found)
            continue
        decimals = _decimals(metric.val_loss)
        name = metric.stage.removesuffix("_exact")
        key = (name, round(metric.val_loss, 3))
        if key in found and found[key].decimals >= decimals:
            continue
        found[key] = Stage(metric, decimals, None)
        for process in reversed(range(len(recordings))):
            explained = recordings[process].explain(metric.val_loss, decimals, targets)
            if explained is not None:
                found[key] = Stage(metric, decimals, explained, process)
                break
    return tuple(found.values())


def _in_bits(
    metric: Metric, recordings: Sequence[Recording], targets: int, counts: np.ndarray,
    found: dict[tuple[str, float], Stage],
) -> None:  # fmt: skip
    bpb = metric.val_bpb
    if bpb is None or not math.isfinite(bpb) or bpb <= 0:
        return
    key = (metric.stage.removesuffix("_exact"), round(bpb, 3))
    if key in found and (found[key].metric.digits >= metric.digits):
        return
    digits = metric.digits or _decimals(bpb)
    loss = bpb * math.log(2) * float(counts.mean())
    found[key] = Stage(replace(metric, val_loss=loss), digits, None, in_bits=True)
    for process in reversed(range(len(recordings))):
        explained = recordings[process].explain_bits(bpb, digits, targets, counts)
        if explained is not None:
            mean = float(explained.losses.mean())
            found[key] = Stage(replace(metric, val_loss=mean), 8, explained, process, in_bits=True)
            return


def _decimals(value: float) -> int:
    """Digits after the point that a figure was printed with, as far as they can be told from it."""
    return max(4, min(8, len(repr(float(value)).partition(".")[2])))


def check_floor(stage: Stage, stream: Stream) -> Experiment:
    """Nobody compresses noise: the reported mean may not lie below the exact price of the tokens it is the mean of."""
    import numpy as np

    loss, prices = stage.metric.val_loss, stream.nll[1:]
    assert loss is not None
    explained = stage.explained
    if explained is not None and (explained.positions > 0).all():
        weights = np.bincount(explained.positions - 1, minlength=len(prices)).astype(float)
        limit, known = floor(prices, weights), "the counted tokens"
    else:
        limit, known = prefix_floor(prices, DOUBTFUL_TAIL), "the stream, a dropped or doubled tail allowed for"
    rounding = 0.5 * 10.0**-stage.decimals
    if stage.in_bits and explained is None:  # its bytes per token are those of the stream, but for the doubtful tail
        rounding += loss * 2 * DOUBTFUL_TAIL / len(prices)
    breach = loss + rounding < limit.bound
    return Experiment(
        "floor", stage.metric.stage, Status.BREACH if breach else Status.HOLDS,
        f"reported {loss:.4f} nats per token; {known} cost {limit.price:.4f}, luck is worth {limit.margin:.4f}"
        f" at most (error {limit.error:g})",
        stream.source, limit.bound, loss, FLOOR_RULES if breach else (), _site(explained),
        {"price": limit.price, "margin": limit.margin, "error": limit.error, "tokens": limit.tokens},
    )  # fmt: skip


def check_mass(stage: Stage, stream: Stream) -> Experiment:
    """Probabilities sum to 1: bets on the submission against the source must not win."""
    explained = stage.explained
    if explained is None:
        return _unchecked("normalisation", stage, stream, "the reported mean is the mean of no losses that were seen")
    once = _first_of_each(explained.positions)
    if len(once) < len(stream.nll) // 8 or not _in_order(explained, stream):
        return _unchecked("normalisation", stage, stream, "the losses were seen, but not which tokens they belong to")
    bet = capital(stream.nll[explained.positions[once]], explained.losses[once])
    return _bet("normalisation", stage, stream.source, bet)


def _bet(name: str, stage: Stage, source: str, bet: Capital) -> Experiment:
    return Experiment(
        name, stage.metric.stage, Status.BREACH if bet.breach else Status.HOLDS,
        f"its probabilities sum to {bet.mass:.3f} on average over {bet.tokens} tokens; a bet on that"
        f" {'won' if bet.log_capital > 0 else 'lost'} {abs(bet.log_capital):.1f} nats (lawful: below"
        f" {math.log(1 / bet.error):.1f}, error {bet.error:g})",
        source, math.log(1 / bet.error), bet.log_capital, MASS_RULES if bet.breach else (), _site(stage.explained),
        {"mass": bet.mass, "stake": bet.stake, "error": bet.error, "tokens": bet.tokens},
    )  # fmt: skip


def check_part(stage: Stage, stream: Stream, part: Part, learnt: int) -> tuple[Experiment, ...]:
    """Floor and normalisation over the targets of one part of a stream of several sources, the first of which, that of
    training, ends at ``learnt``."""
    import numpy as np

    explained = stage.explained
    known = explained is not None and bool((explained.positions > 0).all())
    if explained is None or not known or not _in_order(explained, stream, learnt):
        why = f"which losses belong to the {part.source} part is not known"
        names = ("floor", "normalisation")
        return tuple(Experiment(name, stage.metric.stage, Status.UNCHECKED, why, part.source) for name in names)
    inside = (explained.positions >= part.start) & (explained.positions < part.stop)
    if not inside.any():
        return ()
    places, losses = explained.positions[inside], explained.losses[inside]
    weights = np.bincount(places, minlength=part.stop)[part.start :].astype(float)
    limit = floor(stream.nll[part.start : part.stop], weights)
    loss = float(losses.mean())
    breach = loss < limit.bound
    _, once = np.unique(places, return_index=True)
    bet = capital(stream.nll[places[once]], losses[once])
    return (
        Experiment(
            "floor", stage.metric.stage, Status.BREACH if breach else Status.HOLDS,
            f"paid {loss:.4f} nats per token; the tokens cost {limit.price:.4f}, luck is worth {limit.margin:.4f}"
            f" at most (error {limit.error:g})",
            part.source, limit.bound, loss, FLOOR_RULES if breach else (), _site(explained),
            {"price": limit.price, "margin": limit.margin, "error": limit.error, "tokens": limit.tokens},
        ),
        _bet("normalisation", stage, part.source, bet),
    )  # fmt: skip


def check_causality(
    stage: Stage, flipped: Stage | None, repeated: Stage | None, start: int, stream: Stream
) -> Experiment:
    """Change every token from ``start`` on and run again: no score before it may move.

    ``repeated`` is a third run, on the first stream again: scores that move there too move by chance.
    """
    import numpy as np

    explained = stage.explained
    other = flipped.explained if flipped is not None else None
    if explained is None or other is None:
        return _unchecked("causality", stage, stream, "the losses behind the reported mean were not seen in both runs")
    if len(explained.losses) != len(other.losses) or explained.site[1:] != other.site[1:]:
        return _unchecked("causality", stage, stream, "the two runs scored different numbers of tokens")
    before = (explained.positions > 0) & (explained.positions < start)
    if before.sum() < start // 8:
        return _unchecked("causality", stage, stream, "which losses belong to the unchanged part is not known")
    if not explained.exact:
        # Taken in order: where that is so, the first score to move is that of the first changed token.
        before[np.nonzero(before)[0][-1:]] = False
    moved = before & (explained.losses != other.losses)
    count, of = int(moved.sum()), int(before.sum())
    by_chance = 0
    if count and repeated is not None:
        again = repeated.explained
        if again is None or len(again.losses) != len(explained.losses):
            return _unchecked("causality", stage, stream, "the same run twice did not score the same tokens")
        by_chance = int((before & (explained.losses != again.losses)).sum())
        if by_chance:
            return _unchecked(
                "causality", stage, stream,
                f"{by_chance} of {of} scores move between two runs on the same data: the trainer is not deterministic",
            )  # fmt: skip
    largest = float(np.abs(explained.losses - other.losses)[moved].max()) if count else 0.0
    return Experiment(
        "causality", stage.metric.stage, Status.BREACH if count else Status.HOLDS,
        f"tokens from {start} on were changed: {count} of {of} scores before them moved"
        + (f", by up to {largest:.4f} nats" if count else ""),
        stream.source, 0.0, float(count), CAUSAL_RULES if count else (), _site(explained),
        {"start": start, "unchanged": of, "moved": count, "largest_nats": largest, "by_chance": by_chance},
    )  # fmt: skip


def check_bytes(stage: Stage, stream: Stream, counts: np.ndarray) -> Experiment:
    """Bits per byte must follow from the loss and the known bytes of the tokens, (n,) ``counts`` for the targets."""
    metric, explained = stage.metric, stage.explained
    implied = implied_bytes(metric.val_loss, metric.val_bpb) if metric.val_loss and metric.val_bpb else None
    if implied is None or (stage.in_bits and explained is None):
        return _unchecked("bytes", stage, stream, "no loss and bits per byte are reported together")
    exact = explained is not None and bool((explained.positions > 0).all())
    expected = float(counts[explained.positions - 1].mean() if exact and explained is not None else counts.mean())
    digits = min(_decimals(metric.val_bpb or 0.0), stage.decimals)
    allowed = 10.0**-digits / (metric.val_bpb or 1.0) + 1e-4 if exact else 2 * DOUBTFUL_TAIL / len(counts)
    off = implied / expected - 1
    return Experiment(
        "bytes", metric.stage, Status.BREACH if abs(off) > allowed else Status.HOLDS,
        f"the figures imply {implied:.4f} bytes per token; the tokens have {expected:.4f} ({100 * off:+.2f} %)",
        stream.source, expected, implied, ("M-BYTES", "M-SIDECAR") if abs(off) > allowed else (), _site(explained),
        {"allowed_share": allowed},
    )  # fmt: skip


def check_coverage(stage: Stage, stream: Stream) -> Experiment:
    """Every validation token scored, once."""
    import numpy as np

    explained, targets = stage.explained, len(stream.tokens) - 1
    if explained is None:
        return _unchecked("coverage", stage, stream, "the losses behind the reported mean were not seen")
    if explained.exact:
        times = np.bincount(explained.positions[explained.positions > 0] - 1, minlength=targets)
        missing, again = int((times == 0).sum()), int((times > 1).sum())
    else:
        missing, again = max(targets - len(explained.losses), 0), max(len(explained.losses) - targets, 0)
    status = Status.WARNING if missing or again else Status.HOLDS
    return Experiment(
        "coverage", stage.metric.stage, status,
        f"{targets} tokens to score: {len(explained.losses)} losses counted, {missing} tokens never, {again} again",
        stream.source, float(targets), float(len(explained.losses)),
        (("D-FULL",) if missing > MINOR * targets else ()) + (("M-TAIL",) if again or missing else ()),
        _site(explained),
        {"missing": missing, "again": again},
    )  # fmt: skip


def _first_of_each(positions: np.ndarray) -> np.ndarray:
    """Indices of the first loss of each known place, in order of place."""
    import numpy as np

    known = np.nonzero(positions > 0)[0]
    _, first = np.unique(positions[known], return_index=True)
    return known[first]


def _in_order(explained: Explained, stream: Stream, stop: int | None = None) -> bool:
    """Whether losses whose places follow from their order alone go with the prices of these places (those before
    ``stop``), as those of any predictor that has learnt something do; else they may be in another order."""
    import numpy as np

    known = (explained.positions > 0) & (explained.positions < (stop or len(stream.nll)))
    if explained.exact or not known.any():
        return explained.exact
    prices, paid = stream.nll[explained.positions[known]], explained.losses[known]
    if prices.std() == 0 or paid.std() == 0:
        return False
    return float(np.corrcoef(prices, paid)[0, 1]) > LEAST_CORRELATION


def _site(explained: Explained | None) -> tuple[str, int] | None:
    return None if explained is None else explained.site[:2]


def _unchecked(name: str, stage: Stage, stream: Stream, why: str) -> Experiment:
    return Experiment(name, stage.metric.stage, Status.UNCHECKED, why, stream.source, site=_site(stage.explained))
