"""The feed-forward half of a block: a squared rectifier between two linear layers (Primer, So et al., 2021)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from submission.config import Config
from submission.model.linear import CastedLinear


class MLP(nn.Module):
    """``leaky_relu2`` squares a leaky rectifier of slope 0.5, so that the gradient of negative inputs lives on."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden = int(config.mlp_mult * config.model_dim)
        self.slope = 0.5 if config.activation == "leaky_relu2" else 0.0
        self.fc = CastedLinear(config.model_dim, hidden)
        self.proj = CastedLinear(hidden, config.model_dim, zero_init=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        h = F.leaky_relu(h, self.slope) if self.slope else F.relu(h)
        return self.proj(h.square())
