"""The rule on gates of n-gram tilts: what the target is may not decide whether its probability is raised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.finding import Basis
from audit.rule import Example

COUNTERS = ("within_gate", "word_gate", "agree2plus")
_LOG = """\
seed:1
ngram_tilt:hints total=47851520 token_gate=628156 within_gate={within} word_gate={word} agree2plus={agree}
quantized_ttt_phased val_loss:2.31944212 val_bpb:1.05989454 eval_time:1000ms
"""


class C1Gate(EvidenceRule):
    id = "C1-GATE"
    title = "gates of the n-gram tilt"
    order = 50
    basis = Basis.RULING
    reference = "#2041, #2118; raised on #1967; accepted with zeros: #2135, #2140"
    forbids = "An n-gram hint whose gate reads the class of the token being scored (within a word, a word's start)."
    why = "The gate tells the scorer something of the target before it is scored: condition C1."
    comply = "Gate by the tokens before the target only; the counters of the other gates are then zero."
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(within=0, word=0, agree=0)},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(within=9_866_847, word=2_891_588, agree=303_177)},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        gates = [(run, event) for run in evidence.reported for event in run.events if event.kind == "gate"]
        if not gates:
            yield self.line(Status.UNCHECKED, "no log counts gates", limit="0")
            return
        for run, event in gates:
            counts = {name: int(event.values[name]) for name in COUNTERS if event.values.get(name)}
            if counts:
                shown = ", ".join(f"{name}={count:,}" for name, count in counts.items())
                yield self.line(
                    Status.FAIL,
                    shown,
                    f"{evidence.name(run)}: the tilt fired on the target's class ({shown})",
                    limit="0",
                    file=evidence.place(run),
                    at=event.line,
                    counts=counts,
                )
                return
        yield self.line(Status.PASS, f"{', '.join(COUNTERS)} are zero", limit="0", file=evidence.place(gates[0][0]))
