"""The gate's limits: the contest's own, unless a configuration file or an option says otherwise."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path

from reproduce.errors import InputError

CONFIG_NAMES = ("golfproof.toml", "pyproject.toml")


@dataclass(frozen=True)
class Limits:
    """Bytes, seconds and counts. The defaults are the contest's README; the tolerances are the practice of its reviews.

    ``train_overshoot``: seconds past the limit that a training clock may show, since it is read between two steps.
    """

    total_bytes: int = 16_000_000
    train_seconds: float = 600.0
    eval_seconds: float = 600.0
    train_overshoot: float = 1.0
    seeds: int = 3
    world_size: int = 8


def read_limits(start: str | Path, given: dict[str, object] | None = None) -> Limits:
    """Limits from the first golfproof.toml, or pyproject.toml with a [tool.golfproof] table, at or above ``start``.

    ``given`` (options; None values are absent) goes before the file. Raises InputError for a key or value that does not
    fit.
    """
    values: dict[str, object] = {}
    folder = Path(start).resolve()
    source = folder
    for parent in (folder, *folder.parents):
        table = _table(parent)
        if table is not None:
            source, values = table
            break
    options = {key: value for key, value in (given or {}).items() if value is not None}
    return _checked(_checked(Limits(), values, source), options, Path("the options"))


def _table(folder: Path) -> tuple[Path, dict[str, object]] | None:
    for name in CONFIG_NAMES:
        path = folder / name
        if not path.is_file():
            continue
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise InputError(path, "TOML", str(error)) from error
        tool = content.get("tool", {}) if name == "pyproject.toml" else {"golfproof": content.get("gate", content)}
        table = tool.get("golfproof") if isinstance(tool, dict) else None
        if isinstance(table, dict):
            inner = table.get("gate", table)
            return path, inner if isinstance(inner, dict) else {}
    return None


def _checked(limits: Limits, values: dict[str, object], source: Path) -> Limits:
    kinds = {field.name: type(getattr(limits, field.name)) for field in fields(Limits)}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in kinds:
            raise InputError(source, f"limits among {', '.join(kinds)}", key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e15:
            raise InputError(source, f"a number for {key}", repr(value)[:60])
        limits = replace(limits, **{name: kinds[name](value)})
    return limits
