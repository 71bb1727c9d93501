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
    markov     ``MARKOV_STATES`` tokens, each with four successors, alike: n-gram tables learn it within the toy stream
    repeating  fresh uniform blocks of 64, each followed by a copy of itself: tempts caches
    """

    kind: str
    vocabulary: int = 1024

    def draw(self, count: int, seed: int, offset: int = 0) -> Stream:
        """``count`` tokens; the same ``seed`` gives the same stream. BOS opens every document of two tokens or more;
        the first token drawn stands at ``offset`` of the stream that it will be part of."""
        import numpy as np

        if self.kind not in KINDS:
            raise ValueError(f"expected a source of {', '.join(KINDS)}, found {self.kind}")
        if self.vocabulary < FIRST_ORDINARY + 16:
            raise ValueError(f"expected a vocabulary of 20 or more, found {self.vocabulary}")
        rng = np.random.default_rng([seed, KINDS.index(self.kind)])
        # No document of BOS alone at the end: there are trainers that refuse one.
        starts = np.arange(-offset % DOCUMENT_TOKENS, count - 1, DOCUMENT_TOKENS)
        tokens, nll = getattr(self, f"_{self.kind}")(rng, count, starts)
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

    def _independent(self, rng: np.random.Generator, count: int, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        law = self.probabilities()
        tokens = rng.choice(self.vocabulary, size=count, p=law)
        return tokens, -np.log(law[tokens])

    _uniform = _zipf = _spike = _alias = _independent

    def _markov(self, rng: np.random.Generator, count: int, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        states = min(MARKOV_STATES, self.ordinary)
        chain = np.random.default_rng(20240521)  # part of the source, not of the draw
        successors = np.stack([chain.choice(states, 4, replace=False) for _ in range(states)])
        choices, fresh = rng.integers(4, size=count), rng.integers(states, size=count)
        anew = np.zeros(count + 1, bool)  # after BOS the chain starts anew
        anew[0] = anew[starts + 1] = True
        place, state = np.empty(count, np.int64), 0
        for position in range(count):
            state = int(fresh[position]) if anew[position] else int(successors[state, choices[position]])
            place[position] = state
        tokens = FIRST_ORDINARY + place * (self.ordinary // states)
        nll = np.full(count, np.log(4.0))
        nll[anew[:count]] = np.log(states)
        return tokens, nll

    def _repeating(self, rng: np.random.Generator, count: int, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        blocks = -(-count // 128)
        fresh = rng.integers(FIRST_ORDINARY, self.vocabulary, size=(blocks, 64))
        tokens = np.concatenate([fresh, fresh], axis=1).reshape(-1)[:count]
        nll = np.tile(np.repeat([np.log(self.ordinary), 0.0], 64), blocks)[:count]
        # Where BOS overwrote the fresh token, its copy cannot be told from BOS: it keeps its own full price.
        for start in starts:
            if start % 128 < 64 and start + 64 < count:
                nll[start + 64] = np.log(self.ordinary)
        return tokens, nll


MARKOV_STATES = 64
ALIASES = 16
KINDS = ("uniform", "zipf", "spike", "alias", "markov", "repeating")


@dataclass(frozen=True)
class Part:
    """The tokens ``start``..``stop - 1`` of a stream and the kind of source they were drawn from."""

    source: str
    start: int
    stop: int


TAIL_KINDS = ("repeating", "markov")


def flip_tail(
    stream: Stream, seed: int, start: int, vocabulary: int, kinds: tuple[str, ...] = TAIL_KINDS
) -> tuple[Stream, tuple[Part, ...]]:
    """``stream`` before ``start``; from there on tokens of other sources in equal parts, BOS where BOS was.

    Of other laws, so that a program that learns from them learns something else; and their prices are exact, so that
    the same run is held to their floors too. The prices are those of a law that knows where the sources change, which
    is the cheapest a predictor can have.
    """
    import numpy as np

    edges = np.linspace(start, len(stream.tokens), len(kinds) + 1).astype(int)
    parts = tuple(Part(kind, int(a), int(b)) for kind, a, b in zip(kinds, edges, edges[1:], strict=False))
    drawn = [Source(p.source, vocabulary).draw(p.stop - p.start, seed + 99, offset=p.start) for p in parts]
    tokens = np.concatenate([stream.tokens[:start], *(d.tokens for d in drawn)])
    nll = np.concatenate([stream.nll[:start], *(d.nll for d in drawn)])
    return Stream("+".join((stream.source, *kinds)), tokens, nll), parts


def write_shard(path: Path, tokens: np.ndarray) -> None:
    """The contest's format: 256 little-endian int32 (magic, version, token count), then uint16 tokens."""
    import numpy as np

    header = np.zeros(HEADER_INTS, dtype="<i4")
    header[:3] = MAGIC, VERSION, len(tokens)
    path.write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())
