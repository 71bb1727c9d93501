"""Evaluates an artifact: needs the file, this code and the validation shards, and nothing else."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from submission.artifact import Artifact
from submission.config import Config
from submission.data import Tokens
from submission.distributed import World
from submission.errors import InputError
from submission.evaluate.ledger import Score, ScoreLedger
from submission.evaluate.mixer import make_mixer
from submission.evaluate.roundtrip import roundtrip_windows
from submission.evaluate.sliding import MassMeter, Pass, run_pass
from submission.evaluate.ttt import Adapter
from submission.evaluate.windows import Window, exact_windows, reference_windows
from submission.model import GPT

Log = Callable[[str], None]
NAMES = {"roundtrip": "roundtrip", "sliding": "sliding_window", "ttt": "ttt"}


@dataclass(frozen=True)
class StageResult:
    """One evaluation stage. ``mass`` is the mean probability mass of a mixture, 1 for a distribution."""

    stage: str
    score: Score
    seconds: float
    mass: float | None = None
    renormalised_bpb: float | None = None


def stage_name(config: Config, stage: str) -> str:
    """Name in the log, ``final_<name>_exact``: a mixture is called what it is."""
    if stage in NAMES:
        return NAMES[stage]
    mixer = "hedge_five" if config.mixer == "hedge-5" else "hedge_normalised"
    return f"ttt_{mixer}" if stage == "ttt_mixer" else mixer


def sliding_windows(config: Config, total: int, *, adapting: bool = False) -> tuple[Window, ...]:
    """The windows of a sliding pass over ``total`` positions, by ``eval_tail``.

    The seeds' passes with adaptation (PRs 700 and 745) leave out windows shorter than the stride, all others keep them.
    """
    if config.eval_tail == "exact":
        return exact_windows(total, config.eval_seq_len, config.eval_stride)
    shortest = config.eval_stride if adapting else 1
    return reference_windows(total, config.eval_seq_len, config.eval_stride, shortest=shortest)


def evaluate(artifact: Artifact, tokens: Tokens, world: World, log: Log) -> tuple[StageResult, ...]:
    """Run the configured stages in order, each on freshly restored weights; ``tokens`` (n,) is the whole split.

    Raises:
        InputError: a split that this configuration cannot score.
    """
    config = artifact.config
    require_scorable(tokens, config)
    restored = to_device(artifact.model(), world.device)
    results = []
    for stage in config.eval_stages:
        result = run_stage(stage, copy.deepcopy(restored), artifact, tokens, world, log)
        report(result, config, log)
        results.append(result)
    return tuple(results)


def require_scorable(tokens: Tokens, config: Config) -> None:
    """Refuse a validation split with tokens beyond the vocabulary, or without one whole window.

    Raises:
        InputError: as said.
    """
    if int(tokens.max(initial=0)) >= config.vocab_size:
        raise InputError("validation shards", f"tokens below {config.vocab_size}", str(int(tokens.max())))
    if len(tokens) <= config.eval_seq_len:
        raise InputError("validation shards", f"more than {config.eval_seq_len} tokens", str(len(tokens)))


def run_stage(stage: str, model: GPT, artifact: Artifact, tokens: Tokens, world: World, log: Log) -> StageResult:
    """One stage on ``model``, which test-time training changes; ``seconds`` of the result are those of this rank."""
    config, began = artifact.config, time.perf_counter()
    ledger = ScoreLedger(tokens, artifact.table, allow_tail=config.eval_tail == "reference")
    mixer = make_mixer(config, world.device) if "mixer" in stage else None
    adapter = Adapter(model, config, world) if "ttt" in stage else None
    windows = (
        roundtrip_windows(config, ledger.total)
        if stage == "roundtrip"
        else sliding_windows(config, ledger.total, adapting=adapter is not None)
    )
    name, told = stage_name(config, stage), 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if done * 10 // total > told or done == total:
            told = done * 10 // total
            log(f"eval:{name} windows:{done}/{total} eval_time:{1000 * (time.perf_counter() - began):.0f}ms")

    meter = run_pass(Pass(model, ledger, config, world, mixer, adapter), windows, progress)
    score = ledger.score()
    mass = renormalised = None
    if mixer is not None:
        mass, renormalised = _masses(meter, score, every_position=mixer.needs_entropy)
    return StageResult(name, score, time.perf_counter() - began, mass, renormalised)


def report(result: StageResult, config: Config, log: Log) -> None:
    """The contest's lines for a stage, and what a reader must know about them."""
    score = result.score
    log(
        f"final_{result.stage} val_loss:{score.val_loss:.4f} val_bpb:{score.val_bpb:.4f} "
        f"eval_time:{1000 * result.seconds:.0f}ms"
    )
    if score.dropped or score.repeated:
        log(f"tail:reference dropped:{score.dropped} counted_again:{score.repeated} positions")
    if result.mass is not None and result.renormalised_bpb is not None:
        if config.mixer == "hedge-5":
            log("warning: hedge-5 is not a probability distribution; its val_bpb is not a compression rate")
        log(f"mixture:{config.mixer} mean_mass:{result.mass:.6f} val_bpb_renormalised:{result.renormalised_bpb:.8f}")
    log(f"final_{result.stage}_exact val_loss:{score.val_loss:.8f} val_bpb:{score.val_bpb:.8f}")


def save_results(path: Path, results: tuple[StageResult, ...]) -> None:
    """The results as JSON, one object a stage, written whole or not at all."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def to_device(model: GPT, device: torch.device) -> GPT:
    """On a GPU embeddings, and with them all activations, are bfloat16; other weights stay float32."""
    model = model.to(device)
    if device.type == "cuda":
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.bfloat16()
    return model


def _masses(meter: MassMeter, score: Score, *, every_position: bool) -> tuple[float, float]:
    if meter.positions == 0:
        return 1.0, score.val_bpb
    mass, log_mass = float(meter.mass), float(meter.log_mass)
    if not every_position:  # a sample stands for the rest
        return mass / meter.positions, score.val_bpb + _bpb(log_mass / meter.positions, score)
    alone = score.tokens - meter.positions  # scored by the network before the counts took part
    return (mass + alone) / score.tokens, score.val_bpb + _bpb(log_mass / score.tokens, score)


def _bpb(nats_per_token: float, score: Score) -> float:
    return nats_per_token / math.log(2) * score.tokens / score.bytes
