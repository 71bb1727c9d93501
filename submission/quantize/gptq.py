"""GPTQ: rounding columns one after another, each error passed on to the columns that follow (Frantar et al., 2022)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from submission.model.linear import CastedLinear
from submission.quantize.rows import MATRIX_PERCENTILES


def best_row_scales(weight: Tensor, levels: int) -> Tensor:
    """Scale a row with the least squared error over a few clip percentiles, float32 (rows,)."""
    size = weight.abs()
    best = (size.amax(dim=1) / levels).clamp_min(1.0 / levels)
    best_error = torch.full_like(best, float("inf"))
    for percentile in MATRIX_PERCENTILES:
        clip = size.amax(dim=1) if percentile == 1.0 else torch.quantile(size, percentile, dim=1)
        scale = (clip / levels).clamp_min(1.0 / levels)
        q = torch.clamp(torch.round(weight / scale[:, None]), -levels, levels)
        error = (weight - q * scale[:, None]).pow(2).mean(dim=1)
        better = error < best_error
        best, best_error = torch.where(better, scale, best), torch.where(better, error, best_error)
    return best


def gptq(
    weight: Tensor, hessian: Tensor, levels: int, *, block: int = 128, damp: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Quantise with second-order error compensation, columns in order of their Hessian diagonal.

    weight: (rows, columns); hessian: (columns, columns), the mean of x x^T over calibration inputs.
    Returns int8 (rows, columns) and fp16 scales (rows,). As PR 700 does it: the inverse Hessian itself, not its
    Cholesky factor, weighs the errors; a Hessian that is not positive definite falls back to its diagonal.
    """
    w, h = weight.float().clone(), hessian.float().clone()
    rows, columns = w.shape
    scale = best_row_scales(w, levels)
    h.diagonal().add_(damp * h.diag().mean())
    order = torch.argsort(h.diag())
    w, h = w[:, order], h[order][:, order]
    factor, failed = torch.linalg.cholesky_ex(h)
    inverse = torch.diag(1.0 / h.diag().clamp_min(1e-6)) if bool(failed) else torch.cholesky_inverse(factor)
    q = torch.zeros(rows, columns, dtype=torch.int8, device=w.device)
    for start in range(0, columns, block):
        stop = min(start + block, columns)
        part, inverse_part = w[:, start:stop].clone(), inverse[start:stop, start:stop]
        errors = torch.zeros_like(part)
        for j in range(stop - start):
            rounded = torch.clamp(torch.round(part[:, j] / scale), -levels, levels)
            q[:, start + j] = rounded.to(torch.int8)
            error = (part[:, j] - rounded * scale) / inverse_part[j, j].clamp_min(1e-8)
            errors[:, j] = error
            part[:, j + 1 :] -= error[:, None] * inverse_part[j, j + 1 :][None, :]
        w[:, stop:] -= errors @ inverse[start:stop, stop:]
    return q[:, torch.argsort(order)], scale.to(torch.float16)


@torch.no_grad()
def collect_hessians(
    model: nn.Module, batches: Iterator[Tensor], forward: Callable[[Tensor], object]
) -> dict[str, Tensor]:
    """Mean of x x^T of the inputs of every linear layer, by layer name; ``batches`` are tokens (batch, seq)."""
    sums: dict[str, Tensor] = {}
    seen: dict[str, int] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], _output: object) -> None:
            x = inputs[0].detach().float().reshape(-1, inputs[0].size(-1))
            if name not in sums:
                sums[name] = torch.zeros(x.size(1), x.size(1), device=x.device)
                seen[name] = 0
            sums[name].addmm_(x.t(), x)
            seen[name] += x.size(0)

        return hook

    named = dict(model.named_modules())
    hooks = [
        layer.register_forward_hook(watch(name)) for name, layer in named.items() if isinstance(layer, CastedLinear)
    ]
    was_training = model.training
    model.eval()
    try:
        for tokens in batches:
            forward(tokens)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    return {name: total / seen[name] for name, total in sums.items()}
