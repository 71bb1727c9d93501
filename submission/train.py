"""The training loop: batches in a fixed order, schedules, late quantisation, averaging, checkpoints."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from submission.averaging import WeightAverage
from submission.checkpoint import Training, load_checkpoint, save_checkpoint
from submission.config import Config
from submission.data import Tokens, TokenStream
from submission.distributed import World, barrier, largest, sum_gradients
from submission.errors import InputError
from submission.evaluate.run import to_device
from submission.model import GPT
from submission.model.state import model_state
from submission.optim import make_optimizers, set_momentum
from submission.quantize.gptq import collect_hessians
from submission.quantize.penalty import crown_q, start_qat, stop_qat
from submission.schedule import lr_scale, muon_momentum, repeats_at, time_limit

Log = Callable[[str], None]
Validate = Callable[[GPT], tuple[float, float]]


def begin(config: Config, paths: tuple[Path, ...], world: World) -> Training:
    """A model at its start, the same on every rank, with its optimizers and the beginning of the data."""
    stream = TokenStream(paths, config.vocab_size)
    torch.manual_seed(config.seed)
    model = to_device(GPT(config), world.device)
    return Training(model, make_optimizers(model, config, world), WeightAverage(config, model), stream)


def micro_batches(stream: TokenStream, config: Config, world: World) -> Iterator[tuple[Tensor, Tensor]]:
    """This rank's share of one global batch: x, y (sequences, seq_len). The data order does not depend on the ranks.

    A batch is ``micro_batches`` spans of the stream, each with one token more for the shift; ranks take turns.
    """
    span = config.train_batch_tokens // config.micro_batches + 1
    for number in range(config.micro_batches):
        tokens = stream.take(span)
        if number % world.size == world.rank:
            local = to_device_tokens(tokens, world)
            yield local[:-1].view(-1, config.train_seq_len), local[1:].view(-1, config.train_seq_len)


def train(
    config: Config,
    training: Training,
    world: World,
    log: Log,
    *,
    checkpoint: Path | None,
    data: str,
    validate: Validate,
) -> GPT:
    """Train to the end of the schedule, from ``checkpoint`` if it is there, and put the averaged weights in place.

    ``data`` names the training shards, ``validate`` gives val_loss in nats a token and val_bpb in bits a byte.

    Raises:
        InputError: a checkpoint of another run, or a loss that is no longer finite.
    """
    model: GPT = training.model  # type: ignore[assignment]
    if checkpoint is not None and config.resume and checkpoint.exists():
        load_checkpoint(checkpoint, training, config, data)
        log(f"resume:step:{training.step} train_time:{1000 * training.seconds:.0f}ms")
    if config.late_qat_threshold and training.qat:
        start_qat(model, config)
    compiled = _compiled(model, config, world)
    if config.warmup_steps and world.device.type == "cuda" and training.step == 0:
        _warm_up(config, training, compiled, world, log)
    limit = time_limit(config)
    clock = time.perf_counter() - training.seconds
    model.train()
    loss = torch.zeros(())
    while True:
        elapsed = largest(training.seconds, world)
        out_of_time = limit is not None and elapsed >= limit
        if training.step >= config.iterations or out_of_time:
            _synchronise(world)  # steps may still be running on a GPU: the last ones count too
            training.seconds = time.perf_counter() - clock
            if out_of_time:
                taken = f"train_time:{1000 * training.seconds:.0f}ms step:{training.step}/{config.iterations}"
                log(f"stopping_early: wallclock_cap {taken}")
            break
        if config.val_loss_every and training.step % config.val_loss_every == 0:
            _require_finite(loss, training.step)
            _synchronise(world)
            training.seconds = time.perf_counter() - clock
            _log_validation(config, training, model, validate, log)
            clock = time.perf_counter() - training.seconds
        repeats = repeats_at(config, training.step, elapsed)
        if repeats != model.repeats:
            model.repeats = repeats
            log(f"prog_depth: {repeats} repeats from step:{training.step}")
        scale = lr_scale(config, training.step, elapsed)
        if config.late_qat_threshold and scale < config.late_qat_threshold and not training.qat:
            training.qat = True
            start_qat(model, config)
            log(f"late_qat:enabled step:{training.step} scale:{scale:.4f}")
        loss = _step(config, training, compiled, world, scale)
        training.step += 1
        last = training.step == config.iterations
        shown = training.step <= 10 or training.step % config.train_log_every == 0 or last
        if shown:
            _require_finite(loss, training.step)  # waits for the GPU, so that the time below is that of the step
        training.seconds = time.perf_counter() - clock
        training.average.after_step(model, training.step, scale, model.repeats == config.num_repeats)
        if shown:
            log(
                f"step:{training.step}/{config.iterations} train_loss:{loss.item():.4f} "
                f"train_time:{1000 * training.seconds:.0f}ms step_avg:{1000 * training.seconds / training.step:.2f}ms"
            )
        if checkpoint is not None and config.checkpoint_every and training.step % config.checkpoint_every == 0:
            _synchronise(world)
            training.seconds = time.perf_counter() - clock
            if world.main:
                save_checkpoint(checkpoint, training, config, data)
            barrier()
            clock = time.perf_counter() - training.seconds
    model.repeats = config.num_repeats
    log(training.average.apply(model))
    _log_validation(config, training, model, validate, log)
    return model


def calibrate(config: Config, model: GPT, paths: tuple[Path, ...], world: World) -> dict[str, Tensor]:
    """Hessians of the linear layers on the first training tokens, where a rule asks for them (PR 700)."""
    if not config.uses_gptq:
        return {}
    stream = TokenStream(paths, config.vocab_size)

    def batches() -> Iterator[Tensor]:
        for _ in range(config.gptq_samples):
            tokens = stream.take(config.train_seq_len + 1)[:-1]
            yield to_device_tokens(tokens, world)[None]

    return collect_hessians(model, batches(), model.forward_logits)


def _step(config: Config, training: Training, forward: Callable[..., Tensor], world: World, scale: float) -> Tensor:
    """One update from one global batch; the mean loss of this rank's part of it."""
    model = training.model
    share = world.size / config.micro_batches
    losses = torch.zeros((), device=world.device)
    for x, y in micro_batches(training.stream, config, world):
        loss = forward(x, y)
        if training.qat and config.crown_q_lambda:
            loss = loss + crown_q(model, config)
        losses += loss.detach() * share
        (loss * share).backward()
    sum_gradients(model.parameters(), world, share=1.0 / world.size)
    for optimizer in training.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * scale
    set_momentum(training.optimizers["matrices"], muon_momentum(config, training.step))
    if config.grad_clip_norm > 0:
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip_norm)
    for optimizer in training.optimizers.values():
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return losses


def _warm_up(config: Config, training: Training, forward: Callable[..., Tensor], world: World, log: Log) -> None:
    """Fill the compile caches with steps on training data, then put everything back as it was.

    The steps go through every depth that the run will have and, where it will round its weights, end with rounding:
    otherwise training would stand still at each of these changes until the network is compiled anew.
    """
    model: GPT = training.model  # type: ignore[assignment]
    weights = {name: weight.clone() for name, weight in model_state(model).items()}
    optimizers = {name: copy.deepcopy(o.state_dict()) for name, o in training.optimizers.items()}
    where = training.stream.state
    depths = sorted({repeats for _, repeats in config.depth_phases}) or [config.num_repeats]
    stages = [(depth, False) for depth in depths] + [(depths[-1], True)] * bool(config.late_qat_threshold)
    for number in range(config.warmup_steps):
        model.repeats, training.qat = stages[number * len(stages) // config.warmup_steps]
        if training.qat:
            start_qat(model, config)
        _step(config, training, forward, world, 1.0)
        log(f"warmup_step:{number + 1}/{config.warmup_steps}")
    model.repeats, training.qat = config.num_repeats, False
    stop_qat(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    for name, optimizer in training.optimizers.items():
        optimizer.load_state_dict(optimizers[name])
    training.stream.seek(where)


def _log_validation(config: Config, training: Training, model: GPT, validate: Validate, log: Log) -> None:
    val_loss, val_bpb = validate(model)
    model.train()
    log(
        f"step:{training.step}/{config.iterations} val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f} "
        f"train_time:{1000 * training.seconds:.0f}ms step_avg:{1000 * training.seconds / max(training.step, 1):.2f}ms"
    )


def _compiled(model: GPT, config: Config, world: World) -> Callable[..., Tensor]:
    if config.compile and world.device.type == "cuda":
        return torch.compile(model, dynamic=False)
    return model


def to_device_tokens(tokens: Tokens, world: World) -> Tensor:
    """Tokens (n,) as int64 on the rank's device; to a GPU from pinned memory, so that the host need not wait."""
    values = torch.from_numpy(tokens.astype(np.int64))
    return values.pin_memory().to(world.device, non_blocking=True) if world.device.type == "cuda" else values


def _require_finite(loss: Tensor, step: int) -> None:
    if not math.isfinite(loss.item()):
        raise InputError(f"training at step {step}", "a finite loss (lower learning rates help)", str(loss.item()))


def _synchronise(world: World) -> None:
    if world.device.type == "cuda":
        torch.cuda.synchronize()
