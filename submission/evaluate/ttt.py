"""Score-first test-time training: the network learns from a chunk only after the ledger has its scores."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from submission.config import Config
from submission.distributed import World, share, sum_gradients
from submission.evaluate.ledger import ScoreLedger
from submission.model import GPT

RAMP = 0.3  # share of the chunks over which the adaptive rate grows


class Adapter:
    """Holds the optimizer of the adapted weights and, with Polyak averaging, the weights that score (PRs 461, 700)."""

    def __init__(self, model: GPT, config: Config, world: World) -> None:
        if config.ttt_untie:
            model.untie_repeated_layers()
        self.model, self.config, self.world = model, config, world
        self.parameters = adapted(model, config.ttt_last_blocks)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        if config.ttt_optimizer == "adamw":
            self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
                self.parameters, lr=config.ttt_lr, weight_decay=0.0, betas=(0.9, 0.999)
            )
        else:
            self.optimizer = torch.optim.SGD(self.parameters, lr=config.ttt_lr, momentum=config.ttt_momentum)
        self.average = [p.detach().clone() for p in self.parameters] if config.ttt_polyak else []
        self._training: list[Tensor] = []
        self.updates = 0

    def begin_scoring(self, chunk: int) -> None:
        """Put the averaged weights in place for scoring."""
        if self.average and chunk:
            self._training = [p.detach().clone() for p in self.parameters]
            self._fill(self.average)

    def end_scoring(self, chunk: int) -> None:
        """Put the weights being trained back."""
        if self.average and chunk:
            self._fill(self._training)

    def train(self, ledger: ScoreLedger, begin: int, end: int, chunk: int, chunks: int) -> None:
        """``ttt_epochs`` over positions begin..end-1, which the ledger refuses to give out before they are scored."""
        config = self.config
        seq_len = config.eval_seq_len
        sequences = (end - begin) // seq_len
        if sequences == 0 or config.ttt_epochs == 0:
            return
        tokens = torch.from_numpy(ledger.scored_tokens(begin, begin + sequences * seq_len + 1).astype(np.int64))
        x, y = tokens[:-1].view(sequences, seq_len), tokens[1:].view(sequences, seq_len)
        weights = torch.ones(y.shape)
        if config.ttt_byte_weighted:
            counts = ledger.byte_counts(begin, begin + sequences * seq_len)
            weights = torch.from_numpy(counts.astype(np.float32)).view(sequences, seq_len)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, chunk, chunks)
        for _ in range(config.ttt_epochs):
            for start in range(0, sequences, config.ttt_batch_seqs):
                stop = min(start + config.ttt_batch_seqs, sequences)
                self._step(x[start:stop], y[start:stop], weights[start:stop])

    def _step(self, x: Tensor, y: Tensor, weights: Tensor) -> None:
        """One update on a batch that the ranks share; the loss is the weighted mean over all of it."""
        first, last = share(len(x), self.world.rank, self.world.size)
        device, total = self.world.device, float(weights.sum())
        self.optimizer.zero_grad(set_to_none=False)
        if first < last:
            logits = self.model.forward_logits(x[first:last].to(device)).float()
            losses = F.cross_entropy(logits.flatten(0, 1), y[first:last].flatten().to(device), reduction="none")
            ((losses * weights[first:last].flatten().to(device)).sum() / total).backward()
        if self.world.size > 1:
            for parameter in self.parameters:
                if parameter.grad is None:  # a rank that had no sequence of this batch
                    parameter.grad = torch.zeros_like(parameter)
            sum_gradients(self.parameters, self.world)
        nn.utils.clip_grad_norm_(self.parameters, self.config.ttt_grad_clip)
        self.optimizer.step()
        self.updates += 1
        if self.average:
            decay = polyak_decay(self.config, self.updates)
            with torch.no_grad():
                torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1.0 - decay)

    @torch.no_grad()
    def _fill(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)


def learning_rate(config: Config, chunk: int, chunks: int) -> float:
    """Cosine over the chunks, times a factor that grows from 1 to ``ttt_adaptive_lr_max`` over the first 30 %."""
    cosine = config.ttt_lr * 0.5 * (1.0 + math.cos(math.pi * chunk / max(chunks - 1, 1)))
    return cosine * (1.0 + (config.ttt_adaptive_lr_max - 1.0) * min(chunk / max(chunks * RAMP, 1), 1.0))


def polyak_decay(config: Config, updates: int) -> float:
    """Decay of the average at its n-th update; with the warm-up early averages are not held at the start."""
    if not config.ttt_polyak_warmup:
        return config.ttt_polyak
    return min(config.ttt_polyak, (1 + updates) / (10 + updates))


def adapted(model: GPT, last_blocks: int) -> list[nn.Parameter]:
    """The weights that adapt: all, or those of the last blocks with every scale (PR 700)."""
    if last_blocks == 0:
        return list(model.parameters())
    late = {id(p) for block in list(model.blocks)[-last_blocks:] for p in block.parameters()}
    return [p for name, p in model.named_parameters() if id(p) in late or "scale" in name]
