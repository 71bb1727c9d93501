"""Stand-ins for packages that exist on CUDA alone: same mathematics where small, a clear refusal where not."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import shutil
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from audit.probe.child import scans

SCANS = ("causal_conv1d", "mamba_ssm")
FLASH = ("flash_attn", "flash_attn_interface", "flash_attn_3", "hopper", "flash_attn_2_cuda", "flash_attn_3_cuda")
KERNELS = ("triton", "cutlass", "cuda", "transformer_engine", "apex", "deep_ep", "kernels", "liger_kernel")


class CannotRun(RuntimeError):
    """The submission needs a kernel that only a GPU has."""


def attention(
    q: Any, k: Any, v: Any, *args: Any, softmax_scale: float | None = None, causal: bool = False,
    window_size: Sequence[int] = (-1, -1), **_: Any,
) -> Any:  # fmt: skip
    """flash_attn_func: q (batch, queries, heads, dim), k and v (batch, keys, kv heads, dim); gives q's shape."""
    if q.dtype != v.dtype or k.dtype != v.dtype:
        q, k = q.to(v.dtype), k.to(v.dtype)
    queries, keys, repeat = q.size(1), k.size(1), q.size(2) // k.size(2)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if repeat > 1:
        k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
    left, right = (tuple(window_size) if window_size is not None else (-1, -1))[:2]
    mask = None
    if left >= 0 or (causal and queries != keys):
        row = torch.arange(queries)[:, None] + keys - queries  # aligned at the end, as flash attention does
        column = torch.arange(keys)[None]
        mask = (column <= row) if causal else torch.ones(queries, keys, dtype=torch.bool)
        if left >= 0:
            mask = mask & (column >= row - left)
        if right >= 0 and not causal:
            mask = mask & (column <= row + right)
    out = functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal and mask is None, scale=softmax_scale
    )
    return out.transpose(1, 2)


def varlen_attention(
    q: Any, k: Any, v: Any, cu_seqlens_q: Any = None, cu_seqlens_k: Any = None, *args: Any, **kwargs: Any
) -> Any:
    """flash_attn_varlen_func: q (tokens, heads, dim), documents bounded by cu_seqlens, which attention keeps to."""
    bounds_q = [int(x) for x in cu_seqlens_q]
    bounds_k = bounds_q if cu_seqlens_k is None else [int(x) for x in cu_seqlens_k]
    out = torch.zeros_like(q)
    parts = []
    for index in range(len(bounds_q) - 1):
        a, b, c, d = bounds_q[index], bounds_q[index + 1], bounds_k[index], bounds_k[index + 1]
        if b > a:
            parts.append((a, b, attention(q[None, a:b], k[None, c:d], v[None, c:d], **_kept(kwargs))[0]))
    if not parts:
        return out
    pieces = [part for _, _, part in parts]
    if parts[-1][1] < q.size(0):
        pieces.append(out[parts[-1][1] :])
    return torch.cat(pieces)


def _kept(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: kwargs[name] for name in ("softmax_scale", "causal", "window_size") if name in kwargs}


def qkvpacked_attention(qkv: Any, *args: Any, **kwargs: Any) -> Any:
    """flash_attn_qkvpacked_func: qkv (batch, tokens, 3, heads, dim)."""
    return attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], **_kept(kwargs))


class _Anything:
    """What a kernel library's names stand for until one is launched."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        return _Anything(f"{self._name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        last = self._name.rsplit(".", 1)[-1]
        if last in ("jit", "autotune", "heuristics", "custom_op", "kernel", "jit_kernel"):
            return _Kernel(args[0]) if args and callable(args[0]) else lambda function: _Kernel(function)
        if last == "cdiv":
            return -(-args[0] // args[1])
        if last == "next_power_of_2":
            return 1 << (args[0] - 1).bit_length()
        if last in ("Config",):
            return self
        raise CannotRun(f"{self._name} needs a GPU")

    def __getitem__(self, key: Any) -> Any:
        return self

    def __or__(self, other: Any) -> Any:
        return self

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return ()


class _Kernel:
    def __init__(self, function: Any) -> None:
        self._function = function
        self.__name__ = getattr(function, "__name__", getattr(getattr(function, "_function", None), "__name__", "?"))

    def __getitem__(self, grid: Any) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise CannotRun(f"Triton kernel {self.__name__} needs a GPU")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname.split(".")[0] in (*FLASH, *SCANS, *KERNELS) and not _asked_by_torch():
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None: ...


class _Float32Kernels(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads Triton with bfloat16 meaning float32, as it does in torch here: an interpreted kernel that stores one into
    a tensor of the other writes nonsense."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname not in ("triton.language.core", "triton.runtime.interpreter"):
            return None
        spec = self._found[fullname] = importlib.machinery.PathFinder.find_spec(fullname, path)
        return spec and importlib.util.spec_from_loader(fullname, self, origin=spec.origin)

    def create_module(self, spec: Any) -> types.ModuleType:
        return importlib.util.module_from_spec(self._found[spec.name])

    def exec_module(self, module: Any) -> None:
        self._found[module.__name__].loader.exec_module(module)
        if module.__name__.endswith("core"):
            module.bfloat16 = module.float32
            return
        import numpy as np

        original = module._get_np_dtype

        def get_np_dtype(tt_dtype: Any) -> Any:  # its table has both names, and the later one would win
            element = getattr(tt_dtype, "element_ty", tt_dtype) if tt_dtype.is_block() else tt_dtype
            return np.dtype(np.float32) if element == module.tl.float32 else original(tt_dtype)

        module._get_np_dtype = get_np_dtype


def _asked_by_torch() -> bool:
    """PyTorch looks for Triton to use it: it must go without."""
    frame: Any = sys._getframe(2)
    while frame is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None and "/site-packages/torch/" in frame.f_code.co_filename


class _Module(types.ModuleType):
    __version__ = "3.0.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self.__name__.split(".")[0] in FLASH or "flash" in name:
            if "varlen" in name:
                return varlen_attention
            if "qkvpacked" in name:
                return qkvpacked_attention
            if name.endswith("func") or name in ("flash_attn", "flash_attention", "fwd"):
                return attention
        if self.__name__.split(".")[0] in SCANS and hasattr(scans, name):
            return getattr(scans, name)
        if self.__name__ == "kernels" and name == "get_kernel":
            return lambda *args, **kwargs: _Module("flash_attn_interface")
        return _Anything(f"{self.__name__}.{name}")


def install(nvidia_smi: bool = True) -> None:
    """Last on the search path: a package that is really there is used. Unless there is a GPU, whose own it is,
    ``nvidia_smi`` answers with a line."""
    sys.meta_path.append(_Finder())
    if nvidia_smi:
        sys.meta_path.insert(0, _Float32Kernels())
        flex()
    run, check_output = subprocess.run, subprocess.check_output

    def called(command: Any, program: str) -> bool:
        words = command.split() if isinstance(command, str) else [str(word) for word in command]
        return bool(words) and words[0].endswith(program)

    def answered(command: Any, *args: Any, **kwargs: Any) -> Any:
        if called(command, "pyminify") and shutil.which("pyminify") is None:
            return subprocess.CompletedProcess(command, 0, _minified(command, kwargs), None)
        if nvidia_smi and called(command, "nvidia-smi"):
            text = kwargs.get("text") or kwargs.get("universal_newlines") or kwargs.get("encoding")
            return subprocess.CompletedProcess(command, 0, "no GPU: probe" if text else b"no GPU: probe", None)
        return run(command, *args, **kwargs)

    def output(command: Any, *args: Any, **kwargs: Any) -> Any:
        stood_in = nvidia_smi and called(command, "nvidia-smi")
        return answered(command, **kwargs).stdout if stood_in else check_output(command, *args, **kwargs)

    subprocess.run, subprocess.check_output = answered, output


def _minified(command: Any, kwargs: dict[str, Any]) -> Any:
    """Stands for the program ``pyminify``, with which trainers count their code: the text as it is."""
    given = kwargs.get("input")
    words = command.split() if isinstance(command, str) else [str(word) for word in command]
    if given is None:
        given = next((Path(word).read_bytes() for word in words[1:] if word.endswith(".py")), b"")
        given = given.decode() if kwargs.get("text") or kwargs.get("encoding") else given
    for option, path in itertools.pairwise(words):
        if option in ("-o", "--output"):
            Path(path).write_bytes(given.encode() if isinstance(given, str) else given)
    return given


def flex() -> None:
    """Block masks are made on the CPU; flex attention itself runs uncompiled there."""
    from torch.nn.attention import flex_attention

    original = flex_attention.create_block_mask

    def create_block_mask(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("_compile", None)
        return original(*args[:5], **{**kwargs, "device": "cpu"})

    flex_attention.create_block_mask = create_block_mask
