"""The ranks of a run: who am I, and sums, gathers and broadcasts that do nothing on one process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from submission.errors import InputError


@dataclass(frozen=True)
class World:
    """Rank and size of the run, and the device this rank computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def main(self) -> bool:
        return self.rank == 0


def join_world() -> World:
    """Join the process group that torchrun announces (nccl on GPUs, gloo on CPUs), or stand alone.

    Raises:
        InputError: ranks that do not fit together, a rank without a GPU of its own, or no address to meet at.
    """
    rank, size, local = _number("RANK", 0), _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0)
    if not 0 <= rank < size:
        raise InputError("environment variable RANK", f"0 to {size - 1}, below WORLD_SIZE", str(rank))
    if torch.cuda.is_available():
        if not 0 <= local < torch.cuda.device_count():
            raise InputError(
                "environment variable LOCAL_RANK", f"a GPU a rank, of {torch.cuda.device_count()} here", str(local)
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if size > 1 and not dist.is_initialized():
        if "MASTER_ADDR" not in os.environ:
            raise InputError(
                "environment variable WORLD_SIZE", "a run started by torchrun", f"{size} and no MASTER_ADDR"
            )
        on_gpu = device.type == "cuda"
        dist.init_process_group(
            "nccl" if on_gpu else "gloo", rank=rank, world_size=size, device_id=device if on_gpu else None
        )
    return World(rank, size, device)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise InputError(f"environment variable {name}", "an integer", repr(text)) from None


def leave_world() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def barrier() -> None:
    """Wait for all ranks."""
    if dist.is_initialized():
        dist.barrier()


def sum_gradients(parameters: Iterable[Tensor], world: World, *, share: float = 1.0) -> None:
    """Sum of every gradient over the ranks times ``share``, in one message a type; what has none is left out.

    All ranks must have gradients of the same parameters.
    """
    if world.size == 1:
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            by_type.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in by_type.values():
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat *= share
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()


def total(value: Tensor, world: World) -> Tensor:
    """Sum over ranks, in place."""
    if world.size > 1:
        dist.all_reduce(value)
    return value


def largest(value: float, world: World) -> float:
    """Maximum over ranks, so that all take the same decision."""
    if world.size == 1:
        return value
    tensor = torch.tensor(value, dtype=torch.float64, device=world.device)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return float(tensor)


def gather_rows(rows: Tensor, counts: list[int], world: World) -> Tensor:
    """Rows of all ranks in rank order; ``counts`` says how many each rank holds."""
    if world.size == 1:
        return rows
    most = max(counts)
    padded = rows.new_zeros((most, *rows.shape[1:]))
    padded[: rows.size(0)] = rows
    parts = [torch.empty_like(padded) for _ in range(world.size)]
    dist.all_gather(parts, padded.contiguous())
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def share(count: int, rank: int, size: int) -> tuple[int, int]:
    """The part [start, stop) of ``count`` things that falls to a rank."""
    return count * rank // size, count * (rank + 1) // size


def free_port(world: World) -> int:
    """A TCP port that rank 0 found free, known to all ranks."""
    port = 0
    if world.main:
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
    return int(largest(port, world))
