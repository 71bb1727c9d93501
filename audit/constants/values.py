"""What an evaluation of constants deals in: values that are not known, names of libraries, their objects, limits."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from audit.constants.decompress import Budget


class Unknown:
    """A value that is not constant; ``why`` says what made it so."""

    def __init__(self, why: str = "") -> None:
        self.why = why

    def __repr__(self) -> str:
        return f"Unknown({self.why})"


UNKNOWN = Unknown()


class OutOfBudget(Exception):
    """Too many steps or too long."""


@dataclass(frozen=True)
class Name:
    """A library's module, function or class by its dotted name: ``lzma.decompress``."""

    dotted: str


@dataclass(frozen=True)
class Thing:
    """An object of a library whose methods are known: a decompressor, an open file, an import specification."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Code:
    """What ``compile`` returns: the source, not compiled."""

    source: str | bytes
    filename: str


@dataclass
class Limits:
    """Steps and seconds an evaluation may take, and the bytes its decoders may give out."""

    steps: int = 2_000_000
    seconds: float = 10.0
    memory: int = 256 << 20  # bytes of large values built on the way
    budget: Budget = field(default_factory=Budget)
    deadline: float = field(default_factory=lambda: 0.0)

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.seconds

    def tick(self, amount: int = 1) -> None:
        self.steps -= amount
        if self.steps < 0:
            raise OutOfBudget("too many steps")
        if self.steps % 1024 < amount and time.monotonic() > self.deadline:
            raise OutOfBudget(f"more than {self.seconds:g} seconds")


CONTAINERS = (list, tuple, set, frozenset, dict)


def known(value: object) -> bool:
    """Whether a value, and all it holds, is constant."""
    if not isinstance(value, CONTAINERS):
        return not isinstance(value, Unknown)
    seen: set[int] = set()
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, Unknown):
            return False
        if isinstance(item, CONTAINERS) and id(item) not in seen:
            seen.add(id(item))
            todo.extend(item.values() if isinstance(item, dict) else item)
    return True


def plain(value: object) -> bool:
    """Whether a value is constant data: not a library's module or function, nor an object of one."""
    return known(value) and not isinstance(value, (Name, Thing, Code))


def require_flat(*values: object) -> None:
    """Raise TypeError for containers three deep: comparing or hashing shared nests takes exponential time."""
    for value in values:
        if isinstance(value, CONTAINERS):
            for item in value.values() if isinstance(value, dict) else value:
                if isinstance(item, CONTAINERS):
                    inner = item.values() if isinstance(item, dict) else item
                    if len(value) > 1000 or any(isinstance(part, CONTAINERS) for part in inner):
                        raise TypeError("containers nested too deeply")
