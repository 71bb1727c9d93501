"""The rule on coverage: the whole validation split is scored, not a part of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.splits import SLACK, known_mistakes, near, ratio, split_of, true_bytes
from audit.finding import Basis
from audit.rule import Example
from reproduce.runlog import Event, Metric, RunLog

_LOG = """\
val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path=./data/tokenizers/words_1024_bpe.model
val_loader:shards pattern=./data/val_*.bin tokens:{tokens}
seed:1
final_exact val_loss:1.93465876 val_bpb:1.14581692
"""


class DFull(EvidenceRule):
    id = "D-FULL"
    title = "validation tokens"
    order = 30
    basis = Basis.RULING
    reference = "README; #1835 (subset=3000000), #2009 (20 minibatches), #50, #124"
    forbids = "Scoring a subset of the first 50,000 validation documents."
    why = "A part of the split is easier or harder than the whole; its score does not compare with any other."
    comply = "Load every validation shard and score each of its tokens once."
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(tokens=62_021_632)},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(tokens=1_048_576)},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        if not evidence.reported:
            yield self.line(Status.UNCHECKED, "no log has a score", limit="the whole split")
            return
        lines = [self._run(evidence, run) for run in evidence.reported]
        order = {Status.FAIL: 0, Status.WARN: 1, Status.UNCHECKED: 2, Status.PASS: 3}
        yield min(lines, key=lambda check: order[check.status])

    def _run(self, evidence: Evidence, run: RunLog) -> Check:
        split, tokens, place = split_of(run), run.val_tokens, evidence.place(run)
        limit = f"{split.tokens:,} ({split.name})" if split else "the whole split"
        value = ratio(run.headline) if run.headline else None
        if split is not None and value is not None:
            for mistake in known_mistakes():
                fits = mistake.rule == self.id and mistake.split == split.name and near(value, mistake.bytes_per_token)
                if fits and (tokens is None or tokens < split.tokens - SLACK):
                    return self.line(
                        Status.FAIL, f"{tokens or 'unknown'} tokens at {value:.4f} bytes",
                        f"{evidence.name(run)}: {value:.4f} bytes per token: {mistake.why}", limit=limit, file=place,
                    )  # fmt: skip
        for event in run.events:
            size = event.values.get("subset")
            if not _is_of(event, run.headline):
                continue
            if size and split is not None and 0 < size < split.tokens - SLACK:
                return self.line(
                    Status.FAIL, f"subset of {size:,.0f}",
                    f"{evidence.name(run)} scores a subset of {size:,.0f} tokens, the split has {split.tokens:,}",
                    limit=limit, file=place, at=event.line,
                )  # fmt: skip
        if tokens is None:
            return self.line(Status.UNCHECKED, "no log gives the number of tokens", limit=limit, file=place)
        if value is not None and abs(value * tokens / true_bytes() - 1) <= 0.01:
            return self.line(Status.PASS, f"{tokens:,} of {value:.3f} bytes", limit=limit, file=place)
        if split is not None:
            if tokens < split.tokens - SLACK:
                return self.line(
                    # A count a little short may be that of another tokenizer of this size.
                    Status.FAIL if tokens < 0.9 * split.tokens else Status.WARN, f"{tokens:,}",
                    f"{evidence.name(run)} loads {tokens:,} validation tokens, the split has {split.tokens:,}",
                    limit=limit, file=place, tokens=tokens,
                )  # fmt: skip
            return self.line(Status.PASS, f"{tokens:,}", limit=limit, file=place)
        return self.line(Status.UNCHECKED, f"{tokens:,} of an unknown tokenizer", limit=limit, file=place)


def _is_of(event: Event, headline: Metric | None) -> bool:
    """Whether a line on a subset belongs to the evaluation that is the score: beside it, and of the same name."""
    if event.kind != "subset" or headline is None or headline.line is None:
        return False
    return abs(event.line - headline.line) <= 3 and event.text[:5].lower() == headline.stage[:5].lower()
