"""Runs the rest of a program once for each value of its last validation token, from one and the same state."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

KEY_TOKENS = 24  # so many tokens at its end name an array as the validation stream


def fork_each(values: Sequence[int]) -> int | None:
    """Called once, returns once in each of ``len(values)`` copies of this process, one after another, with its value,
    and at last in the process itself with None. What the copies print is lost; what they leave in files is not."""
    sys.stdout.flush()
    sys.stderr.flush()
    for value in values:
        child = os.fork()
        if child == 0:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            return value
        os.waitpid(child, 0)
    return None


def replace_last(stream: np.ndarray, value: int) -> int:
    """Put ``value`` for the last token of the validation stream wherever the program holds it: in every integer tensor
    of one dimension, and in the arrays that its running functions name, that end as the stream does. Gives how many."""
    ending = stream[-KEY_TOKENS:].astype(np.int64)
    found: dict[int, np.ndarray] = {}

    def look(array: np.ndarray) -> None:
        if array.ndim != 1 or len(array) < KEY_TOKENS or array.dtype.kind not in "iu" or not array.flags.writeable:
            return
        if np.array_equal(array[-KEY_TOKENS:].astype(np.int64), ending):
            found[array.__array_interface__["data"][0] + array.nbytes] = array

    for thing in gc.get_objects():
        if type(thing) is torch.Tensor and not thing.is_floating_point() and thing.dim() == 1:
            look(thing.detach().cpu().numpy())
    frame: Any = sys._getframe()
    while frame is not None:
        for thing in list(frame.f_locals.values()):
            if isinstance(thing, np.ndarray):
                look(thing)
        frame = frame.f_back
    for array in found.values():
        array[-1] = value
    return len(found)


def write_changed(shard: Path, folder: Path, value: int) -> Path:
    """A copy of a validation shard whose last token is ``value``."""
    folder.mkdir(exist_ok=True)
    path = folder / shard.name
    path.write_bytes(shard.read_bytes()[:-2] + int(value).to_bytes(2, "little"))
    return path
