"""What enters the residual stream beside the token embedding: previous token, token pair, value tables."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from submission.model.linear import CastedLinear


class SmearGate(nn.Module):
    """Blends each token's embedding with the previous one's: (1 - g) x_t + g x_{t-1}, g a learnt gate a channel.

    Into a token ``boundary`` nothing is blended, so that no document reaches into the next (ruled on PR 1797).
    """

    def __init__(self, dim: int, boundary: int = -1) -> None:
        super().__init__()
        self.boundary = boundary
        self.gate = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """x: (batch, seq, dim), tokens: (batch, seq)."""
        gate = torch.sigmoid(self.gate.to(x.dtype))
        previous = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)
        if self.boundary >= 0:
            previous = previous * (tokens != self.boundary)[..., None]
        return (1 - gate) * x + gate * previous


class BigramHashEmbedding(nn.Module):
    """A learnt row for the hash of (previous token, token): both are inputs, so nothing of the future enters.

    The hash is that of PR 162's code, ``(36313 t) xor (27191 t_prev) mod (rows - 1)``, the last row for position 0.
    """

    def __init__(self, rows: int, width: int, dim: int) -> None:
        super().__init__()
        self.rows = rows
        self.embed = nn.Embedding(rows, width)
        nn.init.zeros_(self.embed.weight)
        self.proj = CastedLinear(width, dim, zero_init=True) if width != dim else None
        self.scale = nn.Parameter(torch.tensor(0.05))

    def hash(self, tokens: Tensor) -> Tensor:
        """tokens: (batch, seq) -> row numbers of the same shape."""
        t = tokens.to(torch.int32)
        pair = torch.bitwise_xor(36313 * t[..., 1:], 27191 * t[..., :-1]) % (self.rows - 1)
        first = torch.full_like(t[..., :1], self.rows - 1)
        return torch.cat([first, pair], dim=-1).long()

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.embed(self.hash(tokens))
        if self.proj is not None:
            h = self.proj(h)
        return h * self.scale.to(h.dtype)


class ValueEmbedding(nn.Module):
    """A narrow token table projected to the value width, added to the attention values of some layers (PR 414)."""

    def __init__(self, vocab_size: int, width: int, value_dim: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.embed.weight, std=0.01)
        self.proj = CastedLinear(width, value_dim, zero_init=True) if width != value_dim else None
        self.scale = nn.Parameter(torch.tensor(0.1))

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.embed(tokens)
        if self.proj is not None:
            h = self.proj(h)
        return h * self.scale.to(h.dtype)
