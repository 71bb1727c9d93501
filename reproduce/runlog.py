"""What one run of a trainer reported, whatever dialect its log is written in."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Step:
    """One training step as logged; ``train_seconds`` is the trainer's own clock at that step."""

    step: int
    train_loss: float | None = None
    val_loss: float | None = None
    val_bpb: float | None = None
    train_seconds: float | None = None


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
    eval_seconds: float | None = None  # the sum over stages, seconds
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
