"""Streams the lines of a log file in constant memory, whatever its encoding or line ends."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from reproduce.errors import InputError

BLOCK = 1 << 20  # bytes read at a time
LONGEST = 1 << 21  # characters kept of one line; a packed trainer printed on one line fits
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def encoding_of(start: bytes) -> str:
    """Guess the encoding from a file's first bytes: a byte order mark, or the zero bytes that UTF-16 leaves."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    sample = start[:4096]
    if len(sample) >= 8:
        if sample[1::2].count(0) > 0.6 * len(sample[1::2]) and sample[::2].count(0) < 0.1 * len(sample[::2]):
            return "utf-16-le"
        if sample[::2].count(0) > 0.6 * len(sample[::2]) and sample[1::2].count(0) < 0.1 * len(sample[1::2]):
            return "utf-16-be"
    return "utf-8"


class LineReader:
    """Iterates over ``(line number, text)``; a progress bar's rewrites of one line come as several texts.

    ``cut`` counts lines longer than ``LONGEST`` (their rest is skipped) and ``nuls`` the zero bytes dropped.
    Raises InputError where the file cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.cut, self.nuls, self.size = Path(path), 0, 0, 0

    def __iter__(self) -> Iterator[tuple[int, str]]:
        number = 0
        for number, line in enumerate(self._lines(), 1):
            if "\r" in line:
                for part in line.split("\r"):
                    if part:
                        yield number, part
            else:
                yield number, line

    def _lines(self) -> Iterator[str]:
        try:
            with self.path.open("rb") as file:
                block = file.read(BLOCK)
                decoder = codecs.getincrementaldecoder(encoding_of(block))("replace")
                parts: list[str] = []  # the unfinished line, and how much of it is held
                held = 0
                while block:
                    self.size += len(block)
                    text = decoder.decode(block)
                    if "\0" in text:
                        self.nuls += text.count("\0")
                        text = text.replace("\0", "")
                    if "\x1b" in text:
                        text = _ESCAPE.sub("", text)
                    *whole, rest = text.split("\n")
                    for line in whole:
                        if parts or held:
                            if held < LONGEST:
                                parts.append(line[: LONGEST - held])
                            yield "".join(parts)
                            self.cut += held + len(line) > LONGEST
                            parts, held = [], 0
                        else:
                            yield line if len(line) <= LONGEST else line[:LONGEST]
                            self.cut += len(line) > LONGEST
                    if rest:
                        if held < LONGEST:
                            parts.append(rest[: LONGEST - held])
                        held += len(rest)
                    block = file.read(BLOCK)
                if parts:
                    self.cut += held > LONGEST
                    yield "".join(parts)
        except OSError as error:
            raise InputError(self.path, "a readable log file", error.strerror or str(error)) from error
