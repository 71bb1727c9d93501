"""What one run of a trainer reported, whatever dialect its log is written in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Metric:
    """One evaluation result: ``stage`` as the log names it (``final_hedge_mixer_exact``).

    ``val_loss`` in nats per token, ``val_bpb`` in bits per byte, ``seconds`` of evaluation; ``line`` is 1-based.
    """

    stage: str
    val_loss: float | None
    val_bpb: float | None
    seconds: float | None = None
    line: int | None = None
    digits: int = 0  # decimals printed of val_bpb: how far it may be trusted


@dataclass(frozen=True)
class Step:
    """One training step as logged; ``train_seconds`` is the trainer's own clock at that step."""

    step: int
    train_loss: float | None = None
    val_loss: float | None = None
    val_bpb: float | None = None
    train_seconds: float | None = None


@dataclass(frozen=True)
class Size:
    """One size that the log prints: ``label`` as printed (``Total submission size int8+zlib``), in bytes."""

    label: str
    bytes: int
    line: int


@dataclass(frozen=True)
class Event:
    """One thing that happened at a line of the log.

    ``kind``: ``clock`` (training stopped by its clock; seconds), ``calibration`` (quantisation data are collected),
    ``calibrated`` (seconds it took), ``reserve`` (seconds kept back from the training clock), ``gate`` (counters of an
    n-gram tilt), ``precompute`` (the setting by which a hint table is built outside the evaluation timer),
    ``precomputed`` (such a table was built), ``subset`` (tokens scored), ``adapted`` (test-time
    training ended; seconds).
    """

    kind: str
    line: int
    text: str
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunLog:
    """One run. Figures that the log does not give are None, never guessed."""

    path: str
    seed: int | None = None
    world_size: int | None = None
    gpu: str | None = None
    steps: int | None = None
    step_seconds: float | None = None
    train_seconds: float | None = None
    eval_seconds: float | None = None  # the sum over stages that are no diagnostics, seconds
    metrics: tuple[Metric, ...] = ()
    headline: Metric | None = None
    headline_why: str = ""
    curve: tuple[Step, ...] = ()
    model_bytes: int | None = None  # compressed artifact
    code_bytes: int | None = None
    total_bytes: int | None = None
    val_tokens: int | None = None
    train_shards: int | None = None
    parameters: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    source: str | None = None  # the trainer's text, where the log prints it
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    seed_from: str = ""  # "log" or "file name"
    named_seed: int | None = None  # the seed that the file's name gives, which may differ from the one that was run
    planned_steps: int | None = None
    sizes: tuple[Size, ...] = ()
    events: tuple[Event, ...] = ()
    tokenizer: str | None = None  # path or name as printed
    dataset: str | None = None
    first_line: int = 1  # where this run begins in its file
    last_line: int = 0
    complete: bool = True  # False where the log stops before a final evaluation

    @property
    def source_hash(self) -> str | None:
        """SHA-256 of the printed source with line ends and the final blank lines normalised; None without source."""
        return source_hash(self.source) if self.source is not None else None


def source_hash(text: str) -> str:
    """SHA-256 of a program's text; carriage returns, a byte order mark and outer blank lines do not count."""
    body = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.rstrip() for line in body.strip().split("\n")]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
