"""Decodes and decompresses a stranger's bytes with a bound on what comes out, so that no bomb goes off."""

from __future__ import annotations

import base64
import binascii
import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_LZMA_MEMORY = 256 << 20  # bytes of dictionary a stream may ask for


class TooBig(ValueError):
    """More came out than the budget allows."""


@dataclass
class Budget:
    """Bytes that may still come out of all decoders together, and the largest single output."""

    left: int = 64 << 20
    largest: int = 16 << 20
    used: list[str] = field(default_factory=list)  # names of the codecs that ran, for the record

    def limit(self) -> int:
        return min(self.left, self.largest)

    def spend(self, data: bytes, codec: str) -> bytes:
        """Account for an output; raises TooBig past the bounds."""
        if len(data) > self.limit():
            raise TooBig(f"{codec} gives more than {self.limit()} bytes")
        self.left -= len(data)
        self.used.append(codec)
        return data


def unlzma(
    data: bytes, budget: Budget, format: int = lzma.FORMAT_AUTO, filters: list[Mapping[str, int]] | None = None
) -> bytes:
    """.xz, .lzma (alone) and raw LZMA streams; several .xz streams in a row. Raises LZMAError, TooBig."""
    if filters is not None:
        for entry in filters:
            if int(entry.get("dict_size") or 0) > _LZMA_MEMORY:
                raise TooBig("lzma asks for a dictionary of more than 256 MiB")
    out, names = b"", {lzma.FORMAT_RAW: "lzma raw", lzma.FORMAT_ALONE: "lzma alone", lzma.FORMAT_XZ: "xz"}
    rest = data
    while True:
        memory = None if format == lzma.FORMAT_RAW else _LZMA_MEMORY
        decoder = lzma.LZMADecompressor(format, memory, filters)
        try:
            out += decoder.decompress(rest, budget.limit() + 1 - len(out))
        except lzma.LZMAError:
            if out:
                break  # what follows the stream is not one, as lzma.decompress has it
            raise
        if len(out) > budget.limit() or not decoder.eof:
            if len(out) <= budget.limit():
                raise lzma.LZMAError("the stream ends early")
            break
        rest = decoder.unused_data
        if not rest or format == lzma.FORMAT_RAW:
            break
    return budget.spend(out, names.get(format, "lzma"))


def inflate(data: bytes, budget: Budget, wbits: int = 15, codec: str = "zlib") -> bytes:
    """zlib, raw deflate (negative ``wbits``), gzip (31) with several members in a row. Raises zlib.error, TooBig."""
    out, rest = b"", data
    while True:
        decoder = zlib.decompressobj(wbits)
        out += decoder.decompress(rest, budget.limit() + 1 - len(out))
        if len(out) > budget.limit():
            break
        if not decoder.eof:
            raise zlib.error("the stream ends early")
        rest = decoder.unused_data
        if not (codec == "gzip" and rest.startswith(b"\x1f\x8b")):
            break
    return budget.spend(out, "deflate" if wbits < 0 else codec)


def bunzip(data: bytes, budget: Budget) -> bytes:
    """bz2, several streams in a row. Raises OSError, TooBig."""
    out, rest = b"", data
    while rest:
        decoder = bz2.BZ2Decompressor()
        out += decoder.decompress(rest, budget.limit() + 1 - len(out))
        if len(out) > budget.limit():
            break
        if not decoder.eof:
            raise OSError("the stream ends early")
        rest = decoder.unused_data
    return budget.spend(out, "bz2")


def unbrotli(data: bytes, budget: Budget) -> bytes:
    """Brotli. Raises ValueError, TooBig."""
    import brotli

    decoder = brotli.Decompressor()
    try:
        out: bytes = decoder.process(data, output_buffer_limit=budget.limit() + 1)
        while not decoder.is_finished() and len(out) <= budget.limit():
            more = decoder.process(b"", output_buffer_limit=budget.limit() + 1 - len(out))
            if not more:
                raise ValueError("the stream ends early")
            out += more
    except brotli.error as error:
        raise ValueError(str(error)) from error
    return budget.spend(out, "brotli")


def unzstd(data: bytes, budget: Budget) -> bytes:
    """Zstandard, frames in a row. Raises ValueError, TooBig."""
    import zstandard

    try:
        decoder = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        with decoder.stream_reader(data, read_across_frames=True) as stream:
            out = stream.read(budget.limit() + 1)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    return budget.spend(out, "zstd")


def _text_decoder(codec: str, decode: Callable[..., bytes]) -> Callable[..., bytes]:
    def run(budget: Budget, data: bytes | str, *args: object, **options: object) -> bytes:
        return budget.spend(decode(data, *args, **options), codec)

    return run


# Text encodings by the dotted name a program calls them by.
TEXT_DECODERS: dict[str, Callable[..., bytes]] = {
    "base64.b64decode": _text_decoder("base64", base64.b64decode),
    "base64.standard_b64decode": _text_decoder("base64", base64.standard_b64decode),
    "base64.urlsafe_b64decode": _text_decoder("base64", base64.urlsafe_b64decode),
    "base64.decodebytes": _text_decoder("base64", base64.decodebytes),
    "base64.b85decode": _text_decoder("base85", base64.b85decode),
    "base64.a85decode": _text_decoder("ascii85", base64.a85decode),
    "base64.b32decode": _text_decoder("base32", base64.b32decode),
    "base64.b32hexdecode": _text_decoder("base32", base64.b32hexdecode),
    "base64.b16decode": _text_decoder("hex", base64.b16decode),
    "binascii.a2b_base64": _text_decoder("base64", binascii.a2b_base64),
    "binascii.a2b_hex": _text_decoder("hex", binascii.a2b_hex),
    "binascii.unhexlify": _text_decoder("hex", binascii.unhexlify),
    "binascii.a2b_uu": _text_decoder("uu", binascii.a2b_uu),
    "binascii.a2b_qp": _text_decoder("quoted-printable", binascii.a2b_qp),
}
if hasattr(base64, "z85decode"):  # Python 3.13
    TEXT_DECODERS["base64.z85decode"] = _text_decoder("z85", base64.z85decode)
