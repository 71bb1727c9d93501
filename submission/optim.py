"""Which parameter is trained by what: Muon for matrices, AdamW for tables and for scalars.

One GPU uses ``torch.optim.Muon``, whose update is the contest's but for two things it cannot do, for which ``Muon``
stands here: share the matrices out over ranks (every rank would orthogonalise all of them), and iterate in float32
(it always goes to bfloat16, in which a run on one CPU and a run on two would not be the same).

Its momentum is a running mean, m B + (1 - m) g, the contest's a sum, m B + g. At a constant m one is a multiple of the
other, and orthogonalising takes the multiple away; while m is warmed up, ``set_momentum`` keeps that so.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from submission.config import Config
from submission.distributed import World

SCALAR_NAMES = ("attn_scale", "mlp_scale", "resid_mix", "q_gain", "attn_gate", "vr_lambda")
TABLE_NAMES = ("tok_emb.weight", "bigram.embed.weight", "ve_shared.embed.weight", "value_embeds.")
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int, eps: float = 1e-7) -> Tensor:
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrix (Jordan et al., 2024).

    matrices: (batch, rows, columns); computed in bfloat16 on a GPU, in float32 on a CPU.
    """
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    wide = x if x.size(-2) <= x.size(-1) else x.mT
    wide = wide / (wide.norm(dim=(-2, -1), keepdim=True) + eps)
    for _ in range(steps):
        gram = wide @ wide.mT
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if x.size(-2) <= x.size(-1) else wide.mT


class Muon(torch.optim.Optimizer):
    """Momentum, then orthogonalised updates, matrices of one shape at a time; ranks share the work (PR 162)."""

    def __init__(self, parameters: list[Tensor], config: Config, world: World) -> None:
        defaults = {
            "lr": config.matrix_lr,
            "momentum": config.muon_momentum,
            "weight_decay": config.muon_wd,
            "ns_steps": config.muon_backend_steps,
        }
        super().__init__(parameters, defaults)
        self.world = world
        self._orthogonalise = (
            torch.compile(orthogonalise) if world.device.type == "cuda" and config.compile else orthogonalise
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                updates = self._updates(parameters, group)
                step = -group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                torch._foreach_mul_(parameters, 1.0 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(
                    parameters, [u.to(p.dtype) for u, p in zip(updates, parameters, strict=True)], alpha=step
                )

    def _updates(self, parameters: list[Tensor], group: dict[str, float]) -> list[Tensor]:
        momentum = group["momentum"]
        looked_ahead = []
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            buffer = state["momentum_buffer"]
            gradient = parameter.grad
            assert gradient is not None
            buffer.mul_(momentum).add_(gradient)
            looked_ahead.append(gradient.add(buffer, alpha=momentum))
        size, rank = self.world.size, self.world.rank
        if size == 1:
            return list(self._orthogonalise(torch.stack(looked_ahead), int(group["ns_steps"])))
        share = -(-len(parameters) // size)
        mine = looked_ahead[rank * share : (rank + 1) * share]
        mine += [torch.zeros_like(looked_ahead[0])] * (share - len(mine))
        local = self._orthogonalise(torch.stack(mine), int(group["ns_steps"])).contiguous()
        parts = [torch.empty_like(local) for _ in range(size)]
        dist.all_gather(parts, local)
        return list(torch.cat(parts)[: len(parameters)])


def make_muon(parameters: list[Tensor], config: Config, world: World) -> torch.optim.Optimizer:
    """``torch.optim.Muon`` (torch 2.9) on one GPU, else our own."""
    if world.size > 1 or world.device.type != "cuda" or not hasattr(torch.optim, "Muon"):
        return Muon(parameters, config, world)
    return torch.optim.Muon(
        parameters,
        lr=config.matrix_lr,
        momentum=config.muon_momentum,
        weight_decay=config.muon_wd,
        ns_steps=config.muon_backend_steps,
        adjust_lr_fn="original",
    )


@torch.no_grad()
def set_momentum(optimizer: torch.optim.Optimizer, momentum: float) -> None:
    """Give Muon another momentum; the running means of ``torch.optim.Muon`` stay multiples of sums of gradients.

    With T = (1 - m) B before the step, T (1 - m') / (1 - m) is (1 - m') B, and m' T + (1 - m') g = (1 - m') (m' B + g).
    """
    for group in optimizer.param_groups:
        if not isinstance(optimizer, Muon) and group["momentum"] != momentum:
            scale = (1.0 - momentum) / (1.0 - group["momentum"])
            buffers = [optimizer.state[p]["momentum_buffer"] for p in group["params"] if optimizer.state.get(p)]
            if buffers:
                torch._foreach_mul_(buffers, scale)
        group["momentum"] = momentum


def parameter_groups(model: nn.Module, config: Config) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """(matrices for Muon, tables for AdamW, scalars for AdamW); every parameter is in exactly one of them."""
    matrices: list[Tensor] = []
    tables: list[Tensor] = []
    scalars: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if name.startswith(TABLE_NAMES):
            tables.append(parameter)
        elif parameter.ndim == 2 and name.endswith("proj.weight") and not name.startswith("blocks."):
            (matrices if config.muon_projections else scalars).append(parameter)
        elif parameter.ndim == 2 and name.startswith("blocks.") and not any(part in name for part in SCALAR_NAMES):
            matrices.append(parameter)
        else:
            scalars.append(parameter)
    return matrices, tables, scalars


def make_optimizers(model: nn.Module, config: Config, world: World) -> dict[str, torch.optim.Optimizer]:
    """The optimizers by name; each group carries its ``base_lr``, which the schedule scales."""
    matrices, tables, scalars = parameter_groups(model, config)

    def adam(parameters: list[Tensor], lr: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            parameters,
            lr=lr,
            betas=(config.beta1, config.beta2),
            eps=config.adam_eps,
            weight_decay=config.adam_wd,
            fused=True,
        )

    optimizers = {
        "tables": adam(tables, config.token_lr),
        "matrices": make_muon(matrices, config, world),
        "scalars": adam(scalars, config.scalar_lr),
    }
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers
