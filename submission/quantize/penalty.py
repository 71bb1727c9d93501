"""CROWN-Q and late quantisation-aware training: making weights easy to round while they are trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from submission.config import Config
from submission.model.linear import CastedLinear


def rounded_layers(model: nn.Module, config: Config) -> list[CastedLinear]:
    """The layers that ``qat_names`` names, all linear layers where it names none."""
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, CastedLinear) and (not config.qat_names or any(part in name for part in config.qat_names))
    ]


def start_qat(model: nn.Module, config: Config) -> None:
    """Fake-quantise these layers in training from now on."""
    for layer in rounded_layers(model, config):
        layer.qat_levels, layer.qat_clip = config.qat_levels, config.qat_clip


def stop_qat(model: nn.Module) -> None:
    """Train with the weights as they are again."""
    for module in model.modules():
        if isinstance(module, CastedLinear):
            module.qat_levels = 0


def crown_q(model: nn.Module, config: Config) -> Tensor:
    """lambda * mean(w^2 delta^2) / 12 summed over layers, delta the row's quantisation step (PRs 693, 700).

    ``row-sum`` is PR 745's form: the sum over rows, with the gradient through the row maximum.
    """
    penalty = torch.zeros((), device=next(model.parameters()).device)
    for layer in rounded_layers(model, config):
        weight = layer.weight.float()
        if config.crown_q_form == "mean":
            delta = weight.detach().abs().amax(dim=1) / config.crown_q_levels
            penalty = penalty + (weight.square() * delta.square()[:, None]).mean()
        else:
            delta = weight.abs().amax(dim=1).clamp(min=1e-10) / config.crown_q_levels
            penalty = penalty + (weight.square().mean(dim=1) * delta.square()).sum()
    return config.crown_q_lambda * penalty / 12.0
