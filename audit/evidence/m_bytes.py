"""The rule on the byte denominator: bits per byte count the bytes of the original text, no others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.splits import known_mistakes, near, ratio, split_of, splits, true_bytes
from audit.evidence.tokenizers import Miscount, miscounts
from audit.finding import Basis
from audit.rule import Example
from reproduce.runlog import RunLog, Step
from reproduce.statistics import bytes_per_token

_LOG = """\
val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path=./data/tokenizers/words_8192_bpe.model
val_loader:shards pattern=./data/val_*.bin tokens:40540160
seed:1
final_roundtrip_exact val_loss:2.80000000 val_bpb:{roundtrip:.8f}
final_sliding_window_exact val_loss:2.75000000 val_bpb:{sliding:.8f}
"""


def _log(bytes_per_token: float, last: float | None = None) -> dict[str, str]:
    last = last or bytes_per_token
    text = _LOG.format(
        roundtrip=2.8 / (math.log(2) * bytes_per_token),
        sliding=2.75 / (math.log(2) * last),
    )
    return {"train_gpt.py": "import torch\n", "train.log": text}


class MBytes(EvidenceRule):
    id = "M-BYTES"
    title = "bytes per token"
    order = 40
    basis = Basis.MEASUREMENT
    reference = "README; #1545, #1698, #1734, #897; #1184 was reverted for it"
    forbids = "A byte denominator other than the UTF-8 bytes of the validation text."
    why = (
        "val_loss / (ln 2 * val_bpb) is the number of bytes that a token was taken for. It is fixed by tokenizer and "
        "text; one byte too many for each word divides the score by a sixth."
    )
    comply = "Use the contest's table of token bytes as it is, or a sidecar with the bytes of each token."
    VALID: ClassVar[tuple[Example, ...]] = (_log(3.7266),)
    INVALID: ClassVar[tuple[Example, ...]] = (_log(4.386), _log(3.95, 3.95))

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        if not evidence.reported:
            yield self.line(Status.UNCHECKED, "no log has a score", limit="the tokenizer's")
        else:
            judged = [self._run(evidence, run) for run in evidence.reported]
            order = {Status.FAIL: 0, Status.WARN: 1, Status.UNCHECKED: 2, Status.PASS: 3}
            yield min(judged, key=lambda check: order[check.status])
        yield from self._tables(evidence)

    def _run(self, evidence: Evidence, run: RunLog) -> Check:
        place, who = evidence.place(run), evidence.name(run)
        metric = run.headline
        value = ratio(metric) if metric else None
        split = split_of(run)
        limit = f"{split.bytes_per_token:.4f} ({split.name})" if split else "the tokenizer's"
        if metric is None or value is None:
            return self.line(Status.UNCHECKED, "loss and score are not both logged", limit=limit, file=place)
        shown = f"{value:.4f}"
        at = metric.line

        def verdict(status: Status, message: str) -> Check:
            return self.line(
                status,
                shown,
                f"{who}: {message}",
                limit=limit,
                file=place,
                at=at,
                bytes_per_token=value,
                stage=metric.stage,
            )

        if split is not None and near(value, split.bytes_per_token):
            return self.line(Status.PASS, shown, limit=limit, file=place, at=at, bytes_per_token=value)
        others = [r for m in run.metrics if m is not metric and (r := ratio(m)) is not None]
        others += [r for step in run.curve[1:] if (r := _of_step(step)) is not None]
        if split is not None and any(near(other, split.bytes_per_token) for other in others):
            # The table is right, as the other stages show: this line's score is not that of this line's loss.
            return verdict(Status.WARN, f"the score of {metric.stage} does not follow from the loss printed with it")
        if near(value, 1 / math.log(2), 1e-4):
            return verdict(Status.WARN, "val_bpb equals val_loss: one of them is printed in the other's unit")
        for mistake in known_mistakes():
            fits = mistake.split is None or (split is not None and split.name == mistake.split)
            if fits and near(value, mistake.bytes_per_token):
                if mistake.rule != self.id:
                    return self.line(Status.UNCHECKED, f"{shown}: see {mistake.rule}", limit=limit, file=place, at=at)
                return verdict(Status.FAIL, f"{shown} bytes per token: {mistake.why} ({mistake.reference})")
        if run.val_tokens and abs(value * run.val_tokens / true_bytes() - 1) <= 0.005:
            implied = value * run.val_tokens / 1e6
            return self.line(
                Status.PASS, f"{shown}: {implied:.1f} MB of text in all", limit="151.1 MB in all", file=place, at=at,
            )  # fmt: skip
        full = run.val_tokens is not None and split is not None and abs(run.val_tokens - split.tokens) <= 8192
        if split is not None and full:
            expected = split.bytes_per_token
            more = value / expected - 1
            return verdict(
                # Only a ratio that every evaluation of the run shares is that of its table.
                Status.FAIL if more > 0.02 and any(near(other, value) for other in others) else Status.WARN,
                f"{shown} bytes per token, {split.name} has {expected:.4f}: {more:+.1%}",
            )
        if split is None:
            same = next((known for known in splits().values() if near(value, known.bytes_per_token, 0.001)), None)
            if same is not None:
                return self.line(Status.PASS, f"{shown}, that of {same.name}", limit=limit, file=place, at=at)
            if near(value, 1.0, 1e-4):
                return self.line(Status.UNCHECKED, "the loss is printed per byte", limit=limit, file=place, at=at)
        if run.val_tokens:
            implied = value * run.val_tokens
            table = max((found.ratio for _, found in _models(evidence) if found), default=1.0)
            if implied > 1.01 * true_bytes():
                counted = f"{run.val_tokens:,} tokens of {shown} bytes are {implied / 1e6:.1f} MB, not 151.1 MB"
                consistent = any(near(other, value) for other in others)
                if consistent and implied > 1.05 * true_bytes():
                    return verdict(Status.FAIL, f"{counted}: table or split is not the contest's")
                if table > 1.01:
                    return verdict(Status.FAIL, f"{counted}; the contest's table miscounts with the shipped tokenizer")
                return verdict(Status.WARN, f"{counted}: decode its tokens and count")
        return verdict(Status.WARN, f"{shown} bytes per token fit no published tokenizer: decode its tokens and count")

    def _tables(self, evidence: Evidence) -> Iterator[Check]:
        """The byte tables of tokenizers that lie in the folder, recomputed."""
        for path, found in _models(evidence):
            name = evidence.folder.relative(path)
            limit = "UTF-8 bytes of a text"
            if found is None:
                yield self.line(
                    Status.UNCHECKED, "not a SentencePiece model", name=f"byte table of {name}", limit=limit
                )
            elif abs(found.ratio - 1) <= 0.002:
                yield self.line(Status.PASS, f"{found.ratio:.4f} of them", name=f"byte table of {name}", limit=limit)
            else:
                yield self.line(
                    Status.WARN,
                    f"{found.ratio:.4f} of them",
                    f"with {name} the contest's table counts {found.ratio:.4f} times a text's bytes: {found.why}",
                    name=f"byte table of {name}",
                    limit=limit,
                    file=name,
                    ratio=found.ratio,
                )


def _models(evidence: Evidence) -> list[tuple[Path, Miscount | None]]:
    """The SentencePiece models of the folder with what their byte tables count."""
    return [(path, miscounts(path)) for path in sorted(evidence.folder.path.rglob("*.model"))[:5]]


def _of_step(step: Step) -> float | None:
    if step.val_loss is None or step.val_bpb is None:
        return None
    return bytes_per_token(step.val_loss, step.val_bpb)
