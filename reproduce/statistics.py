"""Mean, spread and significance of a few seeds' scores."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LN2 = math.log(2)
CONFIDENCE = 0.95
# Student's t at 97.5% for 1 to 10 degrees of freedom. Nearly every submission has fewer seeds than that, and an audit
# that prints a mean must not wait a second for scipy; the test suite compares these with it.
_T_975 = (
    12.7062047362,
    4.30265272975,
    3.18244630528,
    2.7764451052,
    2.57058183564,
    2.44691185114,
    2.36462425159,
    2.30600413520,
    2.26215716280,
    2.22813885196,
)


@dataclass(frozen=True)
class Summary:
    """``std`` divides by n - 1, ``population_std`` by n; ``low`` and ``high`` bound the mean (95%, Student's t).

    Spread and interval are None for a single value.
    """

    n: int
    mean: float
    std: float | None
    population_std: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Test:
    """A one-sided test that ``ours`` lies below ``theirs``.

    ``gain`` is how far below the mean lies, ``p`` the probability of so large a t without a difference; both in the
    unit of the values. ``kind`` is "Welch" or "one-sample". ``p`` is None where it cannot be computed, ``why`` says so.
    """

    kind: str
    gain: float
    t: float | None
    degrees: float | None
    p: float | None
    why: str = ""


def summarise(values: Sequence[float]) -> Summary:
    """Summary of finite values. Raises ValueError for none or for one that is not finite."""
    if not values:
        raise ValueError("no values to summarise")
    if not all(math.isfinite(v) for v in values):
        raise ValueError("a value is not finite")
    n, mean = len(values), math.fsum(values) / len(values)
    if n == 1:
        return Summary(1, mean, None, None, None, None)
    std = statistics.stdev(values)
    half = t_quantile(n - 1) * std / math.sqrt(n)
    return Summary(n, mean, std, statistics.pstdev(values), mean - half, mean + half)


def bytes_per_token(val_loss: float, val_bpb: float) -> float | None:
    """Bytes per token that a loss (nats per token) and a score (bits per byte) imply; None unless both are positive."""
    if not (val_loss > 0 and val_bpb > 0 and math.isfinite(val_loss) and math.isfinite(val_bpb)):
        return None
    return val_loss / (LN2 * val_bpb)


def nats_to_bpb(nats: float, token_bytes: float) -> float:
    """Bits per byte of ``nats`` per token at ``token_bytes`` bytes per token."""
    return nats / (LN2 * token_bytes)


def bpb_to_nats(bpb: float, token_bytes: float) -> float:
    """Nats per token of ``bpb`` bits per byte at ``token_bytes`` bytes per token."""
    return bpb * LN2 * token_bytes


def welch_below(ours: Sequence[float], theirs: Sequence[float], margin: float = 0.0, tail: bool = True) -> Test:
    """One-sided Welch test (Welch 1947) that ``ours`` lies more than ``margin`` below ``theirs`` in the mean.

    Without ``tail`` only t is computed, not its probability, which takes scipy.
    """
    gain = math.fsum(theirs) / len(theirs) - math.fsum(ours) / len(ours)
    if len(ours) < 2 or len(theirs) < 2:
        return Test("Welch", gain, None, None, None, "both sides need two values or more")
    ours_error, their_error = statistics.variance(ours) / len(ours), statistics.variance(theirs) / len(theirs)
    error = ours_error + their_error
    if error == 0:
        return Test("Welch", gain, None, None, None, "neither side has any spread")
    t = (gain - margin) / math.sqrt(error)
    degrees = error**2 / (ours_error**2 / (len(ours) - 1) + their_error**2 / (len(theirs) - 1))
    return Test("Welch", gain, t, degrees, _t_above(t, degrees) if tail else None)


def one_sample_below(ours: Sequence[float], reference: float, margin: float = 0.0, tail: bool = True) -> Test:
    """One-sided test that the mean of ``ours`` lies more than ``margin`` below the fixed number ``reference``."""
    gain = reference - math.fsum(ours) / len(ours)
    if len(ours) < 2:
        return Test("one-sample", gain, None, None, None, "one value has no spread")
    error = statistics.stdev(ours) / math.sqrt(len(ours))
    if error == 0:
        return Test("one-sample", gain, None, None, None, "the values have no spread")
    t = (gain - margin) / error
    return Test("one-sample", gain, t, len(ours) - 1, _t_above(t, len(ours) - 1) if tail else None)


def t_quantile(degrees: int) -> float:
    """Student's t that bounds a two-sided interval of CONFIDENCE, for whole ``degrees`` of freedom from 1."""
    if degrees <= len(_T_975):
        return _T_975[degrees - 1]
    from scipy.special import stdtrit  # scipy takes a second to import: only a caller that needs it pays

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))


def _t_above(t: float, degrees: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(degrees, -t))
