"""What a preset is, without training it: parameters by part, shapes, tokens a step, and what it would weigh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from submission.accounting import measure
from submission.artifact import pack
from submission.config import Config
from submission.data import ByteTable
from submission.model import GPT
from submission.model.state import model_state
from submission.quantize.plan import quantise, rule_for


@dataclass(frozen=True)
class Layer:
    """One stored weight: its shape, parameters and how the artifact keeps it."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    stored: str


@dataclass(frozen=True)
class Description:
    """``artifact_bytes`` is measured on random weights, or None if that was not asked for; sizes in bytes."""

    preset: str
    parameters: int
    by_part: dict[str, int]
    layers: tuple[Layer, ...]
    executed_layers: int
    tokens_per_step: int
    sequences_per_step: int
    code_bytes: int
    packed_code_bytes: int
    artifact_bytes: int | None
    total_bytes: int | None
    size_limit: int


def describe(config: Config, *, weigh: bool = True) -> Description:
    """The description of a configuration; weighing packs a whole artifact, which takes up to a minute."""
    with torch.device("meta"):
        state = model_state(GPT(config))
    layers = tuple(Layer(name, tuple(w.shape), w.numel(), rule_for(config, name, w.shape)) for name, w in state.items())
    by_part: dict[str, int] = {}
    for layer in layers:
        by_part[part_of(layer.name)] = by_part.get(part_of(layer.name), 0) + layer.parameters
    artifact = weight_with_noise(config) if weigh else None
    size = measure(artifact or 0)
    return Description(
        preset=config.preset,
        parameters=sum(layer.parameters for layer in layers),
        by_part=by_part,
        layers=layers,
        executed_layers=len(config.virtual_layers) * config.num_repeats,
        tokens_per_step=config.train_batch_tokens,
        sequences_per_step=config.train_batch_tokens // config.train_seq_len,
        code_bytes=size.code,
        packed_code_bytes=size.packed_code,
        artifact_bytes=artifact,
        total_bytes=None if artifact is None else size.total,
        size_limit=config.size_limit,
    )


def part_of(name: str) -> str:
    """The part of the network a weight belongs to."""
    if ".attn." in name:
        return "attention"
    if ".mlp." in name:
        return "mlp"
    if name.startswith("blocks."):
        return "block scales"
    return name.split(".")[0]


def weight_with_noise(config: Config) -> int:
    """Bytes of an artifact whose matrices are normal noise of the size that training leaves (0.02 and more a weight).

    Trained weights compress a little better or worse; GPTQ without calibration data stores as a percentile search.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in model_state(GPT(config)).items()}
    state = {name: 0.05 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    size = config.vocab_size
    table = ByteTable(np.ones(size, np.int16), np.zeros(size, np.bool_), np.zeros(size, np.bool_))
    return len(pack(config, quantise(config, state), table))
