"""Passes over a validation split: what each stage scores, and that nothing is learnt before it is scored."""

import dataclasses

import numpy as np
import pytest
import torch

from submission.artifact import Artifact
from submission.distributed import World
from submission.evaluate.ledger import ScoreLedger, UnscoredError
from submission.evaluate.mixer import NormalisedMixer, make_mixer
from submission.evaluate.network import with_temperature
from submission.evaluate.run import evaluate, sliding_windows, stage_name
from submission.evaluate.sliding import Pass, run_pass
from submission.evaluate.ttt import Adapter, adapted, learning_rate, polyak_decay
from submission.model import GPT
from submission.model.state import model_state
from submission.quantize.plan import quantise

ALONE = World(0, 1, torch.device("cpu"))


def network(config, seed=0):
    torch.manual_seed(seed)
    model = GPT(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return model


def losses(config, tokens, table, stage):
    """Per-position NLL of a stage on a fresh copy of the same network."""
    model = network(config)
    ledger = ScoreLedger(tokens, table, allow_tail=config.eval_tail == "reference")
    mixer = make_mixer(config, ALONE.device) if "mixer" in stage else None
    adapter = Adapter(model, config, ALONE) if "ttt" in stage else None
    run_pass(Pass(model, ledger, config, ALONE, mixer, adapter), sliding_windows(config, ledger.total))
    return ledger.nll


STAGES = ("sliding", "ttt", "mixer", "ttt_mixer")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("mixer", ["hedge-normalised", "hedge-5"])
def test_a_changed_token_changes_no_earlier_score(small, tokens, table, stage, mixer):
    config = dataclasses.replace(small, mixer=mixer)
    changed = tokens.copy()
    changed[200:] = (changed[200:] + 7) % 60 + 2
    before, after = (losses(config, t, table, stage) for t in (tokens, changed))
    assert np.array_equal(before[:199], after[:199])
    assert not np.allclose(before[199:], after[199:])


@pytest.mark.parametrize("stage", STAGES)
def test_a_truncated_stream_has_the_same_scores_as_far_as_it_goes(small, tokens, table, stage):
    # the last chunk is not trained on and the rate follows the number of chunks, so compare the first chunk
    whole, part = losses(small, tokens, table, stage), losses(small, tokens[:150], table, stage)
    assert np.allclose(whole[:64], part[:64], atol=1e-6)


def test_sliding_scores_are_those_of_one_window_at_a_time(small, tokens, table):
    scored = losses(small, tokens, table, "sliding")
    model = network(small)
    with torch.no_grad():
        window = torch.from_numpy(tokens[16:33].astype(np.int64))
        logits = model.forward_logits(window[None, :16])[0]
    expected = torch.nn.functional.cross_entropy(logits, window[1:], reduction="none")
    assert np.allclose(scored[24:32], expected[8:].numpy(), atol=1e-5)


def test_adaptation_learns_from_what_was_scored(small, tokens, table):
    config = dataclasses.replace(small, ttt_lr=0.01, ttt_epochs=3, ttt_polyak=0.0)
    assert losses(config, tokens, table, "ttt")[128:].mean() < losses(config, tokens, table, "sliding")[128:].mean()


def test_counting_what_was_scored_helps(small, tokens, table):
    assert losses(small, tokens, table, "mixer")[100:].mean() < losses(small, tokens, table, "sliding")[100:].mean()


def test_mixing_weights_learn_within_a_batch_of_windows_from_earlier_ones_only(small, tokens, table, monkeypatch):
    config = dataclasses.replace(small, eval_batch_seqs=10, mixer_min_tokens=16, mixer_eta=0.5)
    changed = tokens.copy()
    changed[150:] = (changed[150:] + 7) % 60 + 2
    monkeypatch.setattr(NormalisedMixer, "learns_every", 8)
    before, after = (losses(config, t, table, "mixer") for t in (tokens, changed))
    assert np.array_equal(before[:149], after[:149])
    monkeypatch.setattr(NormalisedMixer, "learns_every", 0)
    assert not np.array_equal(losses(config, tokens, table, "mixer")[:149], before[:149])


def test_training_on_an_unscored_chunk_raises(small, tokens, table):
    ledger = ScoreLedger(tokens, table)
    with pytest.raises(UnscoredError):
        Adapter(network(small), small, ALONE).train(ledger, 0, 64, 0, 4)


def test_the_average_of_few_updates_is_not_held_at_the_start(small):
    seeds, ours = (dataclasses.replace(small, ttt_polyak=0.998, ttt_polyak_warmup=warm) for warm in (False, True))
    assert [polyak_decay(seeds, n) for n in (1, 10_000)] == [0.998, 0.998]
    assert polyak_decay(ours, 1) == pytest.approx(2 / 11)
    assert polyak_decay(ours, 10_000) == 0.998


def test_polyak_averaged_weights_score_and_the_trained_ones_train(small, tokens, table):
    config = dataclasses.replace(small, ttt_polyak=0.9, ttt_lr=0.01)
    model = network(config)
    adapter = Adapter(model, config, ALONE)
    ledger = ScoreLedger(tokens, table)
    ledger.record(0, torch.ones(64))
    adapter.train(ledger, 0, 64, 0, 4)
    trained = model.blocks[-1].attn.c_q.weight.detach().clone()
    adapter.begin_scoring(1)
    assert not torch.equal(model.blocks[-1].attn.c_q.weight, trained)
    adapter.end_scoring(1)
    assert torch.equal(model.blocks[-1].attn.c_q.weight, trained)


def test_the_last_blocks_and_every_scale_adapt_in_pr700(small):
    model = network(small)
    names = {name for name, p in model.named_parameters() if any(p is q for q in adapted(model, 1))}
    assert "blocks.0.attn_scale" in names
    assert "blocks.3.attn.c_q.weight" in names
    assert not {"blocks.0.attn.c_q.weight", "tok_emb.weight"} & names


def test_the_adaptation_rate_is_a_cosine_times_a_ramp(small):
    config = dataclasses.replace(small, ttt_lr=1.0, ttt_adaptive_lr_max=3.0)
    assert learning_rate(config, 0, 11) == pytest.approx(1.0)
    assert learning_rate(config, 5, 11) == pytest.approx(0.5 * 3.0)
    assert learning_rate(config, 10, 11) == pytest.approx(0.0)


def test_the_adaptive_temperature_leaves_a_distribution_and_sharpens_the_confident():
    logits = torch.tensor([[9.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    scaled = with_temperature(logits, 0.98)
    assert scaled[0, 0] == pytest.approx(9.0 / 0.98, rel=1e-2)
    assert torch.equal(scaled[1], logits[1])


def test_the_reference_tail_of_an_adapting_pass_leaves_out_short_windows(small):
    config = dataclasses.replace(small, eval_tail="reference", eval_seq_len=8, eval_stride=4, ttt_chunk_tokens=8)
    plain, adapting = (sliding_windows(config, 18, adapting=adapting) for adapting in (False, True))
    assert [(w.start, w.first, w.stop) for w in plain] == [(0, 0, 8), (4, 8, 12), (8, 12, 16), (12, 12, 16)]
    assert plain == adapting
    config = dataclasses.replace(config, eval_stride=3)
    plain, adapting = (sliding_windows(config, 18, adapting=adapting) for adapting in (False, True))
    assert [w.start for w in plain] == [0, 3, 6, 9, 12, 15]
    assert [w.start for w in adapting] == [0, 3, 6, 9, 12]


def test_the_reference_tail_counts_the_end_again_and_says_so(small, tokens, table):
    config = dataclasses.replace(small, eval_tail="reference", eval_stages=("roundtrip", "sliding"))
    stored = quantise(
        dataclasses.replace(config, quant_attn="amax:31", quant_mlp="amax:31"), model_state(network(config))
    )
    lines = []
    roundtrip, sliding = evaluate(Artifact(config, stored, table), tokens, ALONE, lines.append)
    assert (roundtrip.score.dropped, roundtrip.score.repeated) == (300 % 16, 0)
    assert (sliding.score.dropped, sliding.score.repeated) == (300 % 16, 8)
    assert any(line.startswith("tail:reference dropped:12 counted_again:8") for line in lines)


def test_a_run_of_hedge_5_says_that_it_is_no_distribution(small, tokens, table):
    config = dataclasses.replace(small, mixer="hedge-5", eval_stages=("mixer",))
    lines = []
    (result,) = evaluate(
        Artifact(config, quantise(config, model_state(network(config))), table), tokens, ALONE, lines.append
    )
    assert any("not a probability distribution" in line for line in lines)
    assert result.mass is not None
    assert result.mass > 1.0
    assert result.renormalised_bpb > result.score.val_bpb
    assert result.stage == "hedge_five"


def test_a_lawful_mixture_has_its_name_and_mass_one(small, tokens, table):
    config = dataclasses.replace(small, eval_stages=("mixer",))
    lines = []
    (result,) = evaluate(
        Artifact(config, quantise(config, model_state(network(config))), table), tokens, ALONE, lines.append
    )
    assert stage_name(config, "mixer") == result.stage == "hedge_normalised"
    assert result.mass == pytest.approx(1.0, abs=1e-5)
    assert not any("not a probability distribution" in line for line in lines)
