"""The mathematics of the probe: what a lawful predictor may report on data of a known source, and with what doubt.

Let q be the source's law and p the submission's, each a probability of the next token given the past. If p is lawful
(normalised, and blind to what it has not scored), the product of p(x_t)/q(x_t) over the stream is a martingale of mean
1 under q, so by Ville's inequality it ever exceeds 1/error with probability at most ``error``; see docs/probe.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ERROR = 1e-6  # the chance that a lawful submission breaks one bound
STAKES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True)
class Floor:
    """The lowest mean loss, nats per token, that a lawful submission reports, except with chance ``error``."""

    price: float  # what the source itself pays: the mean of -ln q, nats per token
    margin: float  # how far luck may carry below it, nats per token
    tokens: int
    error: float = ERROR

    @property
    def bound(self) -> float:
        return self.price - self.margin


def floor(nll: np.ndarray, weights: np.ndarray | None = None, error: float = ERROR) -> Floor:
    """The floor for targets with the source's prices ``nll`` (n,), counted ``weights`` (n,) times each (once if None).

    With weights up to W, prod (p/q)^(w/W) is a supermartingale (Jensen), so luck is worth W ln(1/error) nats in all.
    Weights must not depend on the tokens. Raises ValueError where nothing is counted.
    """
    import numpy as np

    counted = np.ones(len(nll)) if weights is None else np.asarray(weights, dtype=float)
    total = float(counted.sum())
    if total <= 0:
        raise ValueError("expected at least one counted target")
    luck = float(counted.max()) * math.log(1 / error)
    return Floor(float(nll @ counted) / total, luck / total, round(total), error)


def prefix_floor(nll: np.ndarray, doubtful: int, error: float = ERROR) -> Floor:
    """The floor where it is not known which of ``doubtful`` targets are dropped or counted twice: the lowest price that
    any such choice can have, at double weight."""
    import numpy as np

    ordered = np.sort(nll)
    dropped = float(ordered[: len(nll) - doubtful].sum()) / max(len(nll) - doubtful, 1)
    doubled = float(nll.sum() + ordered[:doubtful].sum()) / (len(nll) + doubtful)
    margin = 2 * math.log(1 / error) / max(len(nll) - doubtful, 1)
    # Luck also chose which prices stand in the doubtful stretch; the lowest ones are the worst it can do.
    return Floor(min(dropped, doubled), margin, len(nll), error)


@dataclass(frozen=True)
class Capital:
    """What betting on the submission against the source has won. ``log_capital`` above ln(1/error) is a breach.

    ``mass`` estimates the mean over positions of the sum of the submission's probabilities over the vocabulary:
    1 for a lawful one. ``stake`` is the share of the capital laid each time by the bet that won most.
    """

    log_capital: float
    mass: float
    stake: float
    tokens: int
    error: float = ERROR

    @property
    def breach(self) -> bool:
        return self.log_capital > math.log(1 / self.error)


def capital(
    source_nll: np.ndarray, paid: np.ndarray, error: float = ERROR, stakes: Sequence[float] = STAKES
) -> Capital:
    """Bet on the submission's per-token losses ``paid`` (n,) against the source's prices (n,), both in nats.

    A bet with stake s multiplies its capital by 1 - s + s p/q at each token: on average by at most 1 if the
    probabilities sum to at most 1. The mean over the stakes is again such a bet, so no stake is picked by hindsight. A
    stake of 1 is the floor; small stakes see excess mass that the mean of logarithms hides.
    """
    import numpy as np

    if len(paid) == 0 or len(paid) != len(source_nll):
        raise ValueError(f"expected as many losses as prices, found {len(paid)} and {len(source_nll)}")
    ratio = np.exp(np.clip(source_nll - paid, -700, 700))
    logs = [
        float(np.log1p(stake * (ratio - 1)).sum()) if stake < 1 else float((source_nll - paid).sum())
        for stake in stakes
    ]
    best = max(range(len(stakes)), key=lambda index: logs[index])
    top = logs[best]
    mean = top + math.log(sum(math.exp(value - top) for value in logs) / len(logs))
    return Capital(mean, float(ratio.mean()), stakes[best], len(paid), error)


def implied_bytes(val_loss: float, val_bpb: float) -> float | None:
    """Bytes per token that a reported pair implies; None where a figure is not positive."""
    if not (val_loss > 0 and val_bpb > 0 and math.isfinite(val_loss) and math.isfinite(val_bpb)):
        return None
    return val_loss / (math.log(2) * val_bpb)
