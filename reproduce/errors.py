"""The error every room behind the trainer raises on input it cannot use."""

from __future__ import annotations

from pathlib import Path


class InputError(Exception):
    """A file or folder that cannot be used: shown to the user as one line, exit code 2.

    ``expected`` completes the sentence "expected ..."; ``found`` says what is there instead, if known.
    """

    def __init__(self, path: str | Path, expected: str, found: str = "") -> None:
        self.path, self.expected, self.found = str(path), expected, found
        super().__init__(f"{path}: expected {expected}" + (f", found {found}" if found else ""))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        """Pickles with its three parts, so that it can come back from another process or machine."""
        return type(self), (self.path, self.expected, self.found)
