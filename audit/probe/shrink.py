"""Toy sizes for a trainer's own settings: which names are made small, and how small."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

VOCABULARY = 1024
SEQ_LEN = 128
STRIDE = 64
HEADS = 4
HEAD_DIM = 16
MODEL_DIM = HEADS * HEAD_DIM
STEPS = 12
BATCH_TOKENS = 2048
TTT_CHUNK = 2048
AVERAGE_DECAY = (
    0.5  # of a mean of weights: its length in steps is a size too, else after 12 steps it is the first weights
)


@dataclass(frozen=True)
class Toy:
    """How large a probe run is; ``steps`` of training, ``hash_buckets`` of every n-gram table that can be set.

    Without ``widths`` the network keeps the submission's own: slower, for code that fixes some of them. With
    ``constants`` the sizes that stand in the code itself are made small, too (audit/probe/child/constants.py);
    without ``fixed`` not even those of ``fixed_value``.
    """

    steps: int = STEPS
    vocabulary: int = VOCABULARY
    hash_buckets: int = 4096
    widths: bool = True
    stride: int = STRIDE
    constants: bool = False
    fixed: bool = True


def toy_value(name: str, default: str | None, toy: Toy) -> str | None:
    """What setting ``name`` is set to, given the submitted value; None leaves it as it is.

    Only sizes, lengths and counts are touched, and only downwards (a switch, a rate or a rule of the evaluation is the
    submission's own). The value 0, which often means "off" or "as the other one", stays.
    """
    text = (default or "").strip().strip("'\"").replace("_", "")
    if re.fullmatch(_AVERAGES, name):
        return average_value(text)
    number = _number(text)
    for pattern, value in _RULES:
        if re.fullmatch(pattern, name):
            if not toy.widths and re.fullmatch(_WIDTHS, name):
                return None
            if text and number is None:
                return None
            wanted = value(number, toy)
            if wanted is None or (number is not None and number in (0, wanted)):
                return None
            return str(wanted)
    return None


def average_value(default: str | None) -> str | None:
    return str(AVERAGE_DECAY) if _real(default or "") > AVERAGE_DECAY else None


def fixed_value(name: str, default: str | None, toy: Toy) -> str | None:
    """The same for what hundreds of trainers fix in their code, whatever else they take as settings: the decay of a
    mean of weights, and tables of hashed contexts, which the toy stream would leave without the collisions that the
    validation data bring about."""
    if re.fullmatch(_AVERAGES, name):
        return average_value(default)
    if re.fullmatch(r"(.*_)?(BUCKETS|HASH_SIZE|HASH_BINS|TABLE_SIZE|TRI_HASH|QUAD_HASH)", name):
        return _capped(default, toy.hash_buckets)
    return None


def _capped(default: str | None, limit: int) -> str | None:
    number = _number(default or "")
    return str(limit) if number is not None and number > limit else None


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _number(text: str) -> int | None:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


def _cap(limit: int) -> Callable[[int | None, Toy], int | None]:
    return lambda number, toy: limit if number is None or number > limit else None


def _kv_heads(number: int | None, toy: Toy) -> int | None:
    if number is None:
        return HEADS // 2
    return {1: 1, 2: 1, 4: HEADS // 2}.get(number, HEADS)


def _buckets(number: int | None, toy: Toy) -> int | None:
    return toy.hash_buckets if number is None or number > toy.hash_buckets else None


def _chunk(number: int | None, toy: Toy) -> int | None:
    """A chunk within a window (of a document's own adapter) stays one, a chunk of many windows as well."""
    return _cap(STRIDE if number is not None and number <= 1024 else TTT_CHUNK)(number, toy)


def _embedding(number: int | None, toy: Toy) -> int | None:
    return MODEL_DIM if number is None or number >= 512 else min(number, MODEL_DIM // 2)


_AVERAGES = r"(.*_)?EMA_DECAY|(.*_)?EMA_BETA"
_WIDTHS = r"D_MODEL|D_INNER|HIDDEN_SIZE|HIDDEN|N_EMBD|(.*_)?DIMS?|(NUM|N)_(KV_)?HEADS?|MLP_HIDDEN|INTERMEDIATE_SIZE"
# The first pattern that matches the whole name decides.
_RULES: tuple[tuple[str, Callable[[int | None, Toy], int | None]], ...] = (
    # A kernel that only a GPU runs, where the trainer has a switch for it; one that is not a plain 0 or 1 stays.
    (r"(USE_)?(FUSED|TRITON|CUTLASS)(_.*)?|.*_(TRITON|CUTLASS)", lambda number, toy: 0 if number == 1 else None),
    (r"VOCAB_SIZE", lambda number, toy: toy.vocabulary if number is None or number > toy.vocabulary else None),
    (r"(NUM_ITERATIONS|ITERATIONS|MAX_STEPS|TRAIN_STEPS|NUM_STEPS|TOTAL_STEPS)", lambda number, toy: toy.steps),
    (r"(WARMUP_STEPS|COMPILE_WARMUP_STEPS)", _cap(1)),
    (r"(LR_)?WARMUP_(ITERS|ITERATIONS)", _cap(2)),
    (r"(WARMDOWN_ITERS|WARMDOWN_STEPS|COOLDOWN_ITERS)", lambda number, toy: toy.steps // 2),
    (r".*MOMENTUM_WARMUP_STEPS", _cap(5)),
    (r"(VAL_LOSS_EVERY|EVAL_EVERY)", lambda number, toy: None),
    (r"TRAIN_LOG_EVERY", _cap(10)),
    (r"(SWA_EVERY|LAWA_FREQ|EMA_EVERY|SWA_INTERVAL|SNAPSHOT_EVERY)", _cap(2)),
    (r"(RECUR_START_STEP|.*_START_STEP)", _cap(10)),
    (r"(MODEL_DIM|D_MODEL|HIDDEN_SIZE|HIDDEN|N_EMBD|DIM)", lambda number, toy: MODEL_DIM),
    (r"(NUM_HEADS|N_HEADS|N_HEAD)", lambda number, toy: HEADS),
    (r"(NUM_KV_HEADS|N_KV_HEADS?)", _kv_heads),
    (r"HEAD_DIM", lambda number, toy: HEAD_DIM),
    (r"(EMBEDDING_DIM|EMBED_DIM|EMB_DIM)", _embedding),
    (r"(MLP_HIDDEN|FFN_DIM|MLP_DIM|INTERMEDIATE_SIZE)", _cap(3 * MODEL_DIM)),
    (r"D_INNER", _cap(2 * MODEL_DIM)),
    (r"ROPE_DIMS?", _cap(HEAD_DIM // 2)),
    (r"(.*_)?(VE|BIGRAM|TRIGRAM|NGRAM|HASH|PLE|INST|CODEBOOK|BOTTLENECK|LATENT)(_HASH)?(_EMBED)?_DIM", _cap(16)),
    (r"(.*_)?(BIGRAM|TRIGRAM|NGRAM)(_HASH)?_(VOCAB_SIZE|TABLE_SIZE)", _cap(2048)),
    (r"(.*_)?BIGRAM(_HASH)?_BUCKETS", _cap(2048)),
    (r".*BUCKETS", _buckets),
    (r"(.*_)?(SEQ_LEN|SEQLEN|SEQUENCE_LENGTH|CONTEXT_LENGTH|BLOCK_LEN|MAX_SEQ_LEN)", _cap(SEQ_LEN)),
    (r"(.*_)?(CTX|CONTEXT)(_LEN)?|BLOCK_SIZE", _cap(SEQ_LEN)),
    (r"(.*_)?STRIDE", lambda number, toy: _cap(toy.stride)(number, toy)),
    (
        r"(.*_)?(TRAIN_BATCH_TOKENS|TRAIN_BATCH_SIZE|TOTAL_BATCH_TOKENS|TOTAL_BATCH_SIZE|MICROBATCH_TOKENS)|BATCH_TOKENS",
        _cap(BATCH_TOKENS),
    ),
    (r"(.*_)?VAL_BATCH_(SIZE|TOKENS)|EVAL_BATCH_TOKENS", _cap(4 * BATCH_TOKENS)),
    (r"(.*_)?(EVAL|TTT|SLOT|SW|VAL)(_EVAL)?_BATCH(_SEQS|_SIZE|ES)?", _cap(32)),
    (r"(.*_)?CHUNK_TOKENS|.*_CHUNK_TOKENS", _cap(TTT_CHUNK)),
    (r"(.*_)?TTT(_.*)?_CHUNK(_SIZE)?", _chunk),
    (r"(.*_)?TTT(_.*)?_EPOCHS", _cap(4)),
    (r"(.*_)?SLOT(_.*)?_STEPS", _cap(8)),
    (r".*CALIB(RATION)?_(BATCHES|SAMPLES|SEQS|NSAMPLES|NUM_SEQS|TOKENS|N_SEQS|ITERS)", _cap(8)),
    (r"(AR_.*|SELFGEN.*|.*SELF_GEN.*)_(SEQS|SAMPLES|NUM_SEQS|NSEQS)", _cap(8)),
    (r"(?!LOCAL_|GLOBAL_|NODE_|GROUP_|SIMULATED_).+_RANK", _cap(8)),
    (r"(TTT_)?PREFIX_DOCS|PHASED_TTT_PREFIX_DOCS", _cap(4)),
    (r"GRAD_ACCUM_STEPS", _cap(4)),
    (r"(ZSTD_LEVEL|BROTLI_QUALITY)", _cap(5)),
    (r"(DISTILL_STEPS|.*BURST_STEPS)", _cap(8)),
)
