"""A GPU that is none: tensors that say they are on ``cuda`` refuse those of the CPU, and are computed on the CPU.

It finds what mixes devices or reads a GPU's memory without a copy, not what a GPU computes or how fast. Import it
before torch; the environment variable PRETEND_GPU names the library built from gpu.cpp.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from pathlib import Path
from typing import Any

_spec = importlib.util.find_spec("torch")
assert _spec is not None
assert _spec.origin is not None
for _name in ("libc10.so", "libtorch_cpu.so"):
    ctypes.CDLL(str(Path(_spec.origin).parent / "lib" / _name), mode=ctypes.RTLD_GLOBAL)
ctypes.CDLL(os.environ["PRETEND_GPU"])  # before torch asks for the first time whether there is CUDA

import torch  # noqa: E402
from torch.utils._python_dispatch import (  # noqa: E402
    TorchDispatchMode,
    _disable_current_modes,
    return_and_correct_aliasing,
)
from torch.utils._pytree import tree_leaves, tree_map  # noqa: E402

GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")
aten = torch.ops.aten
MOVES = {aten._to_copy.default, aten.copy_.default, aten._foreach_copy_.default}
INDEXED = {  # a GPU's tensor may be indexed by numbers of the CPU
    aten.index.Tensor,
    aten.index_put_.default,
    aten.index_put.default,
    aten._index_put_impl_.default,
}


class OnGpu(torch.Tensor):
    """Looks like a tensor of the GPU; ``held`` has the numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnGpu:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=GPU,
        )
        made.held = held
        return made  # type: ignore[no-any-return]

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGpu({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


class Pretend(TorchDispatchMode):
    """Inside, ``device="cuda"`` makes tensors of the pretended GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run ``func`` on the CPU's copies, as strict about devices as CUDA is."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    on_gpu = [isinstance(tensor, OnGpu) for tensor in tensors]
    wanted = kwargs.get("device")
    if func in INDEXED and any(on_gpu) and not on_gpu[0]:
        raise RuntimeError(f"{func}: a tensor of the CPU indexed by one of the GPU")
    if func not in MOVES | INDEXED and any(on_gpu):
        strangers = [tuple(t.shape) for t, there in zip(tensors, on_gpu, strict=True) if not there and t.ndim]
        if strangers:
            raise RuntimeError(f"{func}: tensors of the GPU meet tensors of the CPU, of shapes {strangers}")
    if func is aten._fused_sdp_choice.default:
        return 0  # plain mathematics
    result_on_gpu = torch.device(wanted).type == "cuda" if wanted is not None else any(on_gpu)
    if func is aten.copy_.default:
        result_on_gpu = on_gpu[0]
    inner = dict(kwargs) if wanted is None else {**kwargs, "device": CPU}
    with _disable_current_modes():
        out = func(*tree_map(_held, args), **tree_map(_held, inner))
        if func is aten._to_copy.default and not any(on_gpu):
            out = out.clone()
    if not result_on_gpu:
        return out
    out = tree_map(lambda leaf: OnGpu(leaf) if isinstance(leaf, torch.Tensor) else leaf, out)
    return return_and_correct_aliasing(func, args, kwargs, out) if any(on_gpu) else out


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, OnGpu) else leaf


def _tensor(data: Any, *, device: Any = None, _made: Any = torch.tensor, **options: Any) -> torch.Tensor:
    made: torch.Tensor = _made(data, **options)
    return made if device is None else made.to(device)


def _save(data: Any, file: Any, *, _made: Any = torch.save) -> None:
    """A file holds the numbers, not where they were."""
    _made(tree_map(_held, data), file)


torch.__future__.set_overwrite_module_params_on_conversion(True)
torch.cuda._lazy_init = lambda: None
torch.cuda.synchronize = lambda *_: None
torch.Tensor.pin_memory = lambda self, *_: self  # type: ignore[assignment,method-assign]
torch.save = _save  # type: ignore[assignment]
torch.tensor = _tensor  # type: ignore[assignment]  # it asks no mode
