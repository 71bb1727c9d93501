"""Reading and writing the weights of a model under the contest's names, each shared matrix once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from submission.config import Config
from submission.errors import InputError
from submission.model.gpt import GPT


def model_state(model: nn.Module) -> dict[str, Tensor]:
    """Name -> parameter, detached; a matrix that several layers share stands once, under its first layer's name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


@torch.no_grad()
def load_state(model: nn.Module, state: Mapping[str, Tensor], source: str = "state") -> None:
    """Copy ``state`` into the model.

    Raises:
        InputError: a name or a shape that is not the model's, or one that is missing.
    """
    parameters = dict(model.named_parameters())
    if missing := sorted(set(parameters) - set(state)):
        raise InputError(source, f"weights {missing[0]}", f"{len(missing)} missing")
    if unknown := sorted(set(state) - set(parameters)):
        raise InputError(source, "only this model's weights", unknown[0])
    for name, parameter in parameters.items():
        if parameter.shape != state[name].shape:
            raise InputError(source, f"{name} of shape {tuple(parameter.shape)}", str(tuple(state[name].shape)))
        parameter.copy_(state[name])


def load_reference_state(config: Config, state: Mapping[str, Tensor]) -> GPT:
    """A model with the weights of an original trainer's checkpoint of the same preset.

    Names are the original's; PR 745's four parameter banks, (2L or L, rows, columns), are taken apart. Buffers are
    not parameters and are refused.
    """
    model = GPT(config)
    load_state(model, unbank(config, state), "reference state")
    return model


def unbank(config: Config, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """PR 745's banks as one matrix a block, named by the first executed layer that uses it."""
    layers, order = config.num_layers, config.virtual_layers
    banks = {
        "qo_bank": ("attn.c_q", "attn.proj"),
        "kv_bank": ("attn.c_k", "attn.c_v"),
        "mlp_up_bank": ("mlp.fc",),
        "mlp_down_bank": ("mlp.proj",),
    }
    plain = {name: tensor for name, tensor in state.items() if name not in banks}
    for bank, names in banks.items():
        if bank not in state:
            continue
        for part, name in enumerate(names):
            for physical in range(layers):
                key = f"blocks.{order.index(physical)}.{name}.weight"
                plain[key] = state[bank][part * layers + physical]
    return plain
