"""A run's state on disk, whole or absent, so that a killed run goes on where it was."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from submission.averaging import WeightAverage
from submission.config import Config
from submission.data import TokenStream
from submission.errors import InputError
from submission.model.state import load_state, model_state


@dataclass
class Training:
    """What changes during training."""

    model: nn.Module
    optimizers: dict[str, torch.optim.Optimizer]
    average: WeightAverage
    stream: TokenStream
    step: int = 0
    seconds: float = 0.0
    qat: bool = False


def save_checkpoint(path: Path, training: Training, config: Config, data: str) -> None:
    """Write the state so that a kill at any moment leaves the old one or the new one; ``data`` names the shards."""
    state = {
        "config": config.fingerprint(),
        "data": data,
        "model": model_state(training.model),
        "optimizers": {name: optimizer.state_dict() for name, optimizer in training.optimizers.items()},
        "kinds": kinds(training),
        "average": training.average.state_dict(),
        "stream": training.stream.state,
        "step": training.step,
        "seconds": training.seconds,
        "qat": training.qat,
        "random": torch.get_rng_state(),
    }
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def kinds(training: Training) -> dict[str, str]:
    """Class of each optimizer by name: what one keeps may mean something else to another (see ``optim``)."""
    return {name: f"{type(o).__module__}.{type(o).__name__}" for name, o in training.optimizers.items()}


def load_checkpoint(path: Path, training: Training, config: Config, data: str) -> None:
    """Put a saved state into ``training``.

    Raises:
        InputError: an unreadable checkpoint, or one of another configuration, other data or other optimizers.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        same = (state["config"], state["data"], state["kinds"]) == (config.fingerprint(), data, kinds(training))
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(path, "a checkpoint of this run", str(error).splitlines()[0][:120]) from None
    if not same:
        what = "settings" if state["config"] != config.fingerprint() else "data"
        if (state["config"], state["data"]) == (config.fingerprint(), data):
            what = f"optimizers, as one GPU and several have: {state['kinds']}"
        raise InputError(path, "a checkpoint of this run (RESUME=0 starts anew)", f"one with other {what}")
    load_state(training.model, state["model"], str(path))
    for name, optimizer in training.optimizers.items():
        optimizer.load_state_dict(state["optimizers"][name])
    training.average.load_state_dict(state["average"])
    training.stream.seek(tuple(state["stream"]))
    training.step, training.seconds, training.qat = state["step"], state["seconds"], state["qat"]
    torch.set_rng_state(state["random"])
