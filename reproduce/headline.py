"""Says which of a run's evaluations is its score, with the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reproduce.runlog import Metric

# A stage that names one of these describes the way to the score: the weights before they were quantised, one of several
# averages tried, an earlier pass, a number quoted for comparison.
_DIAGNOSTIC = re.compile(
    r"diag|pre[-_ ]?quant|unquant|before|post[-_ ]?ema|pre[-_ ]?ttt|(?<![a-z])(?:ema|swa|lawa|raw|base|baseline|"
    r"fp32|bf16|fp16|float|reference|ref|candidate|selected|best|delta|gain|gap|improvement|diff|train|target|sota|prev|previous|"
    r"expected|using|pass ?1|record|running|probe|warmup|teacher|live)(?![a-z])",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"(?<![a-z])final|exact|legal_ttt|roundtrip|round_trip|sliding|quantized|slot|ttt|ngram|mixer", re.IGNORECASE
)


def is_diagnostic(stage: str) -> bool:
    """Whether the stage's name says that it is not the score of the artifact."""
    return bool(_DIAGNOSTIC.search(stage)) and not stage.lower().startswith("final")


def choose(metrics: Sequence[Metric], last_validation: Metric | None, ended: bool) -> tuple[Metric | None, str]:
    """The headline and why.

    Trainers evaluate the artifact in stages and print the one they submit last: round trip, then sliding window, then
    test-time training. So the last stage that is not a diagnostic is the headline, in its most precise printing.
    A run that prints no evaluation after training has its last validation as headline, if training came to its end.
    """
    scored = [m for m in metrics if m.val_bpb is not None and m.val_bpb > 0]
    final = [m for m in scored if not is_diagnostic(m.stage)]
    named = [m for m in final if _FINAL.search(m.stage)]
    for pool, why in (
        (named, "the last evaluation of the artifact that the log prints"),
        (final, "the last evaluation that the log prints; its name does not say of what"),
        (scored, "the only evaluations that the log prints after training are of weights before the artifact"),
    ):
        if pool:
            return _most_precise(pool, pool[-1]), why
    if last_validation is not None and ended:
        return last_validation, "the last validation during training: the log prints no evaluation after it"
    return None, ""


def _most_precise(pool: Sequence[Metric], last: Metric) -> Metric:
    """The printing with most decimals of the evaluation that ``last`` reports (``final_x`` and ``final_x_exact``)."""
    assert last.val_bpb is not None
    same = [
        m
        for m in pool[-6:]
        if m.val_bpb is not None and abs(m.val_bpb - last.val_bpb) <= 0.5000001 * 10 ** -min(m.digits, last.digits)
    ]
    best = max(same, key=lambda m: (m.digits, m.val_loss is not None, m.line or 0))
    if best.seconds is None:
        timed = [m.seconds for m in same if m.seconds is not None]
        if timed:
            best = Metric(best.stage, best.val_loss, best.val_bpb, timed[-1], best.line, best.digits)
    return best
