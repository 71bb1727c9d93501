"""Reads how many GPUs of which model a text speaks of (``8xH100 SXM``, ``a single RTX 4090``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MODEL = (
    r"(?:RTX[ -]?(?:PRO[ -]?|A)?\d{4}(?:[ -]?Ti| Ada)?|GTX[ -]?\d{4}|[2-5]0[6-9]0(?:[ -]?Ti)?|GH200|H[128]00|B[123]00|"
    r"A[18]00|A10G?|A40|A5000|A6000|L40?S?|V100|P100|T4|MI\d{3}X?|M[1-5](?: (?:Pro|Max|Ultra))?|GB10|DGX Spark)"
)
_MAKER = r"(?:(?:NVIDIA|AMD|Apple|GeForce|Tesla)\s){0,2}"
_COUNTED = re.compile(
    rf"(?<![\w.])(?P<count>\d{{1,3}}|single|one)\s?[-x×*]?\s?{_MAKER}(?P<model>{_MODEL})(?![\w])"
    rf"|(?<![\w.]){_MAKER}(?P<model_first>{_MODEL})\s?[x×:]\s?(?P<count_last>\d{{1,3}})(?![\w.])",
    re.IGNORECASE,
)
_ALONE = re.compile(rf"(?<![\w.]){_MAKER}({_MODEL})(?![\w])", re.IGNORECASE)


@dataclass(frozen=True)
class Machine:
    """``count`` GPUs (None where the text gives no number) of ``model``, as the text writes it."""

    count: int | None
    model: str

    @property
    def is_h100(self) -> bool:
        """Whether the model is the contest's."""
        return "h100" in self.model.lower()

    def __str__(self) -> str:
        return f"{self.count or '?'}x{self.model}"


def machine_in(text: str) -> Machine | None:
    """The first machine that a text names with a number of GPUs, else the first model; None where it names none."""
    match = _COUNTED.search(text[:2000])
    if match:
        count = (match["count"] or match["count_last"]).lower()
        return Machine(1 if count in ("single", "one") else int(count), match["model"] or match["model_first"])
    match = _ALONE.search(text[:2000])
    return Machine(None, match[1]) if match else None
