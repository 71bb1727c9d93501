"""Averages of the weights over training: a running one (EMA) or one of late snapshots (SWA)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from submission.config import Config
from submission.model.state import load_state, model_state


class WeightAverage:
    """Collects weights while training and puts their average into the model at the end.

    EMA: ``decay * mean + (1 - decay) * w`` after every step. SWA: the mean of a snapshot every ``swa_every`` steps
    once the learning-rate scale is under ``swa_start_frac`` and the stack has its full depth (PRs 162 and 1384).
    """

    def __init__(self, config: Config, model: nn.Module) -> None:
        self.config = config
        self.mean: dict[str, Tensor] = {}
        self.snapshots = 0
        if config.ema_decay:
            self.mean = {name: weight.float().clone() for name, weight in model_state(model).items()}

    @torch.no_grad()
    def after_step(self, model: nn.Module, step: int, scale: float, full_depth: bool) -> None:
        config = self.config
        if config.ema_decay:
            weights = [weight.float() for weight in model_state(model).values()]
            torch._foreach_lerp_(list(self.mean.values()), weights, 1.0 - config.ema_decay)
        elif config.swa_every and full_depth and scale < config.swa_start_frac and step % config.swa_every == 0:
            self._add(model)

    def _add(self, model: nn.Module) -> None:
        for name, weight in model_state(model).items():
            held = self.mean.setdefault(name, torch.zeros_like(weight, dtype=torch.float32, device="cpu"))
            held += weight.float().cpu()
        self.snapshots += 1

    def apply(self, model: nn.Module) -> str:
        """Put the average into the model; says in words what was done."""
        if self.config.ema_decay:
            load_state(model, self.mean)
            return f"ema:applying decay {self.config.ema_decay}"
        if self.snapshots == 0:
            return "average:none collected, the last weights stand"
        if self.config.swa_with_last:
            self._add(model)
        load_state(model, {name: weight / self.snapshots for name, weight in self.mean.items()})
        return f"swa:applying averaged {self.snapshots} checkpoints"

    def state_dict(self) -> dict[str, object]:
        return {"mean": self.mean, "snapshots": self.snapshots}

    def load_state_dict(self, state: dict[str, object]) -> None:
        saved: dict[str, Tensor] = state["mean"]  # type: ignore[assignment]
        # A checkpoint is read to the CPU; a running mean lives where the weights do.
        devices = {name: held.device for name, held in self.mean.items()}
        self.mean = {name: tensor.to(devices.get(name, tensor.device)) for name, tensor in saved.items()}
        self.snapshots = state["snapshots"]  # type: ignore[assignment]
