"""Every setting of a run in one frozen dataclass: presets/*.toml set it, the environment overrides it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submission.checks import check
from submission.errors import InputError

PRESETS = Path(__file__).resolve().parent / "presets"

# Settings that a bundle fixed when it left out the code for their other values; none here.
FROZEN: frozenset[str] = frozenset()

# Settings that do not change what is trained: a run may be resumed with other values.
PLACES = frozenset(
    {"data_path", "tokenizer_path", "out_dir", "run_id", "checkpoint_every", "resume", "train_log_every"}
)


@dataclass(frozen=True)
class Config:
    """One run. The environment variable of a field is its name in capitals: ``NUM_LAYERS=9``.

    Lengths are in tokens, times in seconds unless the name says otherwise, rates are AdamW's or Muon's.
    """

    preset: str = "tiny"

    # where things are
    data_path: str = ""  # folder of fineweb_{train,val}_*.bin; empty: the embedded corpus
    tokenizer_path: str = ""  # SentencePiece .model; empty: the embedded corpus's
    out_dir: str = ""  # empty: runs/<run_id>
    run_id: str = ""  # empty: <preset>_seed<seed>
    seed: int = 1337
    resume: bool = True
    checkpoint_every: int = 0  # steps; 0: never

    # model
    vocab_size: int = 1024
    num_layers: int = 9  # blocks with weights of their own
    num_repeats: int = 1  # times the whole stack runs (depth recurrence, PR 1384)
    recur_layers: tuple[int, ...] = ()  # blocks run twice in a row, with scalars of their own (PR 745)
    model_dim: int = 512
    num_heads: int = 8
    num_kv_heads: int = 4
    mlp_mult: float = 3.0
    activation: str = "relu2"  # relu2 | leaky_relu2
    rope_base: float = 10000.0
    rope_dims: int = 0  # 0: the whole head
    rope_train_len: int = 0  # longer windows stretch the base (NTK); 0: never
    logit_softcap: float = 30.0
    qk_gain_init: float = 1.5
    attention_scale: float = 0.0  # 0: 1/sqrt(head_dim)
    unet_skips: bool = True
    smear: bool = True
    smear_boundary: int = -1  # token that nothing is smeared into: the start of a document; -1: none, as the seeds
    bigram_vocab_size: int = 0
    bigram_dim: int = 128
    xsa_last_n: int = 0  # exclusive self-attention on the last n executed layers
    layer_norm_scale: bool = False  # block inputs times 1/sqrt(layer + 1)
    value_embed_dim: int = 0  # shared value embedding added to the values of value_embed_layers
    value_embed_layers: tuple[int, ...] = ()
    value_tables: int = 0  # full-width embedding tables mixed into every executed layer (PR 1384)
    loop_embed: bool = False
    cross_repeat_skip: bool = False
    gated_attention: bool = False
    value_residual: bool = False
    init: str = "orthogonal"  # orthogonal | uniform
    tied_embed_init_std: float = 0.005

    # training
    train_seq_len: int = 2048
    train_batch_tokens: int = 786_432
    micro_batches: int = 8  # gradient accumulation steps times ranks
    iterations: int = 20_000
    max_wallclock_seconds: float = 600.0  # 0: no limit, the schedule then counts steps
    train_reserve_seconds: float = 0.0  # kept back for calibration and export
    warmup_steps: int = 0  # steps on training data that are undone: they fill compile caches
    warmdown_iters: int = 3000
    progressive_depth: str = ""  # "0.4:2,0.65:3,1.0:4": repeats until that fraction of the run
    grad_clip_norm: float = 0.3
    compile: bool = True  # torch.compile, on a GPU only
    train_log_every: int = 100
    val_loss_every: int = 0
    token_lr: float = 0.03
    matrix_lr: float = 0.02
    scalar_lr: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.95
    adam_eps: float = 1e-8
    adam_wd: float = 0.01
    muon_wd: float = 0.04
    muon_momentum: float = 0.99
    muon_momentum_warmup_start: float = 0.92
    muon_momentum_warmup_steps: int = 1500
    muon_backend_steps: int = 5
    muon_projections: bool = True  # bigram and value-embedding projections by Muon, not by AdamW
    swa_every: int = 0
    swa_start_frac: float = 0.5  # of the learning-rate scale
    swa_with_last: bool = False
    ema_decay: float = 0.0
    late_qat_threshold: float = 0.0  # learning-rate scale under which weights are fake-quantised; 0: never
    qat_names: tuple[str, ...] = ()  # parts of names; empty: every block matrix and projection
    qat_clip: str = "quantile"  # quantile | max
    qat_levels: int = 31
    crown_q_lambda: float = 0.0
    crown_q_levels: int = 15
    crown_q_form: str = "mean"  # mean (PR 700) | row-sum (PR 745)

    # artifact
    quant_attn: str = "amax:31"  # method:levels; see submission/quantize
    quant_mlp: str = "amax:31"
    quant_embed: str = "fp16"
    quant_other: str = "quantile:127"
    keep_fp16: tuple[str, ...] = ()  # parts of names
    control_fp32: bool = False  # scales and gates of the blocks in fp32 however small (PR 1384)
    prune_fraction: float = 0.0
    gptq_samples: int = 128
    size_limit: int = 16_000_000

    # evaluation
    eval_stages: tuple[str, ...] = ("roundtrip", "sliding")
    eval_seq_len: int = 2048
    eval_stride: int = 64
    eval_batch_seqs: int = 32
    eval_tail: str = "exact"  # exact | reference
    mixer: str = "hedge-normalised"  # hedge-normalised | hedge-5
    mixer_eta: float = 0.1
    mixer_min_tokens: int = 10_000  # scored tokens before the counts take part
    mixer_update: str = "scored"  # scored | window: which positions teach the mixing weights
    mixer_count_every: str = "batch"  # batch | chunk: when scored tokens reach the counts
    ttt_optimizer: str = "adamw"
    ttt_lr: float = 1e-4
    ttt_momentum: float = 0.9
    ttt_epochs: int = 1
    ttt_chunk_tokens: int = 131_072
    ttt_batch_seqs: int = 32
    ttt_last_blocks: int = 0  # train the last n blocks with norms, scales and head; 0: everything
    ttt_grad_clip: float = 1.0
    ttt_adaptive_lr_max: float = 1.0
    ttt_byte_weighted: bool = False  # PR 700; bits per byte weigh every token alike, so it is no better objective
    ttt_polyak: float = 0.0  # decay of the average that scores; 0: the trained weights score
    ttt_polyak_warmup: bool = (
        False  # the average of n updates weighs the last ten first: decay (1 + n) / (10 + n) at most
    )
    ttt_temperature: float = 1.0  # entropy-adaptive; 1: plain softmax
    ttt_untie: bool = False  # give repeated layers weights of their own before adapting

    def __post_init__(self) -> None:
        check(self)

    @property
    def virtual_layers(self) -> tuple[int, ...]:
        """The block whose weights each executed layer uses, in order, for one run of the stack."""
        if not self.recur_layers:
            return tuple(range(self.num_layers))
        cut = max(self.recur_layers) + 1
        return (*range(cut), *sorted(self.recur_layers), *range(cut, self.num_layers))

    @property
    def head_dim(self) -> int:
        return self.model_dim // self.num_heads

    @property
    def uses_gptq(self) -> bool:
        """Whether any rule of the artifact needs calibration inputs."""
        rules = (self.quant_attn, self.quant_mlp, self.quant_embed, self.quant_other)
        return any(rule.startswith("gptq") for rule in rules)

    @property
    def depth_phases(self) -> tuple[tuple[float, int], ...]:
        """``progressive_depth`` as (until that fraction of the run, repeats), in order.

        Raises:
            InputError: text of another form, a fraction that is none, or more repeats than ``num_repeats``.
        """
        if not self.progressive_depth:
            return ()
        try:
            pairs = [part.split(":") for part in self.progressive_depth.split(",")]
            phases = tuple(sorted((float(until), int(repeats)) for until, repeats in pairs))
        except ValueError:
            phases = ()
        if not phases or not all(0 < until <= 1 and 1 <= repeats <= self.num_repeats for until, repeats in phases):
            expected = f"fraction:repeats,... with fractions up to 1 and 1 to {self.num_repeats} repeats"
            raise InputError("setting progressive_depth", expected, repr(self.progressive_depth))
        return phases

    def fingerprint(self, *, seed: bool = True) -> str:
        """Hash of everything that decides what is trained, so that a checkpoint is not taken for another run's.

        Without ``seed`` it is the same for all seeds of one entry.
        """
        left_out = PLACES if seed else PLACES | {"seed"}
        facts = {k: v for k, v in dataclasses.asdict(self).items() if k not in left_out}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def preset_values(name: str) -> dict[str, Any]:
    """The settings of a preset, its name among them."""
    path = PRESETS / f"{name}.toml"
    if not path.is_file():
        raise InputError(f"preset {name}", "one of " + ", ".join(presets()))
    return {**_from_toml(path), "preset": name}


def presets() -> tuple[str, ...]:
    """Names of the presets that ship."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def load_config(preset: str | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration of a preset with the environment's overrides.

    Raises:
        InputError: an unknown preset, a setting that is none, or a value of the wrong type.
    """
    environment = os.environ if environment is None else environment
    values = preset_values(preset or environment.get("PRESET") or Config.preset)
    for field in dataclasses.fields(Config):
        if field.name != "preset" and field.name.upper() in environment:
            value = _parse(field, environment[field.name.upper()])
            if field.name in FROZEN and value != field.default:
                raise InputError(
                    f"environment variable {field.name.upper()}", f"{field.default!r}, as bundled", repr(value)
                )
            values[field.name] = value
    return Config(**values)


def from_mapping(values: Mapping[str, Any], source: str | Path) -> Config:
    """A configuration from plain JSON values, as an artifact carries it; unknown names are refused."""
    known = {field.name: field for field in dataclasses.fields(Config)}
    if unknown := sorted(set(values) - set(known)):
        raise InputError(source, "known settings", ", ".join(unknown))
    return Config(**{name: _coerce(known[name], value, source) for name, value in values.items()})


def _from_toml(path: Path) -> dict[str, Any]:
    known = {field.name: field for field in dataclasses.fields(Config)}
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    if unknown := sorted(set(table) - set(known)):
        raise InputError(path, "known settings", ", ".join(unknown))
    return {name: _coerce(known[name], value, path) for name, value in table.items()}


def _coerce(field: dataclasses.Field[Any], value: Any, source: str | Path) -> Any:
    if isinstance(field.default, tuple):
        if isinstance(value, list | tuple):
            return tuple(value)
    elif isinstance(field.default, float):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif type(value) is type(field.default):
        return value
    raise InputError(source, f"{field.name} to be a {type(field.default).__name__}", repr(value))


def _parse(field: dataclasses.Field[Any], text: str) -> Any:
    default, source = field.default, f"environment variable {field.name.upper()}"
    try:
        if isinstance(default, bool):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
        if isinstance(default, tuple):
            parts = [part.strip() for part in text.split(",") if part.strip()]
            return tuple(int(p) for p in parts) if field.type == "tuple[int, ...]" else tuple(parts)
    except (ValueError, KeyError):
        kinds = {bool: "0 or 1", int: "an integer", float: "a number", tuple: "numbers separated by commas"}
        raise InputError(source, kinds[type(default)], repr(text)) from None
    return text
