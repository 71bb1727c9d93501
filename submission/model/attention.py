"""Causal self-attention with grouped keys, normalised queries and keys, and the seeds' additions to it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from submission.config import Config
from submission.model.linear import CastedLinear
from submission.model.rotary import rotate


class CausalSelfAttention(nn.Module):
    """Additions, each off by default: head gates (PR 638), value residual (PR 657), exclusive attention (PR 634)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim, kv_dim = config.model_dim, config.num_kv_heads * config.head_dim
        self.heads, self.kv_heads, self.head_dim = config.num_heads, config.num_kv_heads, config.head_dim
        self.softmax_scale = config.attention_scale or None
        self.c_q = CastedLinear(dim, dim)
        self.c_k = CastedLinear(dim, kv_dim)
        self.c_v = CastedLinear(dim, kv_dim)
        self.proj = CastedLinear(dim, dim, zero_init=True)
        self.q_gain = nn.Parameter(torch.full((config.num_heads,), config.qk_gain_init))
        self.attn_gate = open_gates(dim, config.num_heads) if config.gated_attention else None
        self.vr_lambda = nn.Parameter(torch.tensor([0.5, 0.5])) if config.value_residual else None

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        *,
        exclusive: bool = False,
        value_embed: Tensor | None = None,
        first_values: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """x: (batch, seq, dim) -> output of the same shape, and this layer's values (batch, seq, kv_dim)."""
        batch, seq, dim = x.shape
        q = self.c_q(x).reshape(batch, seq, self.heads, self.head_dim)
        k = self.c_k(x).reshape(batch, seq, self.kv_heads, self.head_dim)
        values = self.c_v(x)
        if value_embed is not None:
            values = values + value_embed
        mixed = values
        if self.vr_lambda is not None and first_values is not None:
            weights = self.vr_lambda.to(values.dtype)
            mixed = weights[0] * first_values + weights[1] * values
        v = mixed.reshape(batch, seq, self.kv_heads, self.head_dim)
        q = rotate(F.rms_norm(q, (self.head_dim,)), cos, sin) * self.q_gain.to(q.dtype)[:, None]
        k = rotate(F.rms_norm(k, (self.head_dim,)), cos, sin)
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            is_causal=True,
            scale=self.softmax_scale,
            enable_gqa=self.heads != self.kv_heads,
        ).transpose(1, 2)  # (batch, seq, heads, head_dim)
        if exclusive:
            y = without_own_value(y, v)
        if self.attn_gate is not None:
            y = (
                y
                * torch.sigmoid(F.linear(x, self.attn_gate.weight.to(x.dtype), self.attn_gate.bias.to(x.dtype)))[
                    ..., None
                ]
            )
        return self.proj(y.reshape(batch, seq, dim)), values


def open_gates(dim: int, heads: int) -> nn.Linear:
    """One gate a head, almost open at the start: sigmoid(4) = 0.98."""
    gates = nn.Linear(dim, heads)
    nn.init.zeros_(gates.weight)
    nn.init.constant_(gates.bias, 4.0)
    return gates


def without_own_value(y: Tensor, v: Tensor) -> Tensor:
    """Exclusive self-attention: the part of each output along the token's own value is taken away.

    y: (batch, seq, heads, head_dim), v: (batch, seq, kv_heads, head_dim).
    """
    batch, seq, heads, head_dim = y.shape
    grouped = y.reshape(batch, seq, v.size(2), heads // v.size(2), head_dim)
    direction = F.normalize(v, dim=-1).unsqueeze(3)
    return (grouped - (grouped * direction).sum(dim=-1, keepdim=True) * direction).reshape(y.shape)
