"""The one file a run ships: checked header, integers and scales without pickle, compressed with zstd.

Layout: magic ``GPFA``, version (uint16), hash of the rest (sha256), length of the content (uint64), zstd frame.
The content is a JSON index, its length first (uint32), then the tensors' bytes one after another. Integers stand one
a byte: zstd's entropy coder gets below the bits that packing would take, because the values are not uniform.
Wider numbers stand with all their first bytes together, then all their second ones, which compresses better.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard
from numpy.typing import NDArray

from submission.config import Config, from_mapping
from submission.data import ByteTable
from submission.errors import InputError
from submission.model import GPT
from submission.model.state import load_state
from submission.quantize.plan import Stored

ARTIFACT_MAGIC, ARTIFACT_VERSION, LEVEL = b"GPFA", 1, 22
PREFIX = struct.Struct("<4sH32sQ")
LARGEST_CONTENT = 1 << 30
TYPES = {"i1": np.int8, "f2": np.float16, "f4": np.float32, "i2": np.int16, "b1": np.bool_}


@dataclass(frozen=True)
class Artifact:
    """What a file holds: the configuration, the stored weights by name, and the byte table of the tokenizer."""

    config: Config
    weights: dict[str, Stored]
    table: ByteTable

    def model(self) -> GPT:
        """The network with the restored weights, float32 on the CPU."""
        model = GPT(self.config)
        load_state(model, {name: stored.restored() for name, stored in self.weights.items()}, "artifact")
        return model


def pack(config: Config, weights: Mapping[str, Stored], table: ByteTable) -> bytes:
    """The bytes of an artifact."""
    index: list[list[Any]] = []
    parts: list[bytes] = []

    def add(name: str, role: str, array: NDArray[Any], levels: int) -> None:
        kind = next(key for key, value in TYPES.items() if array.dtype == value)
        index.append([name, role, kind, list(array.shape), levels])
        parts.append(_interleaved(array))

    for name, stored in weights.items():
        add(name, "values", stored.values.numpy(), stored.levels)
        if stored.scale is not None:
            add(name, "scale", stored.scale.numpy(), 0)
    for field in ("base", "space", "boundary"):
        add(field, "table", getattr(table, field), 0)
    # Places on the machine that made it are nobody's business and would change the size.
    shipped = dataclasses.replace(config, data_path="", tokenizer_path="", out_dir="", run_id="")
    header = json.dumps({"config": dataclasses.asdict(shipped), "tensors": index}, separators=(",", ":")).encode()
    content = struct.pack("<I", len(header)) + header + b"".join(parts)
    if len(content) > LARGEST_CONTENT:
        raise InputError("artifact", f"at most {LARGEST_CONTENT} bytes of content", str(len(content)))
    frame = zstandard.ZstdCompressor(level=LEVEL).compress(content)
    body = struct.pack("<Q", len(content)) + frame
    return ARTIFACT_MAGIC + struct.pack("<H", ARTIFACT_VERSION) + hashlib.sha256(body).digest() + body


def save(path: Path, data: bytes) -> None:
    """Write the artifact so that it appears whole or not at all."""
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load(path: Path) -> Artifact:
    """Read an artifact.

    Raises:
        InputError: no artifact, a truncated, oversized or tampered one, or one whose index does not fit its content.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, "an artifact", error.strerror or "nothing readable") from None
    return unpack(data, path)


def unpack(data: bytes, source: str | Path = "artifact") -> Artifact:
    """The artifact that ``data`` holds; ``source`` names it in errors. Raises as ``load``."""
    if len(data) < PREFIX.size:
        raise InputError(source, f"an artifact header of {PREFIX.size} bytes", f"{len(data)} bytes")
    magic, version, digest, size = PREFIX.unpack_from(data)
    if magic != ARTIFACT_MAGIC or version != ARTIFACT_VERSION:
        raise InputError(source, f"an artifact of version {ARTIFACT_VERSION}", "another kind of file")
    if hashlib.sha256(data[PREFIX.size - 8 :]).digest() != digest:
        raise InputError(source, "the content its checksum names", "a truncated or changed file")
    if size > LARGEST_CONTENT:
        raise InputError(source, f"at most {LARGEST_CONTENT} bytes of content", f"{size} announced")
    content = _decompressed(data[PREFIX.size :], size, source)
    try:
        return _read(content, source)
    except (struct.error, ValueError, KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(source, "an index that fits the content", str(error)[:120]) from None


def _decompressed(frame: bytes, size: int, source: str | Path) -> bytes:
    """The content of a frame that holds exactly ``size`` bytes; no more than that is ever laid in memory."""
    try:
        if zstandard.frame_content_size(frame) not in (-1, size):
            raise InputError(source, f"{size} bytes of content", f"{zstandard.frame_content_size(frame)} announced")
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(frame, read_across_frames=True)
        content = reader.read(size + 1)
    except zstandard.ZstdError as error:
        raise InputError(source, "a zstd frame", str(error)) from None
    if len(content) != size:
        raise InputError(source, f"{size} bytes of content", f"{'more' if len(content) > size else len(content)}")
    return content


def _read(content: bytes, source: str | Path) -> Artifact:
    (length,) = struct.unpack_from("<I", content)
    header = json.loads(content[4 : 4 + length])
    position = 4 + length
    arrays: dict[tuple[str, str], tuple[NDArray[Any], int]] = {}
    for name, role, kind, shape, levels in header["tensors"]:
        if role not in ("values", "scale", "table") or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"tensor {name}")
        dtype = np.dtype(TYPES[kind])
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize if shape else dtype.itemsize
        if position + size > len(content):
            raise ValueError(f"tensor {name} ends beyond the content")
        if (name, role) in arrays:
            raise ValueError(f"tensor {name} stands there twice")
        arrays[name, role] = _separated(content[position : position + size], dtype, shape), int(levels)
        position += size
    if position != len(content):
        raise ValueError(f"{len(content) - position} bytes left over")
    weights = {}
    for (name, role), (array, levels) in arrays.items():
        if role == "values":
            scale, _ = arrays.get((name, "scale"), (None, 0))
            integers = array.dtype == np.int8
            if integers is (scale is None) or (scale is not None and scale.shape != array.shape[:1]):
                raise ValueError(f"tensor {name} with a scale that does not fit")
            weights[name] = Stored(torch.from_numpy(array), None if scale is None else torch.from_numpy(scale), levels)
    config = from_mapping(header["config"], source)
    table = ByteTable(*(arrays[field, "table"][0] for field in ("base", "space", "boundary")))
    kinds = {"base": "int16", "space": "bool", "boundary": "bool"}
    if any(
        getattr(table, f).dtype != kind or getattr(table, f).shape != (config.vocab_size,) for f, kind in kinds.items()
    ):
        raise ValueError("byte table of another vocabulary")
    return Artifact(config, weights, table)


def _interleaved(array: NDArray[Any]) -> bytes:
    flat = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).reshape(-1)
    return flat.view(np.uint8).reshape(-1, array.dtype.itemsize).T.tobytes()


def _separated(data: bytes, dtype: np.dtype[Any], shape: list[int]) -> NDArray[Any]:
    planes = np.frombuffer(data, dtype=np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype.newbyteorder("<")).astype(dtype).reshape(shape)
