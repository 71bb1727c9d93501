"""The rule on counted code: the code that is shipped is the code that is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.sizes import account
from audit.finding import Basis, Certainty, Severity
from audit.rule import Example

_LOG = """\
seed:1
Code size (compressed): 30000 bytes
Serialized model quantized+brotli: {model} bytes
Total submission size quantized+brotli: {total} bytes
final_exact val_loss:2.00000000 val_bpb:1.18450000
"""
# As long as a trainer is: a repeated statement, so that it packs to next to nothing.
_LONG = "import torch\n" + "weight = torch.zeros(1024, 1024)\n" * 5000


class ArtCode(EvidenceRule):
    id = "ART-CODE"
    title = "code in the artifact's size"
    order = 11
    severity = Severity.WARNING
    certainty = Certainty.LOW
    basis = Basis.README
    reference = "README; merged records since #1626 ship the raw file and count a packed one; #1959, #1835"
    forbids = "Counting less code than is shipped: a total that fits only with a wrapper that is not in the folder."
    why = "The cap is on what is shipped. Reviewers read the log's total, and have merged both ways of counting."
    comply = "Ship the packed script whose size is counted."
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(model=15_900_000, total=15_930_000)},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": _LONG, "train.log": _LOG.format(model=15_900_000, total=15_930_000)},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        cap = evidence.limits.total_bytes
        limit = f"{cap:,} bytes"
        known = [(run, sizes) for run in evidence.reported if (sizes := account(evidence, run)).shipped is not None]
        if not known:
            yield self.line(Status.UNCHECKED, "no log gives the compressed model's size", limit=limit)
            return
        run, sizes = max(known, key=lambda item: item[1].shipped or 0)
        over = sizes.shipped is not None and sizes.shipped > cap
        if over:
            sizes = account(evidence, run, pack=True)
        ways = {"as logged": sizes.logged, "as shipped": sizes.shipped, "packed": sizes.packed}
        shown = ", ".join(f"{total:,} {way}" for way, total in ways.items() if total is not None)
        counted_less = sizes.logged is not None and sizes.logged <= cap
        yield self.line(
            Status.WARN if over and counted_less else Status.UNCHECKED if over else Status.PASS,
            shown,
            f"{evidence.name(run)}: over the cap with the code as shipped ({shown})" if over else "",
            limit=limit,
            file=evidence.place(run),
            at=sizes.at,
            totals={way: total for way, total in ways.items() if total is not None},
        )
