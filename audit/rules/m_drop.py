"""M-DROP: the losses of tokens that carry no bytes are left out of the sum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding
from audit.rule import Example, Rule
from audit.rules.c2_bytemix import PIECES, SIZES, SUM
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_KEPT = "            total += float(losses[sizes[y] > 0].sum())\n"
# A table of bytes may be absent or malformed: that decides nothing about a token.
_CHECKED = EVALUATION.replace(
    SIZES,
    """    from pathlib import Path
    if not Path("data/fineweb_val_bytes.bin").is_file():
        raise FileNotFoundError("no bytes")
    if len(held) < 128:
        raise ValueError("too short")
"""
    + PIECES
    + """    if sizes is None:
        return 0.0, 0.0
""",
)


class Dropped(Rule):
    id = "M-DROP"
    title = "tokens without bytes go unpaid"
    certainty = Certainty.MEDIUM
    basis = Basis.MEASUREMENT
    reference = "measured on #1835, #2083"
    forbids = "Counting the loss only of tokens that have bytes of their own."
    why = "Control tokens and markers must be predicted like any other; the text cannot be decoded without them."
    comply = "Add every scored token's loss; only the byte count of such a token is zero."
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION.replace(SIZES, PIECES), _CHECKED)
    INVALID: ClassVar[tuple[Example, ...]] = (EVALUATION.replace(SIZES, PIECES).replace(SUM, _KEPT),)

    def check(self, case: Case) -> Iterator[Finding]:
        for drop in case.timeline.of("drop"):
            if not drop.active or case.headline.rests_on(drop):
                yield self.finding(case, drop, "the loss counts only where the token has bytes")
