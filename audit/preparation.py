"""Finds the scripts of a submission that make its data, and reads them beside the program that was run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from audit.source import Module, read_module
from reproduce.errors import InputError

if TYPE_CHECKING:
    from audit.case import Case

MOST_SCRIPTS = 24
MOST_BYTES = 1 << 20


def scripts(case: Case, pattern: re.Pattern[str]) -> Iterator[Module]:
    """Yield the modules and the other Python files of a folder whose text holds a pattern; unreadable ones are left."""
    program = {module.path for module in case.modules if module.path is not None}
    for module in case.modules:
        if pattern.search(module.text):
            yield module
    left = MOST_SCRIPTS
    for path in case.folder.helpers:
        if path in program or path in case.folder.others or left <= 0:
            continue
        try:
            if path.stat().st_size > MOST_BYTES:
                continue
            if not pattern.search(path.read_text(encoding="utf-8", errors="replace")):
                continue
            left -= 1
            yield read_module(case.folder, path)
        except (InputError, OSError):
            continue
