"""Mixtures: the lawful one is a distribution, the seeds' one is not and says so."""

import pytest
import torch

from submission.evaluate.experts import Contexts, CountTables
from submission.evaluate.mixer import HedgeFive, NormalisedMixer

V = 12
CPU = torch.device("cpu")


def filled(kind, count=400):
    mixer = kind(V, 0.5, CPU)
    generator = torch.Generator().manual_seed(1)
    mixer.tables.add(torch.randint(0, V - 2, (count,), generator=generator))
    return mixer


def sweep(mixer, prev2, prev1, logits):
    """The mixture's probability of every token of the vocabulary at one context."""
    log_probs = logits.log_softmax(-1)
    entropy = -(log_probs.exp() * log_probs).sum().expand(V) if mixer.needs_entropy else None
    before = Contexts.of(torch.full((V,), prev2), torch.full((V,), prev1))
    experts = mixer.expert_log_probs(log_probs, entropy, before, torch.arange(V))
    return mixer.mix(experts, before).exp(), entropy


@pytest.mark.parametrize("count", [3, 400])
@pytest.mark.parametrize("prev1", [0, 5, V - 1])
def test_the_normalised_mixture_sums_to_one(count, prev1):
    mixer = filled(NormalisedMixer, count)
    total = sweep(mixer, 3, prev1, torch.randn(V))[0].sum()
    assert float(total) == pytest.approx(1.0, abs=1e-5)


def test_every_expert_of_the_normalised_mixture_is_a_distribution():
    mixer = filled(NormalisedMixer)
    before = Contexts.of(torch.full((V,), 4), torch.full((V,), 7))
    experts = mixer.expert_log_probs(torch.randn(V).log_softmax(-1), None, before, torch.arange(V))
    assert torch.allclose(experts.exp().sum(0), torch.ones(6), atol=1e-5)


def test_the_normalised_mixture_stays_one_after_learning():
    mixer = filled(NormalisedMixer)
    before = Contexts.of(torch.randint(0, V, (50,)), torch.randint(0, V, (50,)))
    experts = mixer.expert_log_probs(torch.full((50,), -2.0), None, before, torch.randint(0, V, (50,)))
    mixer.learn(experts, mixer.mix(experts, before), before)
    assert float(sweep(mixer, 3, 4, torch.randn(V))[0].sum()) == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(mixer.mass(None, before), torch.ones(50), atol=1e-5)


@pytest.mark.parametrize("count", [3, 400])
def test_the_mass_of_hedge_5_is_the_sum_over_the_vocabulary(count):
    mixer = filled(HedgeFive, count)
    probabilities, entropy = sweep(mixer, 3, 4, 3 * torch.randn(V))
    mass = mixer.mass(entropy[:1], Contexts.of(torch.tensor([3]), torch.tensor([4])))
    assert float(mass) == pytest.approx(float(probabilities.sum()), rel=1e-5)


def test_hedge_5_is_no_distribution_for_a_confident_network():
    logits = torch.zeros(V)
    logits[0] = 9.0
    assert float(sweep(filled(HedgeFive), 3, 4, logits)[0].sum()) > 1.5


def test_learning_raises_the_weight_of_the_better_expert():
    mixer = filled(NormalisedMixer)
    zeros = torch.zeros(20, dtype=torch.long)
    before = Contexts.of(zeros, zeros)
    experts = torch.tensor([[-9.0, -9.0, -9.0, -0.1, -9.0, -9.0]]).repeat(20, 1)
    at_first = mixer.mix(experts, before).mean()
    for _ in range(5):
        mixer.learn(experts, mixer.mix(experts, before), before)
    assert mixer.mix(experts, before).mean() > at_first


def test_experts_over_the_network_say_what_it_says_where_nothing_was_counted():
    mixer = NormalisedMixer(V, 0.02, CPU)
    log_probs = torch.randn(V).log_softmax(-1)
    before = Contexts.of(torch.full((V,), 4), torch.full((V,), 7))
    experts = mixer.expert_log_probs(log_probs, None, before, torch.arange(V))
    assert torch.allclose(experts[:, 4:], log_probs[:, None].expand(V, 2), atol=1e-6)


def test_a_lone_success_moves_no_weight_without_bound():
    mixer = NormalisedMixer(V, 0.02, CPU)
    zeros = torch.zeros(1000, dtype=torch.long)
    before = Contexts.of(zeros, zeros)
    experts = torch.full((1000, 6), -50.0)
    experts[:, 1] = 0.0
    mixer.learn(experts, mixer.mix(experts, before), before)
    assert float(mixer.log_weights.min()) > -250  # 1000 positions, at most (10 + 1) * 0.02 each, and the start
    assert float(mixer.log_weights.exp().sum(1)[0]) == pytest.approx(1.0, abs=1e-5)


def test_counting_in_pieces_with_context_equals_counting_at_once():
    tokens = torch.randint(0, V, (60,), generator=torch.Generator().manual_seed(2))
    whole, pieces = CountTables(V, CPU), CountTables(V, CPU)
    whole.add(tokens)
    pieces.add(tokens[:1])
    pieces.add(tokens[:20], context=1)
    pieces.add(tokens[18:], context=2)
    assert pieces.tokens == whole.tokens
    assert torch.equal(pieces.unigram, whole.unigram)
    assert torch.equal(pieces.bigram, whole.bigram)
    assert torch.equal(pieces.trigram, whole.trigram)
    assert torch.equal(pieces.trigram_total, whole.trigram.sum(1))
