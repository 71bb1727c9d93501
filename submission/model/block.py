"""One transformer block: attention then MLP on normalised inputs, each added back with a learnt scale a channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from submission.config import Config
from submission.model.attention import CausalSelfAttention
from submission.model.mlp import MLP


class Block(nn.Module):
    """``resid_mix`` lets the block see the embedding ``x0`` again beside the running stream."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim = config.model_dim
        self.attn = CausalSelfAttention(config)
        self.mlp = MLP(config)
        self.attn_scale = nn.Parameter(torch.ones(dim))
        self.mlp_scale = nn.Parameter(torch.ones(dim))
        self.resid_mix = nn.Parameter(torch.stack((torch.ones(dim), torch.zeros(dim))))

    def forward(
        self,
        x: Tensor,
        x0: Tensor,
        cos: Tensor,
        sin: Tensor,
        *,
        input_scale: float = 1.0,
        exclusive: bool = False,
        value_embed: Tensor | None = None,
        first_values: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """x, x0: (batch, seq, dim) -> the new stream and the attention values of this layer."""
        mix = self.resid_mix.to(x.dtype)
        x = mix[0] * x + mix[1] * x0
        h = F.rms_norm(x, (x.size(-1),))
        if input_scale != 1.0:
            h = h * input_scale
        attended, values = self.attn(
            h, cos, sin, exclusive=exclusive, value_embed=value_embed, first_values=first_values
        )
        x = x + self.attn_scale.to(x.dtype) * attended
        h = F.rms_norm(x, (x.size(-1),))
        if input_scale != 1.0:
            h = h * input_scale
        return x + self.mlp_scale.to(x.dtype) * self.mlp(h), values
