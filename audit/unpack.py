"""Unpacks self-extracting scripts: follows constants to what is executed, without executing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from audit.constants.decompress import Budget
from audit.constants.values import Limits
from audit.execution import follow, may_run_code, names_runner
from audit.layers import Layer, Unpacked, World, assemble
from audit.parse import decode_source, parse_source

if TYPE_CHECKING:
    from audit.source import Module


def unpack(source: bytes | str, name: str, read: Callable[[str], bytes | None] | None = None) -> Unpacked:
    """Take the packing off a script: every compression and encoding of the standard library, brotli and zstd, nested.

    ``read`` gives the bytes of a file beside it by its relative name, or None. Raises ParseError for text that is not
    Python and InputError-like limits through ``Unpacked.unresolved``; never executes a statement of the script.
    """
    text = source if isinstance(source, str) else decode_source(source, name)
    world = World(read or (lambda wanted: None), Limits(budget=Budget()))
    world.layers.append(Layer(text, name, packed_bytes=len(source)))
    if (runs := may_run_code(text)) is not False:
        world.trees[0] = parse_source(text, name)
        if runs or names_runner(world.trees[0]):
            follow(world, 0, world.trees[0], name)
    return assemble(world, name)


def write_unpacked(modules: Iterable[Module], directory: str | Path) -> tuple[Path, ...]:
    """Save the unpacked text of every module under ``directory``; raises InputError rather than overwrite a file."""
    from reproduce.errors import InputError

    target = Path(directory)
    if target.exists() and not target.is_dir():
        raise InputError(target, "a folder to write the unpacked sources to", "a file")
    todo: list[tuple[Path, str]] = []
    for module in modules:
        parts = [part for part in module.file.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        path = target.joinpath(*parts)
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != module.text:
            raise InputError(path, "a new file for the unpacked source", "a file that is there already")
        todo.append((path, module.text))
    for path, text in todo:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return tuple(path for path, _ in todo)
