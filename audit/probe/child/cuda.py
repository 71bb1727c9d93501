"""Redirects CUDA to the CPU, so that a trainer written for eight H100 runs unchanged on one core."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_device = torch.device
CPU = _device("cpu")


def on_cpu(value: Any) -> Any:
    """A device argument, pointed to the CPU where it says CUDA; anything else as it is."""
    if isinstance(value, str) and value.split(":")[0] == "cuda":
        return CPU
    if isinstance(value, _device) and value.type == "cuda":
        return CPU
    return value


class _DeviceType(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _device)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else kwargs.get("type", kwargs.get("device", "cuda"))
        if isinstance(first, int) or on_cpu(first) is CPU:
            return CPU
        return _device(*args, **kwargs)


class Device(metaclass=_DeviceType):
    """Stands for torch.device: a CUDA device asked for is the CPU."""


_generator = torch.Generator


class _GeneratorType(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _generator)

    def __call__(cls, device: Any = "cpu") -> Any:
        return _generator()


class Generator(metaclass=_GeneratorType):
    """Stands for torch.Generator, always of the CPU."""


_fused_attention = torch.nn.functional.scaled_dot_product_attention
SHORT = 512  # tokens; up to here plain matrix products beat the CPU's fused kernel, whose backward is slow


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> torch.Tensor:  # fmt: skip
    """scaled_dot_product_attention, (..., heads, tokens, dim), by its definition where sequences are short."""
    if key.size(-2) > SHORT or (query.dim() == 4 and query.size(1) % key.size(1)):
        return _fused_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    if query.dim() == 4 and query.size(1) != key.size(1):
        repeat = query.size(1) // key.size(1)
        key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
    scores = (query @ key.transpose(-1, -2)).float() * (query.size(-1) ** -0.5 if scale is None else scale)
    if is_causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    if attn_mask is not None:
        added = attn_mask.dtype != torch.bool
        scores = scores + attn_mask if added else scores.masked_fill(~attn_mask, float("-inf"))
    return scores.softmax(-1).to(value.dtype) @ value


class Redirect(TorchFunctionMode):
    """Points every device argument of a torch function to the CPU; ``listener`` hears each call afterwards."""

    def __init__(self, listener: Callable[[Any, tuple[Any, ...], dict[str, Any], Any], Any] | None = None) -> None:
        super().__init__()
        self.listener = listener

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if "device" in kwargs:
            device = kwargs["device"]
            kwargs["device"] = CPU if isinstance(device, int) and not isinstance(device, bool) else on_cpu(device)
        if name in ("cuda", "pin_memory", "record_stream"):
            return args[0]
        if name == "__get__" and _asks_for_cuda(func):
            return True
        if name == "to":
            args = (args[0], *(on_cpu(a) for a in args[1:]))
            if len(args) > 1 and isinstance(args[1], int) and not isinstance(args[1], bool):
                args = (args[0], CPU, *args[2:])
        if "pin_memory" in kwargs:
            kwargs["pin_memory"] = False
        if kwargs.get("fused") and name != "AdamW":
            kwargs.pop("fused")
        result = attention(*args, **kwargs) if name == "scaled_dot_product_attention" else func(*args, **kwargs)
        if self.listener is not None:
            return self.listener(func, args, kwargs, result)
        return result


class Listen(TorchFunctionMode):
    """On a machine with a GPU: nothing is redirected; ``listener`` hears each call afterwards."""

    def __init__(self, listener: Callable[[Any, tuple[Any, ...], dict[str, Any], Any], Any]) -> None:
        super().__init__()
        self.listener = listener

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        return self.listener(func, args, kwargs, func(*args, **kwargs))


def _asks_for_cuda(getter: Any) -> bool:
    """Whether this is the submission, not PyTorch itself, asking a tensor's ``is_cuda``."""
    if getattr(getattr(getter, "__self__", None), "__name__", "") != "is_cuda":
        return False
    return "/site-packages/torch/" not in sys._getframe(2).f_code.co_filename


class InferenceMode(torch.no_grad):
    """Stands for torch.inference_mode. Compiled code may train with tensors that were cached under it; eager code may
    not, so here it only turns gradients off."""

    def __new__(cls, mode: Any = True) -> Any:
        return torch.no_grad()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._mode = bool(mode)

    def __enter__(self) -> None:
        self.prev = torch.is_grad_enabled()
        if self._mode:
            torch.set_grad_enabled(False)

    def clone(self) -> Any:
        return InferenceMode(self._mode)


class _Silent:
    """An event, a stream or a graph that has nothing to wait for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *args: Any) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


class Event(_Silent):
    """Times with the clock of the probe; milliseconds, as CUDA's."""

    def record(self, *args: Any) -> None:
        import time

        self._at = time.perf_counter()

    def elapsed_time(self, end: Event) -> float:
        return 1000.0 * (end._at - self._at)

    def query(self) -> bool:
        return True


class Properties:
    """What get_device_properties says: the contest's GPU, but for the number of its processors."""

    name, major, minor = "NVIDIA H100 80GB HBM3", 9, 0
    # One: a kernel that shares its tiles among them is interpreted once, not once for each.
    multi_processor_count, total_memory = 1, 80 << 30
    shared_memory_per_multiprocessor = shared_memory_per_block_optin = 228 << 10
    warp_size, max_threads_per_multi_processor, regs_per_multiprocessor, L2_cache_size = 32, 2048, 65536, 50 << 20


def _constant(value: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: value


class Autocast(contextlib.ContextDecorator):
    """Stands for torch.autocast: everything stays in float32, so that no influence of one token on another's score is
    lost in rounding; which information reaches a score does not depend on the precision."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __enter__(self) -> Autocast:
        return self

    def __exit__(self, *args: Any) -> None: ...


def _compile(model: Any = None, *args: Any, **kwargs: Any) -> Any:
    return model if model is not None else lambda function: function


def install() -> None:
    """Patch torch for the rest of this process. The device-argument part needs ``with Redirect():`` around the run."""
    import torch._dynamo  # looks into what is patched below, so it must be loaded before

    cuda = torch.cuda
    constants = {
        "is_available": True, "is_initialized": True, "device_count": 1, "current_device": 0, "is_bf16_supported": True,
        "get_device_name": Properties.name, "get_device_capability": (9, 0), "get_device_properties": Properties,
        "mem_get_info": (70 << 30, 80 << 30), "memory_stats": {}, "memory_summary": "", "get_arch_list": ["sm_90"],
    }  # fmt: skip
    for name, value in constants.items():
        setattr(cuda, name, _constant(value))
    for name in ("max_memory_allocated", "max_memory_reserved", "memory_allocated", "memory_reserved"):
        setattr(cuda, name, _constant(0))
    for name in ("set_device", "synchronize", "empty_cache", "ipc_collect", "reset_peak_memory_stats", "init",
                 "reset_max_memory_allocated", "manual_seed", "manual_seed_all", "set_stream", "reset_memory_stats",
                 "set_per_process_memory_fraction"):  # fmt: skip
        setattr(cuda, name, _constant(None))
    cuda.get_rng_state = lambda *a, **k: torch.get_rng_state()
    cuda.get_rng_state_all = lambda: [torch.get_rng_state()]
    cuda.set_rng_state = cuda.set_rng_state_all = _constant(None)
    cuda.Event, cuda.Stream = Event, _Silent
    cuda.stream = cuda.device = lambda *a, **k: _Silent()
    cuda.current_stream = cuda.default_stream = lambda *a, **k: _Silent()
    if hasattr(torch, "accelerator"):  # a CUDA build without a driver would ask it of the GPU itself
        for name, value in {"current_accelerator": None, "is_available": False, "device_count": 0}.items():
            setattr(torch.accelerator, name, _constant(value))
    for name in ("range", "range_push", "range_pop", "mark"):
        setattr(cuda.nvtx, name, lambda *a, **k: contextlib.nullcontext())

    for name in ("enable_flash_sdp", "enable_mem_efficient_sdp", "enable_math_sdp", "enable_cudnn_sdp"):
        setattr(torch.backends.cuda, name, _constant(None))
    torch.backends.cuda.sdp_kernel = lambda *a, **k: contextlib.nullcontext()
    torch.nn.attention.sdpa_kernel = lambda *a, **k: contextlib.nullcontext()

    torch.autocast = torch.amp.autocast = cuda.amp.autocast = Autocast
    torch.storage._dtype_to_storage_type_map()  # remembered, as they must be, from before the name changes its meaning
    torch.storage._storage_type_to_dtype_map()
    torch.bfloat16 = torch.float32
    torch.Tensor.bfloat16 = torch.Tensor.float
    torch.nn.Module.bfloat16 = torch.nn.Module.float
    torch.inference_mode = InferenceMode
    torch.device = Device
    torch.compile = _compile
    torch.jit.script = _compile

    to = torch.nn.Module.to
    torch.nn.Module.to = lambda self, *a, **k: to(
        self,
        *(CPU if isinstance(x, int) and not isinstance(x, bool) else on_cpu(x) for x in a),
        **{name: on_cpu(x) for name, x in k.items()},
    )
    torch.nn.Module.cuda = lambda self, *a, **k: self
    torch.Generator = Generator
    load = torch.load
    torch.load = lambda *a, **k: load(
        *a[:1], *(on_cpu(x) for x in a[1:]), **{n: on_cpu(x) if n == "map_location" else x for n, x in k.items()}
    )
    _backward()
    _plain_optimizers()
    _single_rank()
    _threads()


def _backward() -> None:
    """A function mode is off while it handles a call, and backward, being one, would run what recomputes or has a
    backward of its own without it: so that it is no such call. Nothing needs to be recomputed at toy size either."""

    def backward(
        self: Any, gradient: Any = None, retain_graph: Any = None, create_graph: bool = False, inputs: Any = None
    ) -> None:
        gradients = torch.autograd._make_grads((self,), (gradient,), is_grads_batched=False)
        leaves = (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs or ())
        keep = create_graph if retain_graph is None else retain_graph
        torch.autograd.graph._engine_run_backward(
            (self,), gradients, keep, create_graph, leaves, allow_unreachable=True, accumulate_grad=True
        )

    def checkpoint(function: Any, *args: Any, **kwargs: Any) -> Any:
        for name in ("use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop"):
            kwargs.pop(name, None)
        return function(*args, **kwargs)

    import torch.utils.checkpoint as checkpointing

    torch.Tensor.backward = backward
    checkpointing.checkpoint = checkpoint


def _threads() -> None:
    """A function mode holds for one thread: every new one gets its own."""
    bootstrap = threading.Thread._bootstrap_inner

    def redirected(self: Any) -> None:
        with Redirect():
            bootstrap(self)

    threading.Thread._bootstrap_inner = redirected


def _plain_optimizers() -> None:
    """Fused and capturable steps exist on CUDA alone."""
    for name in ("Adam", "AdamW", "SGD", "NAdam", "RAdam", "Adagrad"):
        optimizer = getattr(torch.optim, name)
        original = optimizer.__init__
        accepted = inspect.signature(original).parameters

        def plain(self: Any, *args: Any, _original: Any = original, _accepted: Any = accepted, **kwargs: Any) -> None:
            for flag in ("fused", "capturable"):
                if flag in kwargs:
                    kwargs[flag] = None if flag == "fused" else False
                if flag not in _accepted:
                    kwargs.pop(flag, None)
            _original(self, *args, **kwargs)

        optimizer.__init__ = plain


def _single_rank() -> None:
    """torch.distributed with one rank over gloo, whatever backend and address the trainer names; what its collectives
    do over one rank is nothing or a copy, and gloo lacks some of them."""
    import torch.distributed as dist

    original = dist.init_process_group

    def init_process_group(*args: Any, **kwargs: Any) -> None:
        if dist.is_initialized():
            return
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        original(backend="gloo", store=dist.HashStore(), rank=0, world_size=1)

    dist.init_process_group = init_process_group

    def work(async_op: bool) -> Any:
        return _Silent() if async_op else None

    def unchanged(tensor: Any, *args: Any, async_op: bool = False, **kwargs: Any) -> Any:
        return work(async_op or any(argument is True for argument in args))

    def copied(output: Any, given: Any, *args: Any, async_op: bool = False, **kwargs: Any) -> Any:
        output, given = (x[0] if isinstance(x, list) else x for x in (output, given))
        output.copy_(given.reshape(output.shape))
        return work(async_op or any(argument is True for argument in args))

    for name in ("all_reduce", "reduce", "broadcast"):
        setattr(dist, name, unchanged)
    for name in ("reduce_scatter_tensor", "reduce_scatter", "all_gather_into_tensor", "all_gather"):
        setattr(dist, name, copied)
    dist.barrier = lambda *a, **k: None

    from torch.nn import parallel

    class SingleRank(torch.nn.Module):
        """DistributedDataParallel over one rank: the module itself, under the attribute that code unwraps."""

        def __init__(self, module: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__()
            self.module = module
            self.require_backward_grad_sync = True

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.module(*args, **kwargs)

        def no_sync(self) -> Any:
            return contextlib.nullcontext()

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(super().__getattr__("module"), name)

    parallel.DistributedDataParallel = parallel.distributed.DistributedDataParallel = SingleRank
