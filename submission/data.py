"""Token shards of the contest's binary format, the order they are trained in, and the bytes that tokens stand for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from submission.errors import InputError

MAGIC, VERSION, HEADER_INTS = 20240520, 1, 256
HEADER_BYTES, TOKEN_BYTES = 4 * HEADER_INTS, 2

Tokens = NDArray[np.uint16]


def write_shard(path: Path, tokens: NDArray[Any]) -> None:
    """Write tokens as one shard: 256 little-endian int32 (magic, version, count), then uint16 tokens."""
    header = np.zeros(HEADER_INTS, dtype="<i4")
    header[:3] = MAGIC, VERSION, len(tokens)
    path.write_bytes(header.tobytes() + np.asarray(tokens).astype("<u2").tobytes())


def shard_size(path: Path) -> int:
    """Tokens in a shard, by its header and its size; the tokens are not read.

    Raises:
        InputError: no such file, no shard header, or a size that the header does not announce.
    """
    try:
        size = path.stat().st_size
        header = np.fromfile(path, dtype="<i4", count=HEADER_INTS)
    except OSError as error:
        raise InputError(path, "a token shard", error.strerror or "nothing readable") from None
    if header.size != HEADER_INTS:
        raise InputError(path, f"a shard header of {HEADER_BYTES} bytes", f"{size} bytes")
    if header[0] != MAGIC or header[1] != VERSION:
        raise InputError(path, f"shard magic {MAGIC} version {VERSION}", f"{header[0]} version {header[1]}")
    count = int(header[2])
    if size != HEADER_BYTES + TOKEN_BYTES * count:
        raise InputError(path, f"{HEADER_BYTES + TOKEN_BYTES * count} bytes for {count} tokens", f"{size} bytes")
    return count


def read_shard(path: Path, vocab_size: int = 1 << 16) -> Tokens:
    """The tokens of one shard, (tokens,) uint16.

    Raises:
        InputError: what is no shard (``shard_size``), or one made with a larger vocabulary than ``vocab_size``.
    """
    tokens = np.fromfile(path, dtype="<u2", count=shard_size(path), offset=HEADER_BYTES)
    if int(tokens.max(initial=0)) >= vocab_size:
        raise InputError(path, f"tokens below {vocab_size}, the vocabulary", str(int(tokens.max())))
    return tokens


def shard_paths(folder: Path, split: str) -> tuple[Path, ...]:
    """The ``train`` or ``val`` shards of a folder in the order they are read.

    Raises:
        InputError: none is there.
    """
    paths = tuple(sorted(folder.glob(f"fineweb_{split}_*.bin")))
    if not paths:
        raise InputError(folder, f"shards named fineweb_{split}_*.bin", "none")
    return paths


def read_split(folder: Path, split: str, vocab_size: int = 1 << 16) -> Tokens:
    """All tokens of a split, one after another, (tokens,) uint16. Raises as ``read_shard`` and ``shard_paths``."""
    return np.concatenate([read_shard(path, vocab_size) for path in shard_paths(folder, split)])


class TokenStream:
    """Endless tokens of the training shards in order; ``state`` resumes it at the same token.

    Raises:
        InputError: a path that is no shard, found before training begins and not when its turn comes, no token in any
            of them, or, when it is read, a token beyond the vocabulary.
    """

    def __init__(self, paths: tuple[Path, ...], vocab_size: int = 1 << 16) -> None:
        self.paths, self.vocab_size, self.shard, self.position = paths, vocab_size, 0, 0
        if sum(shard_size(path) for path in paths) == 0:
            raise InputError(paths[0], "at least one training token", "none in any shard")
        self.tokens = read_shard(paths[0], vocab_size)

    def take(self, count: int) -> Tokens:
        """The next ``count`` tokens, (count,) uint16; after the last shard the first begins again."""
        parts: list[Tokens] = []
        while count:
            part = self.tokens[self.position : self.position + count]
            if part.size == 0:
                self.seek(((self.shard + 1) % len(self.paths), 0))
                continue
            parts.append(part)
            self.position += part.size
            count -= part.size
        return np.concatenate(parts)

    @property
    def state(self) -> tuple[int, int]:
        """Shard number and position in it."""
        return self.shard, self.position

    def seek(self, state: tuple[int, int]) -> None:
        """Go on from a ``state``."""
        self.shard, self.position = state
        self.tokens = read_shard(self.paths[self.shard], self.vocab_size)


@dataclass(frozen=True)
class ByteTable:
    """UTF-8 bytes that a token stands for, given the one before it; arrays of length vocab.

    The contest's tables: a piece's leading space counts only after a token that is no boundary (control, unknown,
    unused), because SentencePiece puts that space there by itself at the start of a document.
    """

    base: NDArray[np.int16]  # bytes without the leading space
    space: NDArray[np.bool_]  # begins with a space
    boundary: NDArray[np.bool_]  # stands for no bytes

    def count(self, previous: NDArray[Any], tokens: NDArray[Any]) -> NDArray[np.int64]:
        """Bytes of each token after ``previous``, arrays of one shape."""
        return self.base[tokens].astype(np.int64) + (self.space[tokens] & ~self.boundary[previous])


def byte_table(tokenizer: Path, vocab_size: int) -> ByteTable:
    """The byte table of a SentencePiece model.

    Raises:
        InputError: no SentencePiece model, or one of another vocabulary size.
    """
    import sentencepiece

    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    except (OSError, RuntimeError, TypeError) as error:
        raise InputError(tokenizer, "a SentencePiece model", str(error).splitlines()[0][:120]) from None
    if model.vocab_size() != vocab_size:
        raise InputError(tokenizer, f"a vocabulary of {vocab_size}", str(model.vocab_size()))
    base = np.zeros(vocab_size, dtype=np.int16)
    space = np.zeros(vocab_size, dtype=np.bool_)
    boundary = np.ones(vocab_size, dtype=np.bool_)
    for token in range(vocab_size):
        if model.is_control(token) or model.is_unknown(token) or model.is_unused(token):
            continue
        boundary[token] = False
        if model.is_byte(token):
            base[token] = 1
            continue
        piece = model.id_to_piece(token)
        space[token] = piece.startswith("\u2581")
        base[token] = len(piece[1:].encode() if space[token] else piece.encode())
    return ByteTable(base, space, boundary)


def unigram_entropy(tokens: Tokens, bytes_per_token: float) -> tuple[float, float]:
    """Entropy of the token frequencies: nats a token, bits a byte. A model that learnt anything is below it."""
    counts = np.bincount(tokens).astype(np.float64)
    share = counts[counts > 0] / counts.sum()
    nats = float(-(share * np.log(share)).sum())
    return nats, nats / np.log(2) / bytes_per_token
