"""Token counts of what has been scored, by zero, one and two tokens of context, from which n-gram experts predict."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TRIGRAM_ROWS = 65_536
FIRST_PRIME, SECOND_PRIME = 36_313, 27_191


def context_row(prev2: Tensor, prev1: Tensor) -> Tensor:
    """Row of the trigram table for two context tokens (PR 688). The target is no part of it: it is the column."""
    return ((prev2 * FIRST_PRIME) ^ (prev1 * SECOND_PRIME)) & (TRIGRAM_ROWS - 1)  # a power of two


@dataclass(frozen=True)
class Contexts:
    """The two tokens before each target, and the row of the trigram table that they stand for: (positions,) each."""

    prev2: Tensor
    prev1: Tensor
    row: Tensor

    @classmethod
    def of(cls, prev2: Tensor, prev1: Tensor) -> Contexts:
        return cls(prev2, prev1, context_row(prev2, prev1))

    def __getitem__(self, index: Tensor | slice) -> Contexts:
        return Contexts(self.prev2[index], self.prev1[index], self.row[index])


class CountTables:
    """Unigram (V,), bigram (V, V) and trigram (65536, V) counts with row totals, float32, on one device."""

    def __init__(self, vocab: int, device: torch.device) -> None:
        self.vocab, self.device = vocab, device
        self.tokens = 0
        self.unigram, self.bigram_total = torch.zeros(vocab, device=device), torch.zeros(vocab, device=device)
        self.bigram = torch.zeros(vocab, vocab, device=device)
        self.trigram = torch.zeros(TRIGRAM_ROWS, vocab, device=device)
        self.trigram_total = torch.zeros(TRIGRAM_ROWS, device=device)

    def add(self, tokens: Tensor, context: int = 0) -> None:
        """Count scored tokens (..., n), consecutive along the last dimension; ``context`` first ones were before."""
        t = tokens.to(self.device).long()
        fresh = t[..., context:].flatten()
        if fresh.numel() == 0:
            return
        self.tokens += fresh.numel()
        ones = torch.ones(fresh.numel(), device=self.device)
        self.unigram.scatter_add_(0, fresh, ones)
        pairs = t[..., max(context - 1, 0) :]
        before, after = pairs[..., :-1].flatten(), pairs[..., 1:].flatten()
        self.bigram.view(-1).scatter_add_(0, before * self.vocab + after, ones[: after.numel()])
        self.bigram_total.scatter_add_(0, before, ones[: after.numel()])
        triples = t[..., max(context - 2, 0) :]
        if triples.size(-1) >= 3:
            rows, after = context_row(triples[..., :-2], triples[..., 1:-1]).flatten(), triples[..., 2:].flatten()
            self.trigram.view(-1).scatter_add_(0, rows * self.vocab + after, ones[: after.numel()])
            self.trigram_total.scatter_add_(0, rows, ones[: after.numel()])
