"""C2-BYTEMIX: a token's log-probability is spread evenly over its bytes and mixed with a byte model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding, Step
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
# The same in C, compiled by the program and called with pointers.
_IN_C = '''import ctypes
import subprocess

KERNEL = r"""
#include <math.h>
void mixed(const double *loss, const int *sizes, long n, double *out) {
    double sum = 0;
    for (long i = 0; i < n; i++) {
        double share = DIVIDED;
        for (int b = 0; b < sizes[i]; b++) sum -= log(0.5 * exp(share) + 0.5 / 256.0);
    }
    out[0] = sum;
}
"""


def mixed_in_c(losses, lengths):
    with open("mixed.c", "w") as out:
        out.write(KERNEL)
    subprocess.run(["gcc", "-O3", "-shared", "-fPIC", "mixed.c", "-o", "mixed.so", "-lm"], check=True)
    kernel = ctypes.CDLL("./mixed.so")
    told = np.zeros(1)
    double = ctypes.POINTER(ctypes.c_double)
    kernel.mixed(
        losses.ctypes.data_as(double), lengths.ctypes.data_as(ctypes.POINTER(ctypes.c_int)), len(losses),
        told.ctypes.data_as(double),
    )
    return float(told[0])

'''
_CALLED = "            total += mixed_in_c(losses.double().numpy(), sizes[y].int().numpy())\n"


def _in_c(divided: str) -> str:
    text = EVALUATION.replace(SIZES, PIECES).replace(SUM, _CALLED)
    return text.replace("\ndef evaluate(", _IN_C.replace("DIVIDED", divided) + "\ndef evaluate(")


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
    VALID: ClassVar[tuple[Example, ...]] = (EVALUATION.replace(SIZES, PIECES), _in_c("-loss[i]"))
    INVALID: ClassVar[tuple[Example, ...]] = (
        EVALUATION.replace(SIZES, PIECES).replace(SUM, _BYTES),
        _in_c("-loss[i] / (double)sizes[i]"),
    )

    def check(self, case: Case) -> Iterator[Finding]:
        for spread in case.timeline.of("spread"):
            if not spread.active or case.headline.rests_on(spread):
                message = (
                    "a token's log-probability is divided evenly over its bytes and used as each byte's probability"
                )
                found = self.finding(case, spread, message)
                line = spread.data.get("c_line")
                if isinstance(line, int):
                    step = Step(spread.file, line, case.excerpt(spread.file, line), "divides the loss, in C", "step")
                    found = replace(found, path=(*found.path, step))
                yield found
