"""Makes a SentencePiece model of any vocabulary size whose every token has a known number of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
BPE = 2
SPACE = "\u2581"
CONTROLS = (("<pad>", CONTROL), ("<s>", CONTROL), ("</s>", CONTROL), ("<unk>", UNKNOWN))
SMALLEST, BYTES_NEED = 20, len(CONTROLS) + 256


def pieces(vocabulary: int) -> tuple[tuple[str, int], ...]:
    """(text, SentencePiece type) of each token id: four controls, 256 bytes, the space, then words with and
    without a leading space, some of them of several UTF-8 bytes a letter. A vocabulary that has no room for the bytes
    goes without them. Raises ValueError below ``SMALLEST``."""
    if vocabulary < SMALLEST:
        raise ValueError(f"expected a vocabulary of at least {SMALLEST}, found {vocabulary}")
    bytes_ = [(f"<0x{value:02X}>", BYTE) for value in range(256)] if vocabulary > BYTES_NEED else []
    found = [*CONTROLS, *bytes_, (SPACE, NORMAL)]
    letters = "abcdefghijklmnopqrstuvwxyz\u00e9\u00fc\u4e16\u754c"
    number = 0
    while len(found) < vocabulary:
        text, rest = letters[number % len(letters)], number // len(letters)
        while rest:
            rest -= 1
            text, rest = text + letters[rest % len(letters)], rest // len(letters)
        found.append((SPACE + text, NORMAL))
        if len(found) < vocabulary:
            found.append((text, NORMAL))
        number += 1
    return tuple(found)


def sentencepiece_model(vocabulary: int) -> bytes:
    """The serialised ModelProto (sentencepiece_model.proto, fields 1 to 3) that SentencePieceProcessor loads."""
    out = bytearray()
    for rank, (text, kind) in enumerate(pieces(vocabulary)):
        out += _field(1, _field(1, text.encode()) + _float(2, -float(rank)) + _number(3, kind))
    trainer = _number(3, BPE) + _number(4, vocabulary) + _number(35, int(vocabulary > BYTES_NEED))
    trainer += _number(40, 3) + _number(41, 1) + _number(42, 2) + _number(43, 0)
    out += _field(2, trainer)
    out += _field(3, _field(1, b"identity") + _number(3, 1) + _number(4, 0) + _number(5, 1))
    return bytes(out)


def byte_counts(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """(n - 1,) int64: UTF-8 bytes that each target ``tokens[1:]`` stands for, by the contest's definition.

    A leading space counts one byte unless the token before is a control; controls count none.
    """
    import numpy as np

    table = pieces(vocabulary)
    control = np.array([kind in (CONTROL, UNKNOWN) for _, kind in table])
    space = np.array([text.startswith(SPACE) for text, _ in table])
    base = np.array(
        [0 if kind in (CONTROL, UNKNOWN) else 1 if kind == BYTE else len(text.removeprefix(SPACE).encode())
         for text, kind in table]
    )  # fmt: skip
    before, target = tokens[:-1].astype(np.int64), tokens[1:].astype(np.int64)
    return base[target] + (space[target] & ~control[before])


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def _float(field: int, value: float) -> bytes:
    import struct

    return _varint(field << 3 | 5) + struct.pack("<f", value)
