"""A clock that only work moves, so that two runs of one program see the same times."""

from __future__ import annotations

import time
from typing import Any

START = 1_760_000_000.0
CALL_SECONDS = 1e-4
LATER_STEP_SECONDS = 1e-3


class Clock:
    """Time passes by 0.1 ms a look and, while training, by ``step_seconds`` a step of the busiest optimizer.

    After ``steps`` steps the training budget is all but spent (there are trainers that keep seconds of it for what
    follows, and check that they did), one step later it is, whatever the trainer's way of asking; steps after that
    (test-time training) are cheap, so that the evaluation's own time limits do not bite.
    """

    def __init__(self, steps: int, budget_seconds: float = 600.0, kept_seconds: float = 40.0) -> None:
        self.steps = steps
        self.step_seconds = (budget_seconds - kept_seconds) / steps
        self.now = START
        self._taken: dict[int, int] = {}
        self._most = 0

    def look(self) -> float:
        self.now += CALL_SECONDS
        return self.now

    def optimizer_stepped(self, optimizer: Any, *_: Any) -> None:
        taken = self._taken[id(optimizer)] = self._taken.get(id(optimizer), 0) + 1
        if taken > self._most:
            self._most = taken
            self.now += self.step_seconds if taken <= self.steps + 2 else LATER_STEP_SECONDS

    def install(self) -> None:
        """Replace the functions of the module time, and hear of every optimizer step."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        for name in ("time", "perf_counter", "monotonic", "process_time"):
            setattr(time, name, self.look)
            setattr(time, name + "_ns", lambda: int(self.look() * 1e9))
        time.sleep = self._sleep
        register_optimizer_step_post_hook(self.optimizer_stepped)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
