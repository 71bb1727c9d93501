"""The only way a score is made: takes each validation position once, in order, and gives out only what is scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from submission.data import ByteTable, Tokens

ROUNDING = 1e-4  # nats: how far below 0 float32 may put the loss of a certain prediction
Spans = Sequence[tuple[int, int]]  # ranges of positions: start, stop


class UnscoredError(Exception):
    """Something was asked of the ledger that only a score gives the right to."""


@dataclass(frozen=True)
class Score:
    """The result of a whole pass. ``val_loss`` nats a token, ``val_bpb`` bits a byte.

    ``dropped`` positions were left out and ``repeated`` ones counted again: both are 0 unless the tail of an original
    trainer is reproduced.
    """

    val_loss: float
    val_bpb: float
    tokens: int
    bytes: int
    dropped: int = 0
    repeated: int = 0


class ScoreLedger:
    """Position t is the prediction of token t + 1 from tokens 0..t; there are ``len(tokens) - 1`` of them.

    An evaluator hands in log-probabilities, the ledger looks up the targets: they are given to nobody before the
    position is scored. ``inputs`` gives a window of tokens to a causal model, whose output
    at a position depends on nothing after it (``golfproof probe`` measures that); ``scored_tokens`` is for training
    and counting, and raises on a token that has not been scored. With ``allow_tail`` the ledger reproduces an original
    trainer that counts its last tokens again or drops them, and says in the score how many.
    """

    def __init__(self, tokens: Tokens, table: ByteTable, *, allow_tail: bool = False) -> None:
        if len(tokens) < 2:
            raise UnscoredError("a validation split needs at least two tokens")
        self._tokens = np.asarray(tokens)
        self._bytes = table.count(self._tokens[:-1], self._tokens[1:])
        self._allow_tail = allow_tail
        self._again_nll, self._again_bytes, self._repeated = 0.0, 0, 0
        self.total = len(tokens) - 1
        self.frontier = 0  # the first position not yet scored
        self.nll: NDArray[np.float64] = np.full(self.total, np.nan)

    def inputs(self, start: int, stop: int) -> Tokens:
        """Tokens start..stop-1, the inputs of a causal model at these positions."""
        if not 0 <= start < stop <= self.total:
            raise UnscoredError(f"inputs {start}..{stop} of {self.total} positions")
        return self._tokens[start:stop]

    def pick(self, spans: Spans, log_probs: Tensor) -> Tensor:
        """Log-probabilities (positions,) of the targets of ``spans``, from ``log_probs`` (positions, vocab).

        ``spans`` are ranges (start, stop) of positions, laid one after another.
        """
        return log_probs.gather(-1, self._targets(spans).to(log_probs.device)[:, None])[:, 0]

    def pick_with(self, spans: Spans, lookup: Callable[[Tensor], Tensor]) -> Tensor:
        """``lookup(targets)``, targets (positions,) int64, for tables too wide to hand in whole rows of.

        Raises:
            UnscoredError: positions that are not there, or anything but one row a position.
        """
        found = lookup(self._targets(spans))
        if found.size(0) != sum(stop - start for start, stop in spans):
            raise UnscoredError(f"{found.size(0)} rows for {sum(stop - start for start, stop in spans)} positions")
        return found

    def record(self, start: int, nll: Tensor) -> None:
        """Score positions start..start+len(nll)-1 with these losses, nats (positions,).

        Raises:
            UnscoredError: not the next positions in order, more than there are, or a loss that is no number >= 0.
        """
        values = nll.detach().double().cpu().numpy()
        stop = start + len(values)
        if start != self.frontier or stop > self.total:
            raise UnscoredError(f"positions {start}..{stop} recorded, position {self.frontier} is next of {self.total}")
        if not np.all(np.isfinite(values)) or values.min(initial=0.0) < -ROUNDING:
            raise UnscoredError(f"a loss at positions {start}..{stop} is not a number >= 0")
        self.nll[start:stop] = values
        self.frontier = stop

    def record_again(self, start: int, nll: Tensor) -> None:
        """Count positions start..start+len(nll)-1 once more, as the last sliding windows of the seeds do.

        Raises:
            UnscoredError: positions not scored before, or a ledger that counts each position once.
        """
        stop = start + len(nll)
        if not self._allow_tail or stop > self.frontier:
            raise UnscoredError(f"positions {start}..{stop} may not be counted again")
        self._again_nll += float(nll.double().sum())
        self._again_bytes += int(self._bytes[start:stop].sum())
        self._repeated += stop - start

    def scored_tokens(self, start: int, stop: int) -> Tokens:
        """Tokens start..stop-1, to train on or to count: token 0 is given, token t needs position t - 1 scored.

        Raises:
            UnscoredError: a token whose position is not scored.
        """
        if not 0 <= start <= stop or stop > self.frontier + 1:
            raise UnscoredError(f"tokens {start}..{stop} asked for, tokens up to {self.frontier} are scored")
        return self._tokens[start:stop]

    def byte_counts(self, start: int, stop: int) -> NDArray[np.int64]:
        """UTF-8 bytes of the targets of positions start..stop-1, (positions,).

        Raises:
            UnscoredError: a position that is not scored.
        """
        if stop > self.frontier:
            raise UnscoredError(f"bytes of positions {start}..{stop}, positions up to {self.frontier} are scored")
        return self._bytes[start:stop]

    def score(self) -> Score:
        """The result; every position must have been scored, unless the reference tail drops some.

        Raises:
            UnscoredError: positions without a score, or a split that stands for no bytes.
        """
        missing = self.total - self.frontier
        if missing and not (self._allow_tail and self.frontier):
            raise UnscoredError(f"{missing} of {self.total} positions are not scored")
        nll = math.fsum(self.nll[: self.frontier]) + self._again_nll
        tokens = self.frontier + self._repeated
        count = int(self._bytes[: self.frontier].sum()) + self._again_bytes
        if count == 0:
            raise UnscoredError("the scored tokens stand for no bytes")
        return Score(nll / tokens, nll / math.log(2) / count, tokens, count, missing, self._repeated)

    def _targets(self, spans: Spans) -> Tensor:
        if any(stop > self.total for _, stop in spans):
            raise UnscoredError(f"positions up to {max(stop for _, stop in spans)} of {self.total}")
        parts = [self._tokens[start + 1 : stop + 1] for start, stop in spans]
        return torch.from_numpy(np.concatenate(parts).astype(np.int64))
