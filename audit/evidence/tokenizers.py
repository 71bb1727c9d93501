"""Recomputes the byte table of a SentencePiece model and holds it against a text whose bytes are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LARGEST = 16 << 20  # bytes of a model that is read
_SPACE = "\u2581"
# Plain English with the marks that tokenizers stumble over: accents, a dash, an arrow, digits, an emoji, two spaces.
SAMPLE = (
    "The quick brown fox jumps over the lazy dog, and nobody minds. In 1984 she wrote: “Naïve cafés serve coffee — "
    "not tea.” Costs rose 3.5% to $1,200;  the rest → nothing. Everyone knows that language models are compressors; "
    "few know how many bytes a token stands for. 日本語 🙂 and back to English, where words are separated by spaces.\n"
)


@dataclass(frozen=True)
class Miscount:
    """``ratio``: bytes that the table counts for the sample, over its true bytes; ``why`` names the pieces at fault."""

    ratio: float
    why: str


def miscounts(path: str | Path) -> Miscount | None:
    """Count the sample's bytes with the contest's table for this model; None where it is no SentencePiece model."""
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    import sentencepiece  # slow to import: only a folder with a model pays

    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(content)
        ids = processor.encode(SAMPLE)
    except (RuntimeError, ValueError, TypeError):
        return None
    size, leading, boundary = byte_table(processor)
    counted, previous = 0, True
    for token in ids:
        counted += size[token] + (leading[token] and not previous)
        previous = boundary[token]
    text = processor.normalize(SAMPLE) if hasattr(processor, "normalize") else SAMPLE
    true = len(text.replace(_SPACE, " ").strip(" ").encode())
    pieces = [processor.id_to_piece(token) for token in ids]
    if processor.unk_id() in ids:
        why = "pieces that it does not know count nothing"
    elif "<0x96>" in pieces and "<0x81>" in pieces:
        why = "it spells the space in three byte pieces"
    else:
        why = "its pieces do not add up to the text"
    return Miscount(counted / max(true, 1), why)


def byte_table(processor: object) -> tuple[list[int], list[bool], list[bool]]:
    """The contest's table: bytes of each piece without its leading space, whether it has one, whether it is a boundary.

    A byte piece is one byte; control, unknown and unused pieces are boundaries of no bytes (the contest's script).
    """
    from sentencepiece import SentencePieceProcessor

    assert isinstance(processor, SentencePieceProcessor)
    size: list[int] = []
    leading: list[bool] = []
    boundary: list[bool] = []
    for token in range(processor.vocab_size()):
        special = processor.is_control(token) or processor.is_unknown(token) or processor.is_unused(token)
        piece = processor.id_to_piece(token)
        starts = piece.startswith(_SPACE)
        if special:
            size.append(0)
        elif processor.is_byte(token):
            size.append(1)
        else:
            size.append(len(piece[len(_SPACE) :].encode() if starts else piece.encode()))
        leading.append(not special and starts)
        boundary.append(special)
    return size, leading, boundary
