"""Rotary position embedding over the whole head or its first dimensions (Su et al., 2021)."""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_tables(
    seq_len: int, dims: int, base: float, train_len: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """cos and sin, each (1, seq_len, 1, dims / 2).

    Windows longer than ``train_len`` (if not 0) stretch the base by (seq_len / train_len)^(dims / (dims - 2)),
    as PR 700 does (NTK-aware scaling).
    """
    if train_len and seq_len > train_len and dims > 2:
        base *= (seq_len / train_len) ** (dims / (dims - 2))
    inverse = 1.0 / (base ** (torch.arange(0, dims, 2, dtype=torch.float32, device=device) / dims))
    angles = torch.outer(torch.arange(seq_len, device=device, dtype=torch.float32), inverse)
    return angles.cos()[None, :, None, :].to(dtype), angles.sin()[None, :, None, :].to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: (batch, seq, heads, head_dim); its first ``2 * cos.size(-1)`` dimensions are turned, the rest pass."""
    half = cos.size(-1)
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    parts = (first * cos + second * sin, second * cos - first * sin)
    return torch.cat((*parts, rest) if rest.size(-1) else parts, dim=-1)
