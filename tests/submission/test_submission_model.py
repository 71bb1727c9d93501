"""The network: causality, shared matrices, quantisation in training, optimizers and schedules."""

import dataclasses

import pytest
import torch

from submission.averaging import WeightAverage
from submission.config import load_config
from submission.distributed import World
from submission.model import GPT
from submission.model.embeddings import SmearGate
from submission.model.state import load_state, model_state
from submission.optim import Muon, make_optimizers, orthogonalise, parameter_groups, set_momentum
from submission.quantize.penalty import crown_q, rounded_layers, start_qat
from submission.quantize.plan import prune, quantise
from submission.schedule import lr_scale, muon_momentum, repeats_at

ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture
def model(small):
    torch.manual_seed(0)
    model = GPT(small)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def test_no_output_depends_on_a_later_token(model):
    tokens = torch.randint(0, 64, (1, 16))
    changed = tokens.clone()
    changed[0, 9:] = (changed[0, 9:] + 5) % 64
    with torch.no_grad():
        before, after = model.forward_logits(tokens), model.forward_logits(changed)
    assert torch.equal(before[0, :9], after[0, :9])
    assert not torch.allclose(before[0, 9:], after[0, 9:])


def test_nothing_is_smeared_into_the_start_of_a_document():
    gate = SmearGate(4, boundary=1)
    x, tokens = torch.randn(1, 3, 4), torch.tensor([[5, 1, 6]])
    with torch.no_grad():
        y = gate(x, tokens)
    assert torch.allclose(y[0, 1], 0.5 * x[0, 1])
    assert torch.allclose(y[0, 2], 0.5 * (x[0, 1] + x[0, 2]))


def test_a_layer_that_runs_twice_shares_its_matrices_until_untied(model):
    first, second = model.blocks[1], model.blocks[2]
    assert first.attn.c_q is second.attn.c_q
    assert first.attn_scale is not second.attn_scale
    tokens = torch.randint(0, 64, (1, 8))
    with torch.no_grad():
        before = model.forward_logits(tokens)
        model.untie_repeated_layers()
        assert torch.equal(model.forward_logits(tokens), before)
    assert first.attn.c_q is not second.attn.c_q


def test_a_state_goes_into_a_fresh_model(model, small):
    fresh = GPT(small)
    load_state(fresh, model_state(model))
    tokens = torch.randint(0, 64, (1, 8))
    with torch.no_grad():
        assert torch.equal(fresh.forward_logits(tokens), model.forward_logits(tokens))


def test_every_parameter_is_trained_by_exactly_one_optimizer(model, small):
    groups = [id(p) for group in parameter_groups(model, small) for p in group]
    assert sorted(groups) == sorted(id(p) for p in model.parameters())


def test_muon_takes_the_step_of_the_contests_formula(small):
    weight, gradient = torch.randn(8, 4), torch.randn(8, 4)
    parameter = weight.clone().requires_grad_()
    optimizer = Muon([parameter], small, ALONE)
    parameter.grad = gradient.clone()
    optimizer.step()
    update = orthogonalise((gradient + small.muon_momentum * gradient)[None], 5)[0] * 2**0.5
    expected = weight * (1 - small.matrix_lr * small.muon_wd) - small.matrix_lr * update
    assert torch.allclose(parameter, expected, atol=1e-6)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9 has no Muon")
@pytest.mark.parametrize("momenta", [(0.95, 0.95, 0.95, 0.95), (0.85, 0.9, 0.97, 0.99)])
def test_muon_agrees_with_torch_also_while_momentum_grows(small, momenta):
    torch.manual_seed(1)
    ours, theirs = (torch.ones(6, 10).requires_grad_() for _ in range(2))
    mine = Muon([ours], small, ALONE)
    other = torch.optim.Muon(
        [theirs], lr=small.matrix_lr, momentum=small.muon_momentum, weight_decay=small.muon_wd, adjust_lr_fn="original"
    )
    for momentum in momenta:
        gradient = torch.randn(6, 10)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in (mine, other):
            set_momentum(optimizer, momentum)
            optimizer.step()
    summed, mean = mine.state[ours]["momentum_buffer"], other.state[theirs]["momentum_buffer"]
    assert torch.allclose((1 - momenta[-1]) * summed, mean, atol=1e-6)
    assert torch.allclose(ours, theirs, atol=2e-3)  # torch iterates in bfloat16


def test_orthogonalised_updates_have_singular_values_near_one():
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 12, 20), 5))
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_the_learning_rate_falls_to_nothing_at_the_last_step():
    config = dataclasses.replace(load_config("tiny", {}), iterations=100, warmdown_iters=40)
    assert [lr_scale(config, step, 0.0) for step in (0, 59, 60, 80, 100)] == [1.0, 1.0, 1.0, 0.5, 0.0]


def test_with_a_time_limit_the_learning_rate_follows_the_clock():
    config = load_config("pr700", {})
    assert lr_scale(config, 100, 10.0) == 1.0
    assert lr_scale(config, 5000, 582.0) == 0.0
    assert lr_scale(config, 3500, 291.0) == pytest.approx(1.0)


def test_momentum_grows_over_its_warm_up():
    config = load_config("pr162", {})
    assert [round(muon_momentum(config, step), 4) for step in (0, 750, 1500, 9000)] == [0.92, 0.955, 0.99, 0.99]


def test_depth_grows_at_the_fractions_of_the_run():
    config = load_config("pr1384", {})
    assert [repeats_at(config, 0, seconds) for seconds in (0, 239, 241, 389, 391, 600)] == [2, 2, 3, 3, 4, 4]


def test_an_average_of_snapshots_is_their_mean(model, small):
    config = dataclasses.replace(small, ema_decay=0.0, swa_every=1, swa_start_frac=0.5)
    average = WeightAverage(config, model)
    states = []
    for step in range(1, 4):
        with torch.no_grad():
            model.tok_emb.weight.add_(1.0)
        states.append(model.tok_emb.weight.detach().clone())
        average.after_step(model, step, 0.4, full_depth=True)
    average.after_step(model, 4, 0.6, full_depth=True)
    average.apply(model)
    assert torch.allclose(model.tok_emb.weight, torch.stack(states).mean(0), atol=1e-5)


def test_late_quantisation_rounds_only_in_training(model, small):
    tokens = torch.randint(0, 64, (1, 8))
    with torch.no_grad():
        model.eval()
        before = model.forward_logits(tokens)
        start_qat(model, dataclasses.replace(small, qat_levels=3))
        assert torch.equal(model.forward_logits(tokens), before)
        model.train()
        assert not torch.allclose(model.forward_logits(tokens), before, atol=1e-3)


def test_pr745_rounds_only_the_projections_of_its_embeddings():
    with torch.device("meta"):
        model = GPT(load_config("pr745", {}))
    assert len(rounded_layers(model, model.config)) == 2


def test_the_crown_q_penalty_is_its_formula(model, small):
    config = dataclasses.replace(small, crown_q_lambda=0.5, crown_q_levels=7)
    expected = 0.0
    for layer in rounded_layers(model, config):
        weight = layer.weight.detach()
        delta = weight.abs().amax(1, keepdim=True) / 7
        expected += float((weight**2 * delta**2).mean())
    assert float(crown_q(model, config).detach()) == pytest.approx(0.5 * expected / 12, rel=1e-5)


def test_pruning_zeroes_the_smallest_share_of_large_matrices():
    state = {"a": torch.randn(300, 300), "b": torch.randn(9, 9)}
    pruned = prune(state, 0.1)
    assert float((pruned["a"] == 0).float().mean()) == pytest.approx(0.1, abs=1e-3)
    assert torch.equal(pruned["b"], state["b"])


def test_pr162_keeps_its_embedding_and_last_key_in_fp16():
    torch.manual_seed(0)
    state = {
        name: torch.randn(600, 300)
        for name in ("tok_emb.weight", "blocks.8.attn.c_k.weight", "blocks.7.attn.c_k.weight")
    }
    kept = {name: stored.values.dtype for name, stored in quantise(load_config("pr162", {}), state).items()}
    assert list(kept.values()) == [torch.float16, torch.float16, torch.int8]


def test_optimizers_carry_the_rates_of_the_configuration(model, small):
    optimizers = make_optimizers(model, small, ALONE)
    assert {name: o.param_groups[0]["base_lr"] for name, o in optimizers.items()} == {
        "tables": small.token_lr,
        "matrices": small.matrix_lr,
        "scalars": small.scalar_lr,
    }


@pytest.mark.slow
def test_the_whole_step_is_one_graph_for_torch_compile(small):
    """Captured whole, with its backward pass; without code generation, which takes a compiler and a minute."""
    torch.manual_seed(0)
    model = GPT(small).train()
    start_qat(model, small)
    tokens = torch.randint(0, small.vocab_size, (2, small.train_seq_len + 1))
    compiled = torch.compile(model, dynamic=False, fullgraph=True, backend="aot_eager")
    gradients = []
    for forward in (model, compiled):
        model.zero_grad()
        forward(tokens[:, :-1], tokens[:, 1:]).backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for plain, captured in zip(*gradients, strict=True):
        assert torch.allclose(plain, captured, atol=1e-6)
