"""What the allowed functions and methods give for constants, within limits."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from audit.constants.allowed import BUILTINS, CLASS_METHODS, CODECS, CONSTANTS, METHODS, OS_PATH
from audit.constants.decoders import codec, decode
from audit.constants.decompress import TEXT_DECODERS, TooBig
from audit.constants.values import CONTAINERS, UNKNOWN, Code, Limits, Name, Thing, Unknown, require_flat

MAX_ITEMS = 200_000  # elements of a list, characters added by a format


def call_library(limits: Limits, name: str, args: list[Any], options: dict[str, Any]) -> Any:
    """Return what a function, by its dotted name, gives for constants; Unknown for one that is not allowed."""
    if name in TEXT_DECODERS:
        data = args[0] if args else options.pop("s")
        return TEXT_DECODERS[name](limits.budget, data, *args[1:], **options)
    if name in BUILTINS:
        return builtin(limits, name, args, options)
    if name in OS_PATH:
        return OS_PATH[name](*args)
    if class_method := CLASS_METHODS.get(name):
        return bounded(limits, class_method(*args, **options))
    if name == "range":
        made = range(*args)
        if len(made) > MAX_ITEMS:
            raise TooBig("a range")
        return made
    if name in ("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"):
        return posixpath.join(*args) if args else "."
    if name in ("io.BytesIO", "io.StringIO"):
        return Thing("buffer", {"content": args[0] if args else b""})
    return decode(limits, name, args, options)


def bounded(limits: Limits, value: Any) -> Any:
    """Charge a large result to the memory allowed; raises TooBig."""
    if isinstance(value, int) and value.bit_length() > 100_000:
        raise TooBig("a number")
    if isinstance(value, (str, bytes, bytearray, list, tuple)) and len(value) > 1 << 14:
        size = len(value) * (8 if isinstance(value, (list, tuple)) else 1)
        limits.memory -= size
        if size > 2 * limits.budget.largest or limits.memory < 0:
            raise TooBig("a value")
    return value


def iterate(limits: Limits, value: Any) -> Iterator[Any]:
    """Items of a constant collection; raises TypeError for others, OutOfBudget past the steps."""
    if not isinstance(value, (str, bytes, bytearray, list, tuple, dict, set, frozenset, range)) and not hasattr(
        value, "mapping"
    ):
        raise TypeError("not a constant collection")
    for item in value:
        limits.tick()
        yield item


def attribute_of(owner: Any, name: str) -> Any:
    """Return ``owner.name`` for modules, things, and the methods of constants."""
    if isinstance(owner, Unknown):
        return owner
    if isinstance(owner, Name):
        dotted = f"{owner.dotted}.{name}".removeprefix("builtins.")
        dotted = dotted.removeprefix("compression.")
        return CONSTANTS.get(dotted, Name(dotted))
    if isinstance(owner, Thing):
        return owner.data.get(name, Thing("method", {"owner": owner, "name": name}))
    if isinstance(owner, str) and name == "parents":
        steps = [owner]
        while posixpath.dirname(steps[-1]) != steps[-1]:
            steps.append(posixpath.dirname(steps[-1]))
        return steps[1:]
    if isinstance(owner, str) and name in ("parent", "name", "stem", "suffix"):  # pathlib: paths are plain strings
        base = posixpath.basename(owner)
        stem, suffix = posixpath.splitext(base)
        return {"parent": posixpath.dirname(owner), "name": base, "stem": stem, "suffix": suffix}[name]
    return Thing("method", {"owner": owner, "name": name})


def path_method(path: str, name: str, args: list[Any]) -> Any:
    """Methods of pathlib's paths, which are plain strings here; reading and writing are not among them."""
    if name in ("resolve", "absolute", "as_posix"):
        return path
    if name == "joinpath":
        return posixpath.join(path, *args)
    if name == "with_name":
        return posixpath.join(posixpath.dirname(path), args[0])
    if name == "with_suffix":
        return posixpath.splitext(path)[0] + args[0]
    return UNKNOWN


def method_of_constant(limits: Limits, owner: Any, name: str, args: list[Any], options: dict[str, Any]) -> Any:
    """Return what a method of a text, a number or a container gives; raises TooBig where it would grow."""
    if isinstance(owner, str) and name == "format":
        return format_text(limits, owner, args, options)
    if name not in METHODS.get(type(owner), frozenset()):
        return Unknown(f"{type(owner).__name__}.{name}")
    if name in ("encode", "decode"):
        name_of_codec = str(args[0] if args else options.get("encoding", "utf-8")).lower()
        if name_of_codec not in CODECS:
            return codec(limits.budget, owner, name_of_codec)
    require_flat(*args)
    if name in ("replace", "translate", "join"):
        check_growth(limits, owner, name, args)
    if name == "to_bytes" and args and args[0] > limits.budget.largest:
        raise TooBig("to_bytes")
    if name in ("split", "rsplit", "splitlines") and len(owner) > MAX_ITEMS:
        separator = args[0] if args and args[0] else (b"\n" if isinstance(owner, bytes) else "\n")
        if (name != "splitlines" and not args) or owner.count(separator) > MAX_ITEMS:
            raise TooBig("a split")
    return bounded(limits, getattr(owner, name)(*args, **options))


def check_growth(limits: Limits, owner: Any, name: str, args: list[Any]) -> None:
    """Raise TooBig where a text method would give more than is allowed."""
    if name == "replace":
        grown = owner.count(args[0]) * max(len(args[1]) - len(args[0]), 0)
    elif name == "join":
        grown = sum(len(part) + len(owner) for part in args[0])
    else:
        grown = len(owner) * 64 if any(len(str(item)) > 64 for item in getattr(args[0], "values", list)()) else 0
    if len(owner) + grown > limits.budget.largest:
        raise TooBig(f"the result of {name}")


def format_text(limits: Limits, template: str, args: list[Any], options: dict[str, Any]) -> Any:
    """Return what ``str.format`` gives for plain fields."""
    values = [*args, *options.values()]
    if ":" in template or "!" in template or "." in template or "[" in template:
        return Unknown("a format with a specification")
    if not all(isinstance(value, (str, int, float)) for value in values):
        return UNKNOWN
    if template.count("{") * max((len(str(value)) for value in values), default=0) > limits.budget.largest:
        raise TooBig("a format")
    return template.format(*args, **options)


def builtin(limits: Limits, name: str, args: list[Any], options: dict[str, Any]) -> Any:
    """Return what a builtin gives; raises TooBig for what would take long or much memory."""
    require_flat(*args)
    if name == "sum" and not all(isinstance(item, (int, float)) for item in iterate(limits, args[0])):
        return Unknown("a sum of collections")
    if name not in ("bytes", "bytearray", "len", "str", "memoryview") and any(
        len(arg) > 8 * MAX_ITEMS for arg in args if isinstance(arg, (str, bytes, bytearray, *CONTAINERS))
    ):
        raise TooBig("a collection")
    first = args[0] if args else None
    if name in ("bytes", "bytearray") and isinstance(first, int) and first > limits.budget.limit():
        raise TooBig("a buffer")
    if name in ("bytes", "bytearray") and isinstance(first, (list, tuple)):
        limits.tick(len(first))
    if isinstance(first, int) and first.bit_length() > 10_000:
        return Unknown("a long number")
    if name == "str" and args and not isinstance(first, (str, bytes, int, float)):
        return UNKNOWN
    if name in ("repr", "len") and isinstance(first, (Thing, Name, Code)):
        return UNKNOWN
    return bounded(limits, BUILTINS[name](*args, **options))
