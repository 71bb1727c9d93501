"""Trains, packs and evaluates small presets on the CPU and on a pretended GPU; prints both losses of each stage.

First it makes mistakes and prints which of them the pretended GPU notices.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

from gpu import GPU, Pretend  # first of all: before torch

# isort: split
import numpy as np
import torch
import torch.distributed as dist

from submission.artifact import Artifact
from submission.config import Config, load_config
from submission.data import ByteTable, read_split, shard_paths
from submission.distributed import World
from submission.evaluate.ledger import ScoreLedger
from submission.evaluate.roundtrip import roundtrip_windows
from submission.evaluate.run import evaluate
from submission.evaluate.sliding import Pass, run_pass
from submission.model import GPT
from submission.model.state import model_state
from submission.quantize.plan import quantise
from submission.train import begin, calibrate, train

SMALL = {"vocab_size": 64, "num_layers": 2, "model_dim": 32, "num_heads": 4, "num_kv_heads": 2, "xsa_last_n": 1}
SMALL |= {"train_seq_len": 16, "train_batch_tokens": 64, "micro_batches": 1, "iterations": 3, "warmdown_iters": 3}
SMALL |= {
    "warmup_steps": 2,
    "checkpoint_every": 2,
    "max_wallclock_seconds": 0.0,
    "val_loss_every": 2,
    "gptq_samples": 2,
    "compile": False,
}
SMALL |= {"eval_seq_len": 16, "eval_stride": 8, "mixer_min_tokens": 20, "ttt_chunk_tokens": 64, "ttt_epochs": 1}


def small(preset: str) -> Config:
    """The preset with its features on, at a size of nothing."""
    config = load_config(preset, {})
    settings = dict(SMALL)
    if config.bigram_vocab_size:
        settings |= {"bigram_vocab_size": 64, "bigram_dim": 8}
    if config.value_embed_dim:
        settings |= {"value_embed_dim": 8, "value_embed_layers": (1,)}
    if config.rope_dims:
        settings |= {"rope_dims": 4}
    if config.recur_layers:
        settings |= {"recur_layers": (1,)}
    if config.swa_every:
        settings |= {"swa_every": 1, "swa_start_frac": 0.9}
    if config.num_repeats > 1:
        settings |= {"num_repeats": 2, "progressive_depth": "0.5:1,1.0:2"}
    return dataclasses.replace(config, **settings)


def losses(config: Config, folder: Path, world: World) -> dict[str, float]:
    """The loss of the trained network, of one that went on from a checkpoint, and of each stage of its evaluation."""
    lines: list[str] = []
    table = ByteTable(np.full(64, 2, np.int16), np.zeros(64, np.bool_), np.arange(64) == 1)
    paths, tokens = shard_paths(folder, "train"), read_split(folder, "val")[:200]

    def validate(model: GPT) -> tuple[float, float]:
        ledger = ScoreLedger(tokens, table)
        run_pass(Pass(model, ledger, config, world), roundtrip_windows(config, ledger.total))
        return ledger.score().val_loss, ledger.score().val_bpb

    checkpoint = folder / "checkpoint.pt"
    found = {}
    for name in ("trained", "resumed"):  # the second time from the checkpoint that the first has left behind
        training = begin(config, paths, world)
        model = train(config, training, world, lines.append, checkpoint=checkpoint, data="", validate=validate)
        found[name] = validate(model)[0]
    checkpoint.unlink()
    assert sum(line.startswith("resume:step:2 ") for line in lines) == 1
    state = {name: weight.float().cpu() for name, weight in model_state(model).items()}
    stored = quantise(config, state, calibrate(config, model, paths, world))
    results = evaluate(Artifact(config, stored, table), tokens, world, lines.append)
    return found | {result.stage: result.score.val_loss for result in results}


def collectives() -> list[str]:
    """Pretends a second rank that has what this one has; the list fills with what would go over NCCL.

    The numbers mean nothing then. What counts is that NCCL, which moves nothing but a GPU's memory, gets nothing else.
    """
    seen: list[str] = []

    def over_nccl(name: str, *tensors: torch.Tensor) -> None:
        seen.append(name)
        if any(tensor.device.type != "cuda" for tensor in tensors):
            raise RuntimeError(f"{name}: a tensor of the CPU over NCCL")

    def all_gather(parts: list[torch.Tensor], tensor: torch.Tensor) -> None:
        over_nccl("all_gather", *parts, tensor)
        for part in parts:
            part.copy_(tensor)

    dist.all_reduce = lambda tensor, op=None: over_nccl("all_reduce", tensor)
    dist.all_gather = all_gather
    return seen


def mistakes() -> dict[str, bool]:
    """Whether each is noticed."""
    here, there = torch.ones(3), torch.ones(3, device=GPU)
    numbers = torch.zeros(2, dtype=torch.long, device=GPU)
    tries: dict[str, Callable[[], object]] = {
        "sum": lambda: here + there,
        "index": lambda: here[numbers],
        "numpy": lambda: there.numpy(),
        "none": lambda: there + here.to(GPU),
    }
    noticed = {}
    for name, attempt in tries.items():
        try:
            attempt()
            noticed[name] = False
        except RuntimeError:
            noticed[name] = True
    return noticed


if __name__ == "__main__":
    torch.set_num_threads(1)
    with Pretend():
        for name, seen in mistakes().items():
            sys.stdout.write(f"mistake {name} {seen}\n")
    for preset in sys.argv[2:]:
        chosen, data = small(preset), Path(sys.argv[1])
        plain = losses(chosen, data, World(0, 1, torch.device("cpu")))
        with Pretend():
            pretended = losses(chosen, data, World(0, 1, GPU))
        for name, value in plain.items():
            sys.stdout.write(f"{preset} {name} {value:.6f} {pretended[name]:.6f}\n")
    gathered = collectives()
    for preset in sys.argv[2:]:
        with Pretend():
            losses(dataclasses.replace(small(preset), micro_batches=2), Path(sys.argv[1]), World(0, 2, GPU))
        sys.stdout.write(f"ranks {preset} {' '.join(sorted(set(gathered)))}\n")
