"""Where data that is built or downloaded is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$GOLFPROOF_CACHE``, else ``golfproof`` under ``$XDG_CACHE_HOME`` or ``~/.cache``. It need not exist yet."""
    if chosen := os.environ.get("GOLFPROOF_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "golfproof"
