"""Token streams whose exact log-likelihood is known, and the contest's shard format they are written in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BOS = 1
FIRST_ORDINARY = 4  # pad, bos, eos and unk stand before it
HEADER_INTS, MAGIC, VERSION = 256, 20240520, 1
DOCUMENT_TOKENS = 2048  # every document opens with BOS, at a position known beforehand: it costs the floor nothing


@dataclass(frozen=True)
class Stream:
    """Tokens drawn from a source, and the source's own price of each.

    ``tokens``: (n,) uint16. ``nll``: (n,) float64, nats: minus the log of the probability that the source gave the
    token, given all before it. No lawful predictor can expect to pay less (docs/probe.md).
    """

    source: str
    tokens: np.ndarray
    nll: np.ndarray

    @property
    def entropy(self) -> float:
        """Mean price, nats per token."""
        return float(self.nll.mean())


@dataclass(frozen=True)
class Source:
    """A way to draw tokens. ``kind`` is one of KINDS; ``vocabulary`` is the number of token ids the trainer knows.

    uniform    every ordinary token alike
    zipf       rank ** -1.2 in a shuffled order
    spike      one token half of the time, every other alike: quickly learnt, and most of its mass is in rare tokens
    alias      ``ALIASES`` tokens that agree modulo vocabulary / ALIASES, alike: hash tables that XOR or multiply token
               ids fill at toy size as they do at full size
    markov     each token has four successors, alike: n-gram tables can learn it
    repeating  fresh uniform blocks of 64, each followed by a copy of itself: tempts caches
    """

    kind: str
    vocabulary: int = 1024

    def draw(self, count: int, seed: int) -> Stream:
        """``count`` tokens; the same ``seed`` gives the same stream. BOS opens every document."""
        import numpy as np

        if self.kind not in KINDS:
            raise ValueError(f"expected a source of {', '.join(KINDS)}, found {self.kind}")
        if self.vocabulary < FIRST_ORDINARY + 16:
            raise ValueError(f"expected a vocabulary of 20 or more, found {self.vocabulary}")
        rng = np.random.default_rng([seed, KINDS.index(self.kind)])
        tokens, nll = getattr(self, f"_{self.kind}")(rng, count)
        starts = np.arange(0, count, DOCUMENT_TOKENS)
        tokens[starts], nll[starts] = BOS, 0.0
        return Stream(self.kind, tokens.astype(np.uint16), nll)

    @property
    def ordinary(self) -> int:
        """How many tokens can be drawn."""
        return self.vocabulary - FIRST_ORDINARY

    def probabilities(self) -> np.ndarray:
        """(vocabulary,) float64: the law of one token of the independent sources."""
        import numpy as np

        law = np.zeros(self.vocabulary)
        if self.kind == "uniform":
            law[FIRST_ORDINARY:] = 1
        elif self.kind == "zipf":
            order = np.random.default_rng(20240520).permutation(self.ordinary)  # part of the source, not of the draw
            law[FIRST_ORDINARY + order] = (1 + np.arange(self.ordinary)) ** -1.2
        elif self.kind == "spike":
            law[FIRST_ORDINARY:] = 0.5 / (self.ordinary - 1)
            law[self.vocabulary // 2] = 0.5
        elif self.kind == "alias":
            step = self.vocabulary // ALIASES
            law[step - 1 + step * np.arange(ALIASES)] = 1
        else:
            raise ValueError(f"expected an independent source, found {self.kind}")
        return law / law.sum()

    def _independent(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        law = self.probabilities()
        tokens = rng.choice(self.vocabulary, size=count, p=law)
        return tokens, -np.log(law[tokens])

    _uniform = _zipf = _spike = _alias = _independent

    def _markov(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        chain = np.random.default_rng(20240521)
        successors = np.stack([chain.choice(self.ordinary, 4, replace=False) for _ in range(self.ordinary)])
        choices = rng.integers(4, size=count)
        tokens, nll = np.empty(count, np.int64), np.full(count, np.log(4.0))
        state = int(rng.integers(self.ordinary))
        for position in range(count):
            if position % DOCUMENT_TOKENS == 1:  # after BOS the chain starts anew
                state = int(rng.integers(self.ordinary))
                nll[position] = np.log(self.ordinary)
            else:
                state = int(successors[state, choices[position]])
            tokens[position] = FIRST_ORDINARY + state
        nll[0] = np.log(self.ordinary)
        return tokens, nll

    def _repeating(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        blocks = -(-count // 128)
        fresh = rng.integers(FIRST_ORDINARY, self.vocabulary, size=(blocks, 64))
        tokens = np.concatenate([fresh, fresh], axis=1).reshape(-1)[:count]
        nll = np.tile(np.repeat([np.log(self.ordinary), 0.0], 64), blocks)[:count]
        # Where BOS overwrote the fresh token, its copy cannot be told from BOS: it keeps its own full price.
        for start in range(0, count, DOCUMENT_TOKENS):
            if start % 128 < 64 and start + 64 < count:
                nll[start + 64] = np.log(self.ordinary)
        return tokens, nll


ALIASES = 16
KINDS = ("uniform", "zipf", "spike", "alias", "markov", "repeating")


def flip_tail(stream: Stream, seed: int, start: int, vocabulary: int) -> np.ndarray:
    """(n,) tokens: ``stream`` before ``start``; from there on others, none as it was, BOS where BOS was.

    They are drawn from another law (uniform), so that a program that learns from them learns something else.
    """
    import numpy as np

    tokens = stream.tokens.astype(np.int64)
    shift = np.random.default_rng([seed, 99]).integers(1, vocabulary - FIRST_ORDINARY, size=len(tokens))
    other = FIRST_ORDINARY + (tokens - FIRST_ORDINARY + shift) % (vocabulary - FIRST_ORDINARY)
    changed = (np.arange(len(tokens)) >= start) & (tokens >= FIRST_ORDINARY)
    return np.where(changed, other, tokens).astype(np.uint16)


def write_shard(path: Path, tokens: np.ndarray) -> None:
    """The contest's format: 256 little-endian int32 (magic, version, token count), then uint16 tokens."""
    import numpy as np

    header = np.zeros(HEADER_INTS, dtype="<i4")
    header[:3] = MAGIC, VERSION, len(tokens)
    path.write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())
