"""Finds sentences of a README that own up to something, and leaves those that deny it."""

from __future__ import annotations

import re
from collections.abc import Iterator

_DENIES = re.compile(
    r"\b(?:no|not|never|without|avoid\w*|non|neither|nor|instead of|rather than|isn't|wasn't|didn't|don't)\b", re.I
)
_END = re.compile(r"[.!?;]\s|\n\s*\n|\n\s*[-*|#>]|\|")


def telling(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """Yield line number and words of the sentences that a pattern is in and that hold no denial before it."""
    for match in pattern.finditer(text):
        ends = [end.end() for end in _END.finditer(text, max(0, match.start() - 400), match.start())]
        start = ends[-1] if ends else max(0, match.start() - 400)
        if _DENIES.search(text, start, match.end()):
            continue
        after = _END.search(text, match.end())
        sentence = " ".join(text[start : after.start() if after else match.end() + 80].split())
        yield text.count("\n", 0, match.start()) + 1, sentence[:200]
