"""Counts the bytes that an entry ships: its code as it stands, as one packed file, and the artifact."""

from __future__ import annotations

import base64
import hashlib
import lzma
from dataclasses import dataclass
from pathlib import Path

from submission.errors import InputError

ROOT = Path(__file__).resolve().parent
TOOLS = ("bundle", "describe.py", "fineweb.py")  # of the front door: no phase of a run imports them


@dataclass(frozen=True)
class Size:
    """Bytes of the code as shipped, of the code as one self-extracting file, and of the artifact."""

    code: int
    packed_code: int
    artifact: int

    @property
    def total(self) -> int:
        return self.code + self.artifact


def code_files(root: Path = ROOT) -> tuple[Path, ...]:
    """Everything that a run of the entry reads of its own: sources and presets, or the one file of a bundle."""
    if not (root / "__init__.py").exists():
        return (root / "train_gpt.py",)
    found = [*root.rglob("*.py"), *root.rglob("*.toml")]
    outside = {root / name for name in TOOLS}
    return tuple(
        sorted(path for path in found if not outside & {path, *path.parents} and "__pycache__" not in path.parts)
    )


def measure(artifact_bytes: int, root: Path = ROOT) -> Size:
    """The sizes for an artifact of that many bytes."""
    sources = [path.read_bytes() for path in code_files(root)]
    packed = base64.b85encode(lzma.compress(b"".join(sources), preset=9 | lzma.PRESET_EXTREME))
    stub = len(b"import lzma,base64\nexec(lzma.decompress(base64.b85decode('')))\n")
    return Size(sum(map(len, sources)), len(packed) + stub, artifact_bytes)


def require_fit(size: Size, limit: int, artifact: Path) -> None:
    """Refuse an entry over the limit.

    Raises:
        InputError: code and artifact together are larger than ``limit`` bytes.
    """
    if size.total > limit:
        raise InputError(
            artifact, f"code + artifact of at most {limit} bytes", f"{size.code} + {size.artifact} = {size.total}"
        )


def code_hash(root: Path = ROOT) -> str:
    """SHA-256 over names and contents of the code, so that a log says which code made it."""
    digest = hashlib.sha256()
    for path in code_files(root):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
