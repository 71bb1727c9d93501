"""The rule on the size of the artifact: code and compressed model together stay under 16,000,000 bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.sizes import account
from audit.finding import Basis, Severity
from audit.rule import Example
from reproduce.artifact_sizes import PACKED

_LOG = """\
seed:1
Serialized model: 67108864 bytes
Code size: 50000 bytes
Total submission size: 67158864 bytes
Serialized model int6+zstd: {model} bytes
Total submission size int6+zstd: {total} bytes
final_roundtrip_exact val_loss:2.00000000 val_bpb:1.18450000
"""
CHECKPOINT = 3  # times the cap: a claim of so much may be of the weights before compression


class ArtCap(EvidenceRule):
    id = "ART-CAP"
    title = "artifact size"
    order = 10
    severity = Severity.ERROR
    basis = Basis.README
    reference = "README FAQ; #1835 (regina-openai), #1959 (cocohearts)"
    forbids = "Code bytes and compressed model together above 16,000,000 bytes (decimal megabytes)."
    why = "The contest asks for the best model that fits; bytes past the cap buy score."
    comply = "Print the total after compression for every seed, and keep the largest under the cap."
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train_seed1.log": _LOG.format(model=15_900_000, total=15_950_000)},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train_seed1.log": _LOG.format(model=15_960_000, total=16_010_000)},
        {"train_gpt.py": "import torch\n", "submission.json": '{"bytes_total": 16000001, "val_bpb": 1.2}'},
        {
            "train_gpt.py": "import torch\n",
            "submission.json": '{"val_bpb": 1.1826}',
            "README.md": "| Run | val_bpb | Artifact |\n|--|--|--|\n| a | 1.2101 | 14.1MB |\n| b | 1.1826 | 17.3MB |\n",
        },
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        cap = evidence.limits.total_bytes
        limit = f"{cap:,} bytes"
        logged = [(run, account(evidence, run)) for run in evidence.reported]
        known = [(run, sizes.logged, sizes.at) for run, sizes in logged if sizes.logged is not None]
        if known:
            run, most, at = max(known, key=lambda item: item[1] or 0)
            place, total = evidence.place(run), int(most or 0)
            over = total > cap
            # Reviewers dispute a log that counts more code than is shipped (#1959); without a claim nobody knows which
            # of a study's runs is the submission.
            shipped = next(sizes.shipped for other, sizes in logged if other is run)
            unsure = (shipped is not None and shipped <= cap) or (
                evidence.claims.val_bpb is None and any((size or 0) <= cap for _, size, _ in known)
            )
            yield self.line(
                (Status.WARN if unsure else Status.FAIL) if over else Status.PASS,
                f"{total:,} bytes",
                f"{evidence.name(run)} logs {total:,} bytes, {total - cap:,} over the cap" if over else "",
                limit=limit,
                file=place,
                at=at,
                bytes=total,
            )
            return
        models = [
            (run, sizes.model, sizes.at) for run, sizes in logged if sizes.model is not None and sizes.model > cap
        ]
        if models:
            run, most, at = max(models, key=lambda item: item[1] or 0)
            yield self.line(
                Status.FAIL,
                f"{most:,} bytes of model alone",
                f"{evidence.name(run)} logs an artifact of {most:,} bytes, over the cap without its code",
                limit=limit, file=evidence.place(run), at=at, bytes=most,
            )  # fmt: skip
            return
        figure = evidence.claims.figures.get("bytes_total") or evidence.claims.figures.get("readme_bytes")
        alone = evidence.claims.figures.get("bytes_model")
        if alone is not None and "compressed" in alone.where and alone.value - alone.slack > cap:
            figure = alone
        if figure is not None:
            claimed = round(figure.value)
            over = claimed - figure.slack > cap
            # The metadata may give the size of the checkpoint.
            checkpoint = claimed > CHECKPOINT * cap or _packed_fits(evidence, cap)
            yield self.line(
                # A claim under the cap is not evidence; one over it is an admission, where it is of the artifact.
                (Status.WARN if checkpoint else Status.FAIL) if over else Status.UNCHECKED,
                f"{claimed:,} bytes claimed, no log gives a total",
                f"{figure.where} claims {claimed:,} bytes, {claimed - cap:,} over the cap" if over else "",
                limit=limit,
                file=figure.file,
                at=figure.line,
                evidence=figure.where,
                bytes=claimed,
            )
            return
        yield self.line(Status.UNCHECKED, "no log gives a total", limit=limit)


def _packed_fits(evidence: Evidence, cap: int) -> bool:
    """Whether a log gives a compressed size, if only a rounded one, that is under the cap."""
    sizes = [size for run in evidence.runs for size in run.sizes if PACKED.search(size.label)]
    return any(1_000_000 < size.bytes <= cap for size in sizes)
