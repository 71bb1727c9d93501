"""A bias-free linear layer that keeps its weight in float32, computes in its input's type, and can fake-quantise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QAT_QUANTILE = 0.9995


class CastedLinear(nn.Linear):
    """``y = x W^T``; ``qat_levels`` > 0 rounds W to that many levels a side in training (straight-through).

    x: (..., in), W: (out, in). The rounding is PR 700's (row clip at the 0.9995 quantile) or, with
    ``qat_clip = "max"``, PR 745's (row maximum).
    """

    def __init__(self, in_features: int, out_features: int, *, zero_init: bool = False) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.zero_init = zero_init
        self.qat_levels = 0
        self.qat_clip = "quantile"

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x.dtype)
        if self.qat_levels and self.training:
            weight = weight + (self._rounded().to(x.dtype) - weight).detach()
        return F.linear(x, weight)

    @torch.no_grad()
    def _rounded(self) -> Tensor:
        weight, levels = self.weight.float(), float(self.qat_levels)
        size = weight.abs()
        clip = size.amax(dim=1) if self.qat_clip == "max" else torch.quantile(size, QAT_QUANTILE, dim=1)
        scale = (clip / levels).clamp_min(1.0 / levels)[:, None]
        return torch.clamp(torch.round(weight / scale), -(levels + 1), levels) * scale
