"""Refuses settings that no run can use, before anything runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from submission.errors import InputError

CHOICES = {
    "activation": ("relu2", "leaky_relu2"),
    "init": ("orthogonal", "uniform"),
    "eval_tail": ("exact", "reference"),
    "mixer": ("hedge-normalised", "hedge-5"),
    "mixer_update": ("scored", "window"),
    "mixer_count_every": ("batch", "chunk"),
    "ttt_optimizer": ("adamw", "sgd"),
    "qat_clip": ("quantile", "max"),
    "crown_q_form": ("mean", "row-sum"),
}
STAGES = ("roundtrip", "sliding", "ttt", "mixer", "ttt_mixer")


QUANT_RULES = ("amax", "quantile", "search-matrix", "search-row", "gptq")  # of rounding, in submission/quantize
AT_LEAST_ONE = frozenset(
    {"num_layers", "num_repeats", "model_dim", "num_heads", "num_kv_heads", "vocab_size", "rope_base", "logit_softcap"}
    | {"micro_batches", "train_seq_len", "train_batch_tokens", "iterations", "train_log_every", "muon_backend_steps"}
    | {"size_limit", "eval_seq_len", "eval_stride", "eval_batch_seqs", "ttt_chunk_tokens", "ttt_batch_seqs"}
)
BELOW_ONE = frozenset(
    {"beta1", "beta2", "muon_momentum", "muon_momentum_warmup_start", "ema_decay", "prune_fraction"}
    | {"ttt_momentum", "ttt_polyak"}
)
SIGNED = ("smear_boundary", "qk_gain_init")


def quantisation(text: str) -> tuple[str, int]:
    """``rule:levels`` as the two, ``fp16`` and ``fp32`` with 0 levels.

    Raises:
        ValueError: neither of these forms, an unknown rule, or levels that int8 does not hold.
    """
    rule, _, digits = text.partition(":")
    if text in ("fp16", "fp32"):
        return text, 0
    if rule not in QUANT_RULES or not digits.isdecimal() or not 1 <= int(digits) <= 127:
        raise ValueError(text)
    return rule, int(digits)


def check(config: Any) -> None:
    """Refuse what would fail only at the end of a run, and what would silently do nothing.

    Raises:
        InputError: names the setting, what it may be, and what it is.
    """

    def need(condition: bool, name: str, expected: str) -> None:
        if not condition:
            raise InputError(f"setting {name}", expected, repr(getattr(config, name)))

    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            need(math.isfinite(value), field.name, "a finite number")
            least = 1 if field.name in AT_LEAST_ONE else 0
            need(value >= least or field.name in SIGNED, field.name, f"at least {least}")
            need(value < 1 or field.name not in BELOW_ONE, field.name, "below 1")
    for name, choices in CHOICES.items():
        need(getattr(config, name) in choices, name, "one of " + ", ".join(choices))
    for name in ("quant_attn", "quant_mlp", "quant_embed", "quant_other"):
        try:
            quantisation(getattr(config, name))
        except ValueError:
            need(False, name, "fp16, fp32 or rule:levels, levels to 127, with one of " + ", ".join(QUANT_RULES))
    need(config.seed < 1 << 32, "seed", "below 2**32")
    _check_model(config, need)
    _check_run(config, need)


def _check_model(config: Any, need: Callable[[bool, str, str], None]) -> None:
    depth = len(config.virtual_layers) * config.num_repeats
    need(config.vocab_size <= 65_536, "vocab_size", "at most 65536 (tokens are stored in 16 bits)")
    need(config.model_dim % config.num_heads == 0, "model_dim", f"a multiple of num_heads={config.num_heads}")
    need(config.num_heads % config.num_kv_heads == 0, "num_heads", f"a multiple of num_kv_heads={config.num_kv_heads}")
    need(config.mlp_mult * config.model_dim >= 1, "mlp_mult", "more than 0")
    need(config.head_dim % 2 == 0, "model_dim", "an even head size, for the rotary embedding")
    need(config.rope_dims <= config.head_dim and config.rope_dims % 2 == 0, "rope_dims", "even, at most a head")
    need(all(0 <= i < config.num_layers for i in config.recur_layers), "recur_layers", "layers that exist")
    need(len(set(config.recur_layers)) == len(config.recur_layers), "recur_layers", "each layer once")
    need(-1 <= config.smear_boundary < config.vocab_size, "smear_boundary", "a token, or -1 for none")
    need(config.bigram_vocab_size != 1, "bigram_vocab_size", "0 or at least 2 (the last row is for the first token)")
    need(config.xsa_last_n <= depth, "xsa_last_n", f"at most the {depth} executed layers")
    need(
        all(0 <= i < depth for i in config.value_embed_layers), "value_embed_layers", f"some of {depth} executed layers"
    )
    need(
        bool(config.value_embed_dim) == bool(config.value_embed_layers),
        "value_embed_layers",
        f"some where value_embed_dim={config.value_embed_dim} is not 0, else none",
    )
    need(not (config.unet_skips and config.num_repeats > 1), "num_repeats", "1 where unet_skips is on")
    need(config.num_repeats > 1 or not config.cross_repeat_skip, "cross_repeat_skip", "off where num_repeats is 1")
    _ = config.depth_phases


def _check_run(config: Any, need: Callable[[bool, str, str], None]) -> None:
    span = config.micro_batches * config.train_seq_len
    need(
        config.train_batch_tokens % span == 0,
        "train_batch_tokens",
        f"a multiple of micro_batches * train_seq_len = {span}",
    )
    limit, kept_back = config.max_wallclock_seconds, config.train_reserve_seconds
    need(not limit or kept_back < limit, "train_reserve_seconds", f"less than max_wallclock_seconds={limit}")
    need(not (config.ema_decay and config.swa_every), "swa_every", "0 where ema_decay is set: one average is applied")
    need(config.late_qat_threshold <= 1, "late_qat_threshold", "at most 1")
    need(config.qat_levels >= 1 or not config.late_qat_threshold, "qat_levels", "at least 1")
    need(
        config.late_qat_threshold > 0 or not config.crown_q_lambda,
        "crown_q_lambda",
        "0 where late_qat_threshold is 0: the penalty begins with the rounding",
    )
    need(config.crown_q_levels >= 1 or not config.crown_q_lambda, "crown_q_levels", "at least 1")
    need(config.gptq_samples >= 1 or not config.uses_gptq, "gptq_samples", "at least 1 where a rule is gptq")
    need(config.eval_stride <= config.eval_seq_len, "eval_stride", f"at most eval_seq_len={config.eval_seq_len}")
    need(all(s in STAGES for s in config.eval_stages), "eval_stages", "some of " + ", ".join(STAGES))
    need(0 < len(config.eval_stages) == len(set(config.eval_stages)), "eval_stages", "at least one, each once")
    adapts = config.ttt_epochs > 0 and any("ttt" in stage for stage in config.eval_stages)
    need(
        not adapts or config.ttt_chunk_tokens >= config.eval_seq_len,
        "ttt_chunk_tokens",
        f"at least eval_seq_len={config.eval_seq_len}: shorter chunks hold no sequence to train on",
    )
    blocks = len(config.virtual_layers)
    need(config.ttt_last_blocks <= blocks, "ttt_last_blocks", f"at most the {blocks} blocks, 0 for everything")
    need(config.ttt_temperature > 0, "ttt_temperature", "more than 0")
