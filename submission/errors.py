"""The error this room raises on input it cannot use."""

from __future__ import annotations

from pathlib import Path


class InputError(Exception):
    """A file, folder or setting that cannot be used: shown to the user as one line, exit code 2.

    ``expected`` completes the sentence "expected ..."; ``found`` says what is there instead, if known.
    """

    def __init__(self, path: str | Path, expected: str, found: str = "") -> None:
        self.path, self.expected, self.found = str(path), expected, found
        super().__init__(f"{path}: expected {expected}" + (f", found {found}" if found else ""))
