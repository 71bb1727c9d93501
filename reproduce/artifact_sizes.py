"""Tells the sizes of the submitted artifact among all sizes that a log prints."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reproduce.runlog import Size

PACKED = re.compile(
    r"zlib|zstd|lzma|brotli|lrzip|pergroup|int\d|quant|compress|packed|ternary|binary|artifact|\.ptz", re.IGNORECASE
)
_NOT_MODEL = re.compile(r"total|submission|code|payload|raw|uncompressed|fp32|before", re.IGNORECASE)
_TOTAL = re.compile(r"total.{0,20}(submission|artifact|size|bytes)", re.IGNORECASE)
_NOT_TOTAL = re.compile(r"param|memory|val|train|token|text", re.IGNORECASE)


def _exact(sizes: Sequence[Size]) -> list[Size]:
    return [size for size in sizes if not size.label.endswith("(rounded)") and size.bytes > 0]


def model_size(sizes: Sequence[Size]) -> Size | None:
    """The compressed model: the last size whose label names a model or artifact and a compression."""
    named = [
        size
        for size in _exact(sizes)
        if re.search(r"model|artifact|quant_bytes", size.label, re.IGNORECASE)
        and PACKED.search(size.label)
        and not _NOT_MODEL.search(size.label)
    ]
    return named[-1] if named else None


def total_size(sizes: Sequence[Size]) -> Size | None:
    """The total of the compressed artifact and its code, not that of the checkpoint as trained."""
    exact = _exact(sizes)
    totals = [size for size in exact if _TOTAL.search(size.label) and not _NOT_TOTAL.search(size.label)]
    # The contest's script prints a total of the uncompressed checkpoint first, under the label without a compression.
    raw = {size.bytes for size in exact if re.fullmatch(r"\W*serialized model\W*", size.label, re.IGNORECASE)}
    code = {size.bytes for size in exact if "code" in size.label.lower()}
    plain = {model + extra for model in raw for extra in code}
    packed = [size for size in totals if size.bytes not in plain]
    return packed[-1] if packed else None


def code_size(sizes: Sequence[Size]) -> Size | None:
    """The code that the log counts: compressed, where it prints both."""
    named = [s for s in _exact(sizes) if re.search(r"\bcode", s.label, re.IGNORECASE)]
    counted = [s for s in named if "uncompressed" not in s.label.lower() and not _TOTAL.search(s.label)]
    return counted[-1] if counted else None
