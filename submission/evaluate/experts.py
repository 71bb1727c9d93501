"""Token counts of what has been scored, by zero, one and two tokens of context, from which n-gram experts predict."""

from __future__ import annotations

import torch
from torch import Tensor

TRIGRAM_ROWS = 65_536
FIRST_PRIME, SECOND_PRIME = 36_313, 27_191


def context_row(prev2: Tensor, prev1: Tensor) -> Tensor:
    """Row of the trigram table for two context tokens (PR 688). The target is no part of it: it is the column."""
    return ((prev2 * FIRST_PRIME) ^ (prev1 * SECOND_PRIME)) % TRIGRAM_ROWS


class CountTables:
    """Unigram (V,), bigram (V, V) and trigram (65536, V) counts with row totals, float32, on one device."""

    def __init__(self, vocab: int, device: torch.device) -> None:
        self.vocab, self.device = vocab, device
        self.tokens = 0
        self.unigram = torch.zeros(vocab, device=device)
        self.bigram = torch.zeros(vocab, vocab, device=device)
        self.bigram_total = torch.zeros(vocab, device=device)
        self.trigram = torch.zeros(TRIGRAM_ROWS, vocab, device=device)
        self.trigram_total = torch.zeros(TRIGRAM_ROWS, device=device)

    def add(self, tokens: Tensor, context: int = 0) -> None:
        """Count consecutive scored tokens (n,); the first ``context`` of them were counted before."""
        t = tokens.to(self.device).long()
        fresh = t[context:]
        if fresh.numel() == 0:
            return
        self.tokens += fresh.numel()
        self.unigram.scatter_add_(0, fresh, torch.ones_like(fresh, dtype=torch.float32))
        pairs = t[max(context - 1, 0) :]
        if pairs.numel() >= 2:
            before, after = pairs[:-1], pairs[1:]
            ones = torch.ones_like(after, dtype=torch.float32)
            self.bigram.view(-1).scatter_add_(0, before * self.vocab + after, ones)
            self.bigram_total.scatter_add_(0, before, ones)
        triples = t[max(context - 2, 0) :]
        if triples.numel() >= 3:
            rows, after = context_row(triples[:-2], triples[1:-1]), triples[2:]
            ones = torch.ones_like(after, dtype=torch.float32)
            self.trigram.view(-1).scatter_add_(0, rows * self.vocab + after, ones)
            self.trigram_total.scatter_add_(0, rows, ones)
