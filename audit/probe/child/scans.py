"""State-space recurrences and causal convolutions by their definitions, for packages whose kernels a GPU must run."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional


def causal_conv1d_fn(x: Any, weight: Any, bias: Any = None, *_: Any, activation: str | None = None, **__: Any) -> Any:
    """causal_conv1d: x (batch, channels, tokens), weight (channels, width); each output sees its own token and
    width - 1 before it."""
    width = weight.size(-1)
    out = functional.conv1d(functional.pad(x, (width - 1, 0)), weight.unsqueeze(1).to(x.dtype), bias, groups=x.size(1))
    return functional.silu(out) if activation in ("silu", "swish") else out


def selective_scan_fn(
    u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any = None, z: Any = None, delta_bias: Any = None,
    delta_softplus: bool = False, return_last_state: bool = False,
) -> Any:  # fmt: skip
    """Mamba's scan (Gu and Dao 2023, equation 2): u, delta (batch, channels, tokens), A (channels, states), B and C
    (channels, states), (batch, states, tokens) or (batch, groups, states, tokens)."""
    delta = delta if delta_bias is None else delta + delta_bias[..., None]
    delta = functional.softplus(delta) if delta_softplus else delta
    batch, channels, tokens = u.shape
    B, C = (_by_channel(x, batch, channels, tokens) for x in (B, C))
    state = u.new_zeros(batch, channels, A.size(1))
    out = []
    for token in range(tokens):
        step = delta[..., token, None]
        state = torch.exp(step * A) * state + step * B[..., token] * u[..., token, None]
        out.append((state * C[..., token]).sum(-1))
    y = torch.stack(out, -1)
    y = y if D is None else y + u * D[:, None]
    y = y if z is None else y * functional.silu(z)
    return (y, state) if return_last_state else y


def _by_channel(matrix: Any, batch: int, channels: int, tokens: int) -> Any:
    """(batch, channels, states, tokens) of a matrix that is shared by channels or tokens."""
    if matrix.dim() == 2:
        return matrix[None, :, :, None].expand(batch, -1, -1, tokens)
    if matrix.dim() == 3:
        return matrix[:, None].expand(-1, channels, -1, -1)
    return matrix.repeat_interleave(channels // matrix.size(1), 1)


def mamba_chunk_scan_combined(
    x: Any, dt: Any, A: Any, B: Any, C: Any, chunk_size: int = 0, D: Any = None, z: Any = None, dt_bias: Any = None,
    initial_states: Any = None, dt_softplus: bool = False, return_final_states: bool = False, **_: Any,
) -> Any:  # fmt: skip
    """Mamba-2's scan (Dao and Gu 2024): x (batch, tokens, heads, dim), dt (batch, tokens, heads), A (heads,), B and C
    (batch, tokens, groups, states); gives x's shape, and the last state (batch, heads, dim, states) if asked."""
    dt = dt if dt_bias is None else dt + dt_bias
    dt = functional.softplus(dt) if dt_softplus else dt
    heads = x.size(2)
    B, C = (m.repeat_interleave(heads // m.size(2), 2) for m in (B, C))
    state = x.new_zeros(x.size(0), heads, x.size(3), B.size(3)) if initial_states is None else initial_states
    out = []
    for token in range(x.size(1)):
        step = dt[:, token, :, None, None]
        fresh = x[:, token, :, :, None] * B[:, token, :, None, :]
        state = torch.exp(step * A[:, None, None]) * state + step * fresh
        out.append((state * C[:, token, :, None, :]).sum(-1))
    y = torch.stack(out, 1)
    if D is not None:
        y = y + x * (D if D.dim() == 2 else D[:, None])
    y = y if z is None else y * functional.silu(z)
    return (y, state) if return_final_states else y
