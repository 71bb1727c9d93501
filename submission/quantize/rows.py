"""Rounding a matrix to integers with one scale a row: the five rules of the seeds."""

from __future__ import annotations

import torch
from torch import Tensor

INT8_QUANTILE = 0.9999984
MATRIX_PERCENTILES = (0.9990, 0.9995, 0.9999, 0.99999, 1.0)
ROW_PERCENTILES = (0.9999, 0.99995, 0.99999, 0.999995, 0.999999)


def amax(weight: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """PR 162: the row's largest magnitude is level ``levels``; one level more on the negative side.

    weight: (rows, columns) -> int8 of the same shape, fp16 scales (rows,).
    """
    scale = (weight.float().abs().amax(dim=1) / levels).clamp_min(1e-12).to(torch.float16)
    scale = scale.clamp_min(torch.finfo(torch.float16).tiny)
    q = torch.clamp(torch.round(weight.float() / scale.float()[:, None]), -levels - 1, levels)
    return q.to(torch.int8), scale


def quantile(weight: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """The baseline's int8: rows clipped at the 0.9999984 quantile; scales at least 1/levels."""
    w = weight.float()
    clip = _quantile(w.abs(), INT8_QUANTILE)
    scale = (clip / levels).clamp_min(1.0 / levels)
    clipped = torch.maximum(torch.minimum(w, clip[:, None]), -clip[:, None])
    q = torch.clamp(torch.round(clipped / scale[:, None]), -levels, levels)
    return q.to(torch.int8), scale.to(torch.float16)


def search_matrix(weight: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """PR 745 ("GPTQ-lite"): the clip percentile with the least squared error over the whole matrix."""
    w = weight.float()
    size = w.abs()
    best: tuple[float, Tensor, Tensor] | None = None
    for percentile in MATRIX_PERCENTILES:
        clip = size.amax(dim=1) if percentile == 1.0 else _quantile(size, percentile)
        scale = (clip / levels).clamp_min(1.0 / levels).to(torch.float16)
        q = torch.clamp(torch.round(w / scale.float()[:, None]), -levels, levels)
        error = float((w - q * scale.float()[:, None]).pow(2).mean())
        if best is None or error < best[0]:
            best = (error, q.to(torch.int8), scale)
    assert best is not None
    return best[1], best[2]


def search_row(weight: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """PR 1384: the clip percentile with the least squared error, row by row."""
    w = weight.float()
    size = w.abs()
    best_error: Tensor | None = None
    best_q = best_scale = w
    for percentile in ROW_PERCENTILES:
        clip = _quantile(size, percentile)
        scale = (clip / levels).clamp_min(1e-12)
        q = torch.clamp(torch.round(torch.clamp(w, -clip[:, None], clip[:, None]) / scale[:, None]), -levels, levels)
        error = (w - q * scale[:, None]).square().sum(dim=1)
        if best_error is None:
            best_error, best_q, best_scale = error, q, scale
        else:
            better = error < best_error
            best_error = torch.where(better, error, best_error)
            best_q = torch.where(better[:, None], q, best_q)
            best_scale = torch.where(better, scale, best_scale)
    return best_q.to(torch.int8), best_scale.to(torch.float16)


def restore(q: Tensor, scale: Tensor) -> Tensor:
    """Float32 weights of integers (rows, ...) and their row scales."""
    return q.float() * scale.float().view(-1, *[1] * (q.ndim - 1))


def _quantile(size: Tensor, share: float) -> Tensor:
    return torch.quantile(size, share, dim=1)


RULES = {"amax": amax, "quantile": quantile, "search-matrix": search_matrix, "search-row": search_row}
