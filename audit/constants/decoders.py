"""Which decoder or decompressor a dotted name of a library stands for."""

from __future__ import annotations

import codecs
import lzma
from typing import Any

from audit.constants.allowed import CODECS
from audit.constants.decompress import TEXT_DECODERS, Budget, bunzip, inflate, unbrotli, unlzma, unzstd
from audit.constants.values import Limits, Thing, Unknown


def decode(limits: Limits, name: str, args: list[Any], options: dict[str, Any]) -> Any:
    """Return what a decoder or decompressor gives, or the object that decompresses; Unknown for any other name."""
    budget = limits.budget
    data: Any = args[0] if args else options.get("data", options.get("string"))
    if isinstance(data, Thing) and data.kind == "buffer":
        data = data.data["content"]
    if name in ("lzma.decompress", "lzma.LZMADecompressor", "lzma.open", "lzma.LZMAFile"):
        of_data = name == "lzma.decompress"
        rest = args[1:] if of_data else args
        chosen = options.get("format", rest[0] if rest and isinstance(rest[0], int) else lzma.FORMAT_AUTO)
        filters = options.get("filters", rest[2] if len(rest) > 2 else None)
        if name == "lzma.LZMADecompressor":
            return Thing("decompressor", {"run": lambda item: unlzma(item, budget, chosen, filters)})
        content = unlzma(data, budget, chosen, filters)
        return content if of_data else Thing("buffer", {"content": content})
    if name == "zlib.decompress":
        wbits = options.get("wbits", args[1] if len(args) > 1 else 15)
        return inflate(data, budget, wbits, "gzip" if wbits > 15 else "zlib")
    if name == "zlib.decompressobj":
        wbits = options.get("wbits", args[0] if args else 15)
        return Thing(
            "decompressor", {"run": lambda item: inflate(item, budget, wbits, "gzip" if wbits > 15 else "zlib")}
        )
    if name == "gzip.decompress":
        return inflate(data, budget, 31, "gzip")
    if name in ("gzip.GzipFile", "gzip.open"):
        held: Any = options.get("fileobj", args[0] if args else None)
        content = held.data["content"] if isinstance(held, Thing) else held
        return Thing("buffer", {"content": inflate(content, budget, 31, "gzip")})
    if name == "bz2.decompress":
        return bunzip(data, budget)
    if name == "bz2.BZ2Decompressor":
        return Thing("decompressor", {"run": lambda item: bunzip(item, budget)})
    if name in ("brotli.decompress", "brotlicffi.decompress"):
        return unbrotli(data, budget)
    if name in ("brotli.Decompressor", "brotlicffi.Decompressor"):
        return Thing("decompressor", {"run": lambda item: unbrotli(item, budget)})
    if name in ("zstandard.decompress", "zstd.decompress", "pyzstd.decompress", "zstd.ZSTD_uncompress"):
        return unzstd(data, budget)
    if name in ("zstandard.ZstdDecompressor", "zstd.ZstdDecompressor", "pyzstd.ZstdDecompressor"):
        return Thing("decompressor", {"run": lambda item: unzstd(item, budget)})
    if name in ("codecs.decode", "codecs.encode"):
        return codec(budget, args[0], str(args[1] if len(args) > 1 else options.get("encoding", "utf-8")))
    if name in ("marshal.loads", "pickle.loads", "dill.loads", "cloudpickle.loads"):
        return Unknown(f"{name}: compiled or pickled code cannot be read as text")
    return Unknown(f"a call of {name}")


def codec(budget: Budget, data: Any, name: str) -> Any:
    """Return what ``codecs.decode`` gives under a codec of that name."""
    name = name.lower().replace("-", "_").removesuffix("_codec")
    if name in ("rot13", "rot_13"):
        return codecs.encode(data, "rot13")
    if name in ("base64", "base_64"):
        return TEXT_DECODERS["base64.decodebytes"](budget, data)
    if name == "hex":
        return TEXT_DECODERS["binascii.unhexlify"](budget, data)
    if name in ("zlib", "zip"):
        return inflate(data, budget)
    if name == "bz2":
        return bunzip(data, budget)
    if name.replace("_", "-") in CODECS or name in CODECS:
        return data.decode(name) if isinstance(data, bytes) else data.encode(name)
    return Unknown(f"the codec {name}")
