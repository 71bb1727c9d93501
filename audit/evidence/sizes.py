"""Adds up a submission's bytes in the three ways that reviewers do."""

from __future__ import annotations

import bz2
import io
import lzma
import tokenize
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from audit.evidence.evidence import Evidence
from reproduce.artifact_sizes import model_size, total_size
from reproduce.runlog import RunLog


@dataclass(frozen=True)
class Accounting:
    """Bytes of one run: as its log adds them up, with the code as shipped, and with the code packed.

    None where the log does not give what is needed. ``at`` is the log's line of the total or of the model's size.
    """

    logged: int | None
    shipped: int | None
    packed: int | None
    model: int | None
    at: int | None


def account(evidence: Evidence, run: RunLog, pack: bool = False) -> Accounting:
    """The totals of a run; that with packed code only where ``pack`` asks for it, since packing takes its time."""
    total, model = total_size(run.sizes), model_size(run.sizes)
    code = shipped_code(evidence, pack)
    return Accounting(
        logged=total.bytes if total else None,
        shipped=model.bytes + code[0] if model and code else None,
        packed=model.bytes + code[1] if model and code and code[1] is not None else None,
        model=model.bytes if model else None,
        at=(total or model).line if total or model else None,  # type: ignore[union-attr]
    )


def shipped_code(evidence: Evidence, pack: bool) -> tuple[int, int | None] | None:
    """``(bytes of the trainer as it lies in the folder, bytes of it packed)``; None without a trainer."""
    trainer = evidence.folder.trainer
    if trainer is None:
        return None
    try:
        source = Path(trainer).read_bytes()
    except OSError:
        return None
    return len(source), min(len(source), packed_size(source)) if pack else None


@lru_cache(maxsize=2)  # more than one rule asks, and packing takes its time
def packed_size(source: bytes) -> int:
    """Bytes of a self-extracting wrapper around a program without its comments, as the contest's entries are packed."""
    body = without_comments(source)
    smallest = min(
        len(lzma.compress(body, format=lzma.FORMAT_ALONE, preset=9 | lzma.PRESET_EXTREME)),
        len(zlib.compress(body, 9)),
        len(bz2.compress(body, 9)),
    )
    # base85 writes four bytes as five characters; the line that decompresses and runs them takes about 100.
    return -(-smallest * 5 // 4) + 100


def without_comments(source: bytes) -> bytes:
    """A program without comments; as it was where it cannot be tokenised."""
    try:
        tokens = list(tokenize.tokenize(io.BytesIO(source).readline))
        kept = [token for token in tokens if token.type != tokenize.COMMENT]
        text = tokenize.untokenize([(token.type, token.string) for token in kept])
        return text if isinstance(text, bytes) else text.encode()
    except (tokenize.TokenError, SyntaxError, ValueError, IndexError):
        return source
