"""Online mixtures of the network with n-gram counts: the seeds' five-expert one and a lawful, normalised one."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from submission.config import Config
from submission.evaluate.experts import Contexts, CountTables

NEURAL_HEAD_START = 2.0  # log-weight of the network at the beginning
WEIGHT_BUCKETS = 8
LARGEST_GRADIENT = 10.0  # an expert that alone foresaw a token gets no more of a step than this times eta
FIRST_LOG_WEIGHTS = [2.0, -2.0, -2.0, -1.0, 1.0, 1.0]  # of the normalised mixture's experts
BIGRAM_PRIOR, TRIGRAM_PRIOR = 16.0, 4.0  # tokens that the shorter context counts for
NETWORK_BIGRAM_PRIOR, NETWORK_TRIGRAM_PRIOR = 16.0, 2.0  # the same where the shortest context is the network


class Mixer(Protocol):
    """What the evaluator asks of a mixer; all tensors are one row a position."""

    needs_entropy: bool
    counts_slices: bool
    learns_every: int  # scored positions after which the weights move; 0: after each batch of windows
    tables: CountTables

    def expert_log_probs(
        self, neural: Tensor, entropy: Tensor | None, contexts: Contexts, targets: Tensor
    ) -> Tensor: ...

    def mix(self, log_probs: Tensor, contexts: Contexts) -> Tensor: ...

    def mass(self, entropy: Tensor | None, contexts: Contexts) -> Tensor: ...

    def learn(self, log_probs: Tensor, mixed: Tensor, contexts: Contexts) -> None: ...


def make_mixer(config: Config, device: torch.device) -> Mixer:
    kind = HedgeFive if config.mixer == "hedge-5" else NormalisedMixer
    return kind(config.vocab_size, config.mixer_eta, device)


class HedgeFive:
    """PR 688's mixer as PRs 700, 745, 1384 and 1453 run it. It is not a probability distribution.

    Its fifth expert gives every token the probability exp(-H), H the network's entropy: over a vocabulary of V that
    sums to V exp(-H) >= 1. ``mass`` says by how much a mixture exceeds or misses 1.
    """

    needs_entropy = True
    counts_slices = True
    learns_every = 0

    def __init__(self, vocab: int, eta: float, device: torch.device) -> None:
        self.tables, self.eta, self.vocab = CountTables(vocab, device), eta, vocab
        self.log_weights = torch.tensor([NEURAL_HEAD_START, 0.0, 0.0, 0.0, 0.0], device=device)

    def expert_log_probs(self, neural: Tensor, entropy: Tensor | None, contexts: Contexts, targets: Tensor) -> Tensor:
        """(positions, 5): network, unigram, bigram, trigram, and the entropy expert's constant."""
        assert entropy is not None
        tables, vocab, prev1, row = self.tables, self.vocab, contexts.prev1, contexts.row
        unigram = (tables.unigram[targets] + 0.1) / (tables.tokens + 0.1 * vocab)
        bigram = (tables.bigram[prev1, targets] + 0.1) / (tables.bigram_total[prev1] + 0.1 * vocab)
        trigram = (tables.trigram[row, targets] + 0.01) / (tables.trigram_total[row].clamp(min=1) + 0.01 * vocab)
        return torch.stack([neural, unigram.log(), bigram.log(), trigram.log(), -entropy]).t()  # columns lie together

    def mix(self, log_probs: Tensor, contexts: Contexts) -> Tensor:
        """log of the weighted sum of the experts' numbers, (positions,)."""
        return torch.logsumexp(log_probs + torch.log_softmax(self.log_weights, dim=0), dim=-1)

    def mass(self, entropy: Tensor | None, contexts: Contexts) -> Tensor:
        """Sum of the mixture over the whole vocabulary, (positions,): 1 would be a distribution."""
        assert entropy is not None
        weights = torch.softmax(self.log_weights, dim=0)
        total, floor = self.tables.trigram_total[contexts.row], 0.01 * self.vocab
        trigram = (total + floor) / (total.clamp(min=1) + floor)
        return weights[:3].sum() + weights[3] * trigram + weights[4] * self.vocab * torch.exp(-entropy)

    def learn(self, log_probs: Tensor, mixed: Tensor, contexts: Contexts) -> None:
        """Hedge: each expert's log-weight falls by eta times its mean loss on scored positions."""
        self.log_weights += self.eta * log_probs.mean(dim=0)


class NormalisedMixer:
    """A convex mixture of distributions over the vocabulary, so itself one, with weights learnt after scoring.

    Experts: the network; unigram with add-0.1 smoothing; bigram whose missing mass goes to the unigram; trigram of a
    hashed context row whose missing mass goes to the bigram; and bigram and trigram once more, with the network at the
    bottom in the place of the unigram (Dirichlet priors throughout, so that empty rows are distributions too). Where
    nothing was counted the last two say what the network says, so that they cost nothing before they know something;
    unigram, bigram and trigram know nothing of the network and begin with little weight.

    Weights depend on how often the context row was seen, which is known before the target, and follow the mixture's own
    loss by exponentiated gradient (Kivinen and Warmuth, 1997), a step for every ``learns_every`` scored positions:
    ``eta`` a position, so that rare contexts move less.
    """

    needs_entropy = False
    counts_slices = False
    learns_every = 128

    def __init__(self, vocab: int, eta: float, device: torch.device) -> None:
        self.tables, self.eta, self.vocab = CountTables(vocab, device), eta, vocab
        self.log_weights = torch.tensor(FIRST_LOG_WEIGHTS, device=device).repeat(WEIGHT_BUCKETS, 1)

    def expert_log_probs(self, neural: Tensor, entropy: Tensor | None, contexts: Contexts, targets: Tensor) -> Tensor:
        """(positions, 6): network, unigram, bigram, trigram, bigram over network, trigram over that bigram."""
        tables, prev1, row = self.tables, contexts.prev1, contexts.row
        unigram = (tables.unigram[targets] + 0.1) / (tables.tokens + 0.1 * self.vocab)
        bigram = (tables.bigram[prev1, targets] + BIGRAM_PRIOR * unigram) / (tables.bigram_total[prev1] + BIGRAM_PRIOR)
        seen = tables.trigram_total[row]
        trigram = (tables.trigram[row, targets] + TRIGRAM_PRIOR * bigram) / (seen + TRIGRAM_PRIOR)
        over_network = (tables.bigram[prev1, targets] + NETWORK_BIGRAM_PRIOR * neural.exp()) / (
            tables.bigram_total[prev1] + NETWORK_BIGRAM_PRIOR
        )
        over_both = (tables.trigram[row, targets] + NETWORK_TRIGRAM_PRIOR * over_network) / (
            seen + NETWORK_TRIGRAM_PRIOR
        )
        counted = torch.stack([unigram, bigram, trigram, over_network, over_both]).log_()
        return torch.cat([neural[None], counted]).t()

    def mix(self, log_probs: Tensor, contexts: Contexts) -> Tensor:
        """log of the weighted sum of the experts' probabilities, (positions,)."""
        weights = torch.log_softmax(self.log_weights, dim=-1)[self._bucket(contexts)]
        return torch.logsumexp(log_probs + weights, dim=-1)

    def mass(self, entropy: Tensor | None, contexts: Contexts) -> Tensor:
        """Sum of the mixture over the vocabulary, computed token by token: (positions,), 1 up to rounding.

        The network's own sum is taken as 1, its softmax; the experts that count are swept.
        """
        size = contexts.row.numel()
        every = torch.arange(size, device=contexts.row.device).repeat_interleave(self.vocab)
        targets = torch.arange(self.vocab, device=every.device).repeat(size)
        uniform = torch.full(targets.shape, -math.log(self.vocab), device=every.device)
        experts = self.expert_log_probs(uniform, None, contexts[every], targets)
        return self.mix(experts, contexts[every]).exp().view(size, self.vocab).sum(dim=1)

    def learn(self, log_probs: Tensor, mixed: Tensor, contexts: Contexts) -> None:
        """One exponentiated-gradient step a bucket on scored positions, whose mixture was ``mixed``."""
        gradient = torch.exp(log_probs - mixed[:, None]).clamp(max=LARGEST_GRADIENT) - 1.0
        self.log_weights.index_add_(0, self._bucket(contexts), gradient, alpha=self.eta)
        self.log_weights = torch.log_softmax(self.log_weights, dim=-1)  # the same weights; else they drift away from 0

    def _bucket(self, contexts: Contexts) -> Tensor:
        seen = self.tables.trigram_total[contexts.row]
        return torch.log2(seen + 1.0).long().clamp(max=WEIGHT_BUCKETS - 1)
