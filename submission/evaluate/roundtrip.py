"""The plain pass after quantisation: windows side by side, no context before them."""

from __future__ import annotations

from submission.config import Config
from submission.evaluate.windows import Window, exact_windows


def roundtrip_windows(config: Config, total: int) -> tuple[Window, ...]:
    """Windows of ``eval_seq_len``; the reference tail drops the last partial one."""
    if config.eval_tail == "reference":
        total = total // config.eval_seq_len * config.eval_seq_len
    return exact_windows(total, config.eval_seq_len, config.eval_seq_len)
