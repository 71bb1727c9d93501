"""Adds up a submission's bytes in the three ways that reviewers do."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import tokenize
import zlib
from dataclasses import dataclass
from pathlib import Path

from audit.evidence.evidence import Evidence
from reproduce.runlog import RunLog, Size

_PACKED = re.compile(
    r"zlib|zstd|lzma|brotli|lrzip|pergroup|int\d|quant|compress|packed|ternary|binary|artifact|\.ptz", re.IGNORECASE
)


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
    total, model = _total(run), _model(run)
    code = shipped_code(evidence, pack)
    return Accounting(
        logged=total.bytes if total else None,
        shipped=model.bytes + code[0] if model and code else None,
        packed=model.bytes + code[1] if model and code and code[1] is not None else None,
        model=model.bytes if model else None,
        at=(total or model).line if total or model else None,  # type: ignore[union-attr]
    )


def _exact(run: RunLog) -> list[Size]:
    return [size for size in run.sizes if not size.label.endswith("(rounded)") and size.bytes > 0]


def _model(run: RunLog) -> Size | None:
    """The compressed model: the last size whose label names a model and a compression."""
    named = [
        size
        for size in _exact(run)
        if re.search(r"model|artifact|quant_bytes", size.label, re.IGNORECASE)
        and _PACKED.search(size.label)
        and not re.search(r"total|submission|code|payload|raw|uncompressed|fp32|before", size.label, re.IGNORECASE)
    ]
    return named[-1] if named else None


def _total(run: RunLog) -> Size | None:
    """The total that the log prints for the compressed artifact, not that for the checkpoint as trained."""
    sizes = _exact(run)
    totals = [
        s
        for s in sizes
        if re.search(r"total.{0,20}(submission|artifact|size|bytes)", s.label, re.IGNORECASE)
        and not re.search(r"param|memory|val|train|token|text", s.label, re.IGNORECASE)
    ]
    # The contest's script prints a total of the uncompressed checkpoint first, under the label without a compression.
    raw = {s.bytes for s in sizes if re.fullmatch(r"\W*serialized model\W*", s.label, re.IGNORECASE)}
    code = {s.bytes for s in sizes if "code" in s.label.lower()}
    plain = {model + extra for model in raw for extra in code}
    packed = [s for s in totals if s.bytes not in plain]
    return packed[-1] if packed else None


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
