"""Which weight is stored how: the rule and the levels that a configuration gives to each name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from submission.checks import quantisation
from submission.config import Config
from submission.optim import SCALAR_NAMES
from submission.quantize.gptq import gptq
from submission.quantize.rows import RULES, restore, search_matrix

SMALL = 65_536  # elements; tensors up to this size are stored in fp16
CONTROL_NAMES = (*SCALAR_NAMES, "skip_weight", "smear", "bigram.scale", "ve_layer_scales", "ve_shared.scale")


@dataclass(frozen=True)
class Stored:
    """A weight as the artifact keeps it: ``values`` int8 with row ``scale``, or fp16 or fp32 without one."""

    values: Tensor
    scale: Tensor | None = None
    levels: int = 0

    def restored(self) -> Tensor:
        return self.values.float() if self.scale is None else restore(self.values, self.scale)


def rule_for(config: Config, name: str, shape: torch.Size) -> str:
    """``fp16``, ``fp32`` or ``rule:levels`` for a weight, by the seeds' own order of precedence."""
    if shape.numel() <= SMALL:
        return "fp32" if config.control_fp32 and any(part in name for part in SCALAR_NAMES) else "fp16"
    if any(part in name for part in CONTROL_NAMES):
        return "fp32"
    if any(part in name for part in config.keep_fp16):
        return "fp16"
    if len(shape) != 2:
        return "fp16"
    if name.startswith("tok_emb"):
        return config.quant_embed
    if ".mlp." in name:
        return config.quant_mlp
    if ".attn." in name or name.endswith("proj.weight"):
        return config.quant_attn
    return config.quant_other


def quantise(
    config: Config, state: Mapping[str, Tensor], hessians: Mapping[str, Tensor] | None = None
) -> dict[str, Stored]:
    """Every weight as it will be stored. ``hessians`` by layer name are needed where a rule is ``gptq``."""
    return {name: _store(config, name, tensor.detach().cpu(), hessians or {}) for name, tensor in state.items()}


def _store(config: Config, name: str, weight: Tensor, hessians: Mapping[str, Tensor]) -> Stored:
    rule, levels = quantisation(rule_for(config, name, weight.shape))
    if levels == 0:
        return Stored(weight.to(torch.float16 if rule == "fp16" else torch.float32).contiguous())
    if config.uses_gptq and rule == "gptq":
        hessian = hessians.get(name.removesuffix(".weight"))
        q, scale = search_matrix(weight, levels) if hessian is None else _gptq(weight, hessian, levels)
    else:
        q, scale = RULES[rule](weight, levels)
    return Stored(q.contiguous(), scale.contiguous(), levels)


def _gptq(weight: Tensor, hessian: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """On the device of the Hessian: on a GPU it must end within the seconds kept back for it."""
    q, scale = gptq(weight.to(hessian.device), hessian, levels)
    return q.cpu(), scale.cpu()


def prune(state: Mapping[str, Tensor], fraction: float) -> dict[str, Tensor]:
    """Zeroes the smallest ``fraction`` of each large matrix by magnitude (PR 700)."""

    def pruned(weight: Tensor) -> Tensor:
        if weight.ndim != 2 or weight.numel() <= SMALL or fraction <= 0:
            return weight
        threshold = torch.quantile(weight.abs().float(), fraction)
        return torch.where(weight.abs() < threshold, torch.zeros_like(weight), weight)

    return {name: pruned(weight) for name, weight in state.items()}
