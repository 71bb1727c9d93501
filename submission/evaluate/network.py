"""What the network says of scored positions: the log-probability of each target, and where asked for the entropy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from submission.config import Config
from submission.distributed import World
from submission.evaluate.ledger import ScoreLedger, Spans
from submission.evaluate.windows import Window
from submission.model import GPT

PIECE = 128  # rows of logits at a time on a CPU: they and their exponentials stay in its cache
SAFE = 60.0  # logits up to this size need no maximum taken off: exp(60) * 65,536 is far from float32's limit

Hidden = Callable[[Tensor], Tensor]


def hidden_function(model: GPT, config: Config, world: World) -> Hidden:
    """``model.hidden``; on a GPU compiled for batches of one shape, to which smaller ones are padded.

    Padding changes no score: attention is causal, and rows do not see each other.
    """
    if not config.compile or world.device.type != "cuda":
        return model.hidden
    return one_shape(
        torch.compile(model.hidden, dynamic=False), -(-config.eval_batch_seqs // world.size), config.eval_seq_len
    )


def one_shape(hidden: Hidden, rows: int, columns: int) -> Hidden:
    """``hidden`` called with (rows, columns) tokens always, so that it is compiled once."""

    def padded(tokens: Tensor) -> Tensor:
        missing = (0, max(columns - tokens.size(1), 0), 0, max(rows - tokens.size(0), 0))
        return hidden(F.pad(tokens, missing))[: tokens.size(0), : tokens.size(1)]

    return padded


def token_rows(ledger: ScoreLedger, windows: Sequence[Window]) -> Tensor:
    """Inputs of windows, a row each, (windows, seq) int64, zeros behind what is shorter."""
    tokens = np.zeros((len(windows), max(w.stop - w.start for w in windows)), dtype=np.int64)
    for row, w in enumerate(windows):
        tokens[row, : w.stop - w.start] = ledger.inputs(w.start, w.stop)
    return torch.from_numpy(tokens)


def scored_features(hidden: Tensor, windows: Sequence[Window]) -> Tensor:
    """The rows of scored positions, laid one after another: (batch, seq, dim) -> (positions, dim)."""
    whole = all(w.first == w.start and w.stop - w.start == hidden.size(1) for w in windows)
    if whole and len(windows) == hidden.size(0):
        return hidden.flatten(0, 1)
    return torch.cat([hidden[row, w.first - w.start : w.stop - w.start] for row, w in enumerate(windows)])


def target_log_probs(
    features: Tensor,
    spans: Spans,
    ledger: ScoreLedger,
    head: Callable[[Tensor], Tensor],
    *,
    bound: float,
    temperature: float = 1.0,
    entropy: bool = False,
) -> Tensor:
    """Log-probability of each target and, if asked for, the entropy in nats: (positions, 1 or 2) float32.

    ``features`` (positions, dim) are those of the positions of ``spans``; ``head`` gives their logits, none larger
    than ``bound`` in size. A full row of logits is looked at once and never written back: on a CPU the memory of a
    whole batch of them is what such a pass takes its time for. With z the logits, the entropy is
    log sum exp(z) - sum exp(z) z / sum exp(z).
    """

    def score(targets: Tensor) -> Tensor:
        count, device = features.size(0), features.device
        total, moment = torch.empty(2, count, device=device)
        found = []
        room = torch.empty(0)
        size = PIECE if device.type == "cpu" else max(count, 1)
        columns = (each.split(size) for each in (features, targets.to(device)[:, None], total, moment))
        for part, wanted, norm, weighted in zip(*columns, strict=True):
            logits = with_temperature(safe(head(part).float(), bound), temperature)
            if len(room) < len(logits):
                room = torch.empty_like(logits)  # the same memory for every piece
            weights = torch.exp(logits, out=room[: len(logits)])
            torch.sum(weights, dim=1, out=norm)
            if entropy:
                torch.sum(weights.mul_(logits), dim=1, out=weighted)
            found.append(logits.gather(1, wanted)[:, 0])  # last: by now the logits are in the cache
        picked, log_total = torch.cat(found), total.log()
        rows = [picked - log_total, log_total - moment / total] if entropy else [picked - log_total]
        return torch.stack(rows).t()

    return ledger.pick_with(spans, score)


def safe(logits: Tensor, bound: float) -> Tensor:
    """Logits (rows, vocab) whose exponentials can be summed; softmax does not see what is taken off a row."""
    return logits if bound <= SAFE else logits - logits.amax(dim=-1, keepdim=True)


def with_temperature(logits: Tensor, temperature: float) -> Tensor:
    """PR 700's: confident predictions are sharpened more; inside the softmax, so still a distribution.

    logits: (rows, vocab), their exponentials finite.
    """
    if temperature == 1.0:
        return logits
    weights = logits.exp()
    total = weights.sum(dim=-1)
    entropy = total.log() - weights.mul_(logits).sum(dim=-1) / total
    confidence = 1.0 - entropy / math.log(logits.size(-1))
    return logits / (1.0 - (1.0 - temperature) * confidence).clamp(0.9, 1.05)[:, None]
