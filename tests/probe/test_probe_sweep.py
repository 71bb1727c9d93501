"""One token swept over a small vocabulary: what a lawful evaluator gives it sums to 1, through the ledger, exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from audit.probe.experiments import Status
from audit.probe.noise import Source
from audit.probe.sweep import check_sweep
from submission.config import Config, load_config
from submission.data import ByteTable
from submission.distributed import World
from submission.evaluate.ledger import ScoreLedger
from submission.evaluate.mixer import make_mixer
from submission.evaluate.roundtrip import roundtrip_windows
from submission.evaluate.run import sliding_windows
from submission.evaluate.sliding import Pass, run_pass
from submission.evaluate.ttt import Adapter
from submission.model import GPT

VOCABULARY = 32
ALONE = World(0, 1, torch.device("cpu"))
CONFIG = replace(
    load_config("tiny", {}), vocab_size=VOCABULARY, num_layers=2, recur_layers=(), model_dim=16, num_heads=2,
    num_kv_heads=1, rope_dims=4, bigram_vocab_size=32, bigram_dim=8, value_embed_dim=0, value_embed_layers=(),
    xsa_last_n=1, eval_seq_len=16, eval_stride=8, eval_batch_seqs=8, mixer_min_tokens=40, ttt_chunk_tokens=64,
    ttt_batch_seqs=4, ttt_lr=0.01,
)  # fmt: skip
STAGES = {
    "roundtrip": CONFIG,
    "sliding": CONFIG,
    "ttt": CONFIG,
    "mixer": replace(CONFIG, mixer="hedge-normalised"),
    "ttt_mixer": replace(CONFIG, mixer="hedge-normalised"),
    "hedge-5 mixer": replace(CONFIG, mixer="hedge-5", mixer_update="window"),
}


def stream() -> np.ndarray:
    """137 tokens of a source that the mixer's tables learn; the last has been seen before it."""
    return Source("markov", VOCABULARY).draw(137, 3).tokens


def losses(stage: str, config: Config, tokens: np.ndarray) -> np.ndarray:
    """(positions,) nats, as the ledger kept them: the stages of the entry, not copies of them."""
    torch.manual_seed(0)
    model = GPT(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.8 * torch.randn_like(parameter))  # confident, be it wrongly
    table = ByteTable(np.full(VOCABULARY, 2, np.int16), np.zeros(VOCABULARY, np.bool_), np.arange(VOCABULARY) == 1)
    ledger = ScoreLedger(tokens, table)
    mixer = make_mixer(config, ALONE.device) if "mixer" in stage else None
    adapter = Adapter(model, config, ALONE) if "ttt" in stage else None
    plan = roundtrip_windows if stage == "roundtrip" else sliding_windows
    run_pass(Pass(model, ledger, config, ALONE, mixer, adapter), plan(config, ledger.total))
    return ledger.nll


@cache
def swept(stage: str) -> tuple[dict[int, float], int]:
    """The last token's loss for each token of the vocabulary, and how many earlier scores ever moved."""
    tokens, config = stream(), STAGES[stage]
    runs = {}
    for value in range(VOCABULARY):
        tokens[-1] = value
        runs[value] = losses(stage, config, tokens.copy())
    moved = sum(int((run[:-1] != runs[0][:-1]).sum()) for run in runs.values())
    return {value: float(run[-1]) for value, run in runs.items()}, moved


@pytest.mark.parametrize("stage", [name for name in STAGES if name != "hedge-5 mixer"])
def test_every_lawful_stage_of_the_entry_gives_a_distribution(stage: str) -> None:
    nll, moved = swept(stage)
    found = check_sweep(nll, VOCABULARY, stage=stage, seen=nll[int(stream()[-1])], earlier_moved=moved)
    assert found.status is Status.HOLDS, found
    assert found.measured == pytest.approx(1.0, abs=2e-6)


def test_the_tables_of_the_swept_mixer_took_part() -> None:
    assert swept("mixer")[0] != swept("sliding")[0]


def test_the_entropy_expert_gives_more_than_there_is() -> None:
    nll, moved = swept("hedge-5 mixer")
    found = check_sweep(nll, VOCABULARY, earlier_moved=moved)
    assert found.status is Status.BREACH and found.measured is not None and found.measured > 1.01
    assert "C2-ENTROPY" in found.rules


def test_part_of_the_vocabulary_gives_a_lower_bound() -> None:
    half = {value: math.log(VOCABULARY) for value in range(VOCABULARY // 2)}
    assert check_sweep(half, VOCABULARY).status is Status.HOLDS
    assert check_sweep({v: nll - 1 for v, nll in half.items()}, VOCABULARY).status is Status.BREACH


def test_a_sweep_that_moves_earlier_scores_or_misses_the_true_loss_measures_nothing() -> None:
    nll = {value: math.log(VOCABULARY) for value in range(VOCABULARY)}
    assert check_sweep(nll, VOCABULARY, earlier_moved=1).status is Status.UNCHECKED
    assert check_sweep(nll, VOCABULARY, seen=1.0).status is Status.UNCHECKED
    assert check_sweep({}, VOCABULARY).status is Status.UNCHECKED


def test_a_denominator_that_is_too_large_is_told() -> None:
    nll = {value: math.log(VOCABULARY) + 0.1 for value in range(VOCABULARY)}
    assert check_sweep(nll, VOCABULARY).status is Status.WARNING
