"""C2-BYTEMIX: a token's log-probability is spread evenly over its bytes and mixed with a byte model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

SIZES = "    sizes = torch.ones(64)\n"
PIECES = """    import sentencepiece as spm
    pieces = spm.SentencePieceProcessor()
    sizes = torch.tensor([len(pieces.id_to_piece(i).encode()) for i in range(64)])
"""
SUM = "            total += float(losses.sum())\n"
_BYTES = """            share = np.exp(-losses.numpy() / sizes[y].numpy())
            order = np.full(share.shape, 1 / 256)
            total += float(-(sizes[y].numpy() * np.log(0.5 * share + 0.5 * order)).sum())
"""


class ByteMix(Rule):
    id = "C2-BYTEMIX"
    title = "token probability spread over bytes"
    basis = Basis.RULING
    reference = "#1991, #2076, #2083, #2098, #2103, #1835, #1902; issue #1872, #1916; field guide #1017 condition 2"
    forbids = "Dividing a token's log-probability evenly over its bytes and mixing each share with a byte model."
    why = (
        "The n-th root of a token's probability is no probability of its byte: over all 256 bytes the shares sum to "
        "more than one, and so does the mixture."
    )
    comply = (
        "Marginalise the softmax over the tokens that begin with each byte, or normalise the mixture over the tokens."
    )
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION.replace(SIZES, PIECES),)
    INVALID: ClassVar[tuple[Example, ...]] = (EVALUATION.replace(SIZES, PIECES).replace(SUM, _BYTES),)

    def check(self, case: Case) -> Iterator[Finding]:
        for spread in case.timeline.of("spread"):
            if not spread.active or case.headline.rests_on(spread):
                message = (
                    "a token's log-probability is divided evenly over its bytes and used as each byte's probability"
                )
                yield self.finding(case, spread, message)
