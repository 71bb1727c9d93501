"""Tells the probe when the evaluation begins, and waits until the training shards are gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_sleep, _now = time.sleep, time.monotonic  # before the clock of the probe stands in for them
WAIT_SECONDS = 10.0


class Evaluation:
    """``start`` says when: {"process": n, "path": file, "read": k} the k-th reading of a file by the n-th process, or
    {"process": n, "moment": m} the m-th vector on its tape; None for a run whose shards stay.

    The probe outside sees ``marker`` and removes the training shards from ``data``. With ``"sweep": [tokens]`` the
    shards stay and ``sweep`` is called with the tokens instead.
    """

    def __init__(
        self,
        start: dict[str, Any] | None,
        process: int,
        marker: Path,
        data: Path,
        sweep: Callable[[list[int]], None] | None = None,
    ) -> None:
        self._sweep = sweep
        self._start = start if start is not None and start["process"] == process else None
        self._marker, self._data, self._reads = marker, data, 0

    def opened(self, mode: str, path: str) -> None:
        """A file was opened; called before it is."""
        if self._start is None or path != self._start.get("path") or any(flag in mode for flag in "wxa+"):
            return
        self._reads += 1
        if self._reads == self._start["read"]:
            self._begin()

    def heard(self, moment: int) -> None:
        """The tape is about to keep vector ``moment``."""
        if self._start is not None and moment == self._start.get("moment"):
            self._begin()

    def _begin(self) -> None:
        start, self._start = self._start, None
        if start is not None and self._sweep is not None and start.get("sweep"):
            self._sweep(start["sweep"])
            return
        self._marker.touch()
        limit = _now() + WAIT_SECONDS
        while _now() < limit and any("_train_" in path.name for path in self._data.iterdir()):
            _sleep(0.01)
