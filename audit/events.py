"""What the evaluator does, in order: score, adapt, count, look up, mix, read, report, and in which loops and calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from audit.provenance import Trail, Value


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop as it runs in one call; ``bit`` marks values that depend on its variable."""

    bit: int
    node: ast.AST
    file: str
    times: int | None = None  # how often it runs, where that folds to a constant
    over: str = ""  # range | data | while: what it goes over


@dataclass(frozen=True, slots=True)
class Call:
    """One call on the way to an event."""

    node: ast.AST
    file: str  # of the caller
    function: str  # the callee
    line: int
    block: int = 0  # the statements it stands among, told apart from others


@dataclass(slots=True)
class Event:
    """One thing the program does. ``loops`` and ``calls`` are outermost first; ``bit`` marks values that rest on it."""

    kind: str
    node: ast.AST
    file: str
    line: int
    order: int
    loops: tuple[Loop, ...]
    calls: tuple[Call, ...]
    value: Value
    bit: int = 0
    active: bool = True
    because: str = ""
    text: str = ""
    function: str = ""
    data: dict[str, object] = field(default_factory=dict)

    @property
    def trail(self) -> Trail | None:
        """The way its value came."""
        return self.value.trail


@dataclass
class Timeline:
    """All events of a run through the program, in order."""

    events: list[Event] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)  # what could not be followed, for the reader
    settings: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> value, where it was read

    def of(self, *kinds: str) -> Iterator[Event]:
        """Yield the events of some kinds."""
        return (event for event in self.events if event.kind in kinds)


def common_loops(a: Event, b: Event) -> list[Loop]:
    """Return the loops that hold both events, outermost first."""
    shared = []
    for one, other in zip(a.loops, b.loops, strict=False):
        if one.bit != other.bit:
            break
        shared.append(one)
    return shared
