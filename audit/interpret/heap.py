"""The objects an analysed program makes: functions, classes, instances, modules, containers, files and arrays."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING

from audit.provenance import Linear, Trail, Value

if TYPE_CHECKING:
    from audit.source import Module


FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Thing:
    """Anything a value can refer to; ``depth`` and ``dead`` say where it was made, for a write must know."""

    __slots__ = ("bits", "dead", "depth", "loops", "node", "trail")
    apart = False  # whether what it holds can still be taken apart

    def __init__(self, node: ast.AST | None = None) -> None:
        self.bits = 0  # what was written into it
        self.loops = 0
        self.depth = 0
        self.dead = False
        self.node = node
        self.trail: Trail | None = None


class Frame:
    """The variables of one call, module or class body; ``outer`` is the scope it closes over."""

    __slots__ = ("code", "declared", "file", "module", "name", "outer", "receiver", "results", "variables", "yields")

    def __init__(
        self, module: ModuleThing, outer: Frame | None, code: ast.AST | None, file: str, name: str = ""
    ) -> None:
        self.variables: dict[str, Value] = {}
        self.module, self.outer, self.code, self.file, self.name = module, outer, code, file, name
        self.declared: dict[str, Frame] = {}  # names that `global` or `nonlocal` send elsewhere
        self.results: list[Value] = []
        self.yields: list[Value] = []
        self.receiver: Thing | None = None  # the object a method runs on


class Function(Thing):
    """A function with the scope it closes over and, where it is a method, the object it is bound to."""

    __slots__ = ("bound", "definition", "frame", "name", "owner")

    def __init__(
        self, definition: FunctionNode, frame: Frame, owner: Class | None = None, bound: Value | None = None
    ) -> None:
        super().__init__(definition)
        self.definition, self.frame, self.owner, self.bound = definition, frame, owner, bound
        self.name = getattr(definition, "name", "<lambda>")


class Partial(Thing):
    """A call with some arguments already given."""

    __slots__ = ("function", "given", "named")

    def __init__(self, function: Value, given: list[Value], named: dict[str, Value]) -> None:
        super().__init__()
        self.function, self.given, self.named = function, given, named


class Class(Thing):
    """A class of the program; ``external`` are the dotted names of bases from libraries."""

    __slots__ = ("attributes", "bases", "definition", "external", "fields", "frame")

    def __init__(self, definition: ast.ClassDef, frame: Frame) -> None:
        super().__init__(definition)
        self.definition, self.frame = definition, frame
        self.bases: list[Class] = []
        self.external: list[str] = []
        self.attributes: dict[str, Value] = {}
        self.fields: list[str] = []  # annotated names in order: a dataclass takes them as parameters

    def find(self, name: str) -> Value | None:
        """Return the attribute of the class or its bases."""
        if name in self.attributes:
            return self.attributes[name]
        for base in self.bases:
            if (found := base.find(name)) is not None:
                return found
        return None

    def derives(self, *endings: str) -> bool:
        """Say whether a library base's last name is one of these, here or in a base."""
        return any(e.rsplit(".", 1)[-1] in endings for e in self.external) or any(
            b.derives(*endings) for b in self.bases
        )


class Instance(Thing):
    """An object of a program's class; ``owner`` is the model that a submodule is part of."""

    __slots__ = ("attributes", "cls", "owner", "weights")

    def __init__(self, cls: Class | None, node: ast.AST | None) -> None:
        super().__init__(node)
        self.cls = cls
        self.attributes: dict[str, Value] = {}
        self.owner: Instance | None = None
        self.weights = 0  # events and data that the parameters rest on

    def root(self) -> Instance:
        """Return the outermost model this is part of."""
        at = self
        for _ in range(20):
            if at.owner is None:
                break
            at = at.owner
        return at


class Array(Thing):
    """A tensor or array made by an allocation: what is written into it stays with it through views."""

    __slots__ = ("alone", "counted", "leaf", "parts", "position")

    def __init__(self, node: ast.AST | None = None) -> None:
        super().__init__(node)
        self.counted = False  # incremented under token keys somewhere
        self.leaf = False
        self.position: Linear | None = None
        self.parts: dict[int, Value] = {}  # what was written under a constant index
        self.alone: list[tuple[ast.AST, Value]] = []  # numbers written into it that look at no target


class Columns(Thing):
    """Several values stacked into one tensor; ``bits`` are what they make where they are mixed with each other."""

    __slots__ = ("members",)
    apart = True

    def __init__(self, members: list[Value], bits: int) -> None:
        super().__init__()
        self.members, self.bits = members, bits


class Sequence(Thing):
    """A list, set, generator or other container; ``items`` while its elements are known, ``element`` joins all."""

    __slots__ = ("counted", "element", "items", "kind", "members", "origin")

    def __init__(self, node: ast.AST | None = None, items: list[Value] | None = None, kind: str = "list") -> None:
        super().__init__(node)
        self.items = items
        self.element: Value | None = None
        self.members: list[Value] = list(items or [])  # distinct values put in, at most 24
        self.kind = kind
        self.origin: ast.AST | None = None  # the range it lists
        self.counted = False


class Mapping(Thing):
    """A dictionary; ``entries`` for constant keys, ``element`` joins all values, ``keys`` what keys are made of."""

    __slots__ = ("counted", "element", "entries", "factory", "keys")

    def __init__(self, node: ast.AST | None = None) -> None:
        super().__init__(node)
        self.entries: dict[object, Value] = {}
        self.element: Value | None = None
        self.keys = Value()
        self.counted = False
        self.factory: Value | None = None


class ModuleThing(Thing):
    """A module of the submission, with its globals."""

    __slots__ = ("frame", "module", "state")

    def __init__(self, module: Module) -> None:
        super().__init__(module.tree)
        self.module = module
        self.frame = Frame(self, None, module.tree, module.file, "<module>")
        self.state = "new"  # new | running | done


class External(Thing):
    """Something of a library, by its dotted name: ``torch.nn.functional.cross_entropy``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Method(Thing):
    """A method of a library object: the receiver and the method's name."""

    __slots__ = ("name", "receiver")

    def __init__(self, receiver: Value, name: str) -> None:
        super().__init__()
        self.receiver, self.name = receiver, name


class Layer(Thing):
    """A layer of a library: ``torch.nn.Linear``, ``torch.nn.Embedding``."""

    __slots__ = ("name", "owner")

    def __init__(self, node: ast.AST | None, name: str) -> None:
        super().__init__(node)
        self.name = name
        self.owner: Instance | None = None


class Super(Thing):
    """What ``super()`` gives inside a method."""

    __slots__ = ("owner", "receiver")

    def __init__(self, owner: Class, receiver: Value) -> None:
        super().__init__()
        self.owner, self.receiver = owner, receiver


class Optimizer(Thing):
    """An optimiser; ``models`` and ``leaves`` are what it steps."""

    __slots__ = ("leaves", "models", "name")

    def __init__(self, node: ast.AST | None, name: str) -> None:
        super().__init__(node)
        self.name = name
        self.models: list[Instance] = []
        self.leaves: list[Array] = []


class Parameters(Thing):
    """What ``model.parameters()`` gives: the models and fresh tensors a list of parameters comes from."""

    __slots__ = ("leaves", "models")

    def __init__(self, models: list[Instance], leaves: list[Array]) -> None:
        super().__init__()
        self.models, self.leaves = models, leaves


class Parser(Thing):
    """An argparse parser: what it gives without arguments."""

    __slots__ = ("defaults",)

    def __init__(self) -> None:
        super().__init__()
        self.defaults: dict[str, Value] = {}


class Template(Thing):
    """A text of which some parts are unknown, each written as NUL."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Range(Thing):
    """What ``range`` gives: where it starts, and how often it goes round where that is known."""

    __slots__ = ("start", "stop", "times")

    def __init__(self, start: Value, stop: Value, times: int | None, node: ast.AST) -> None:
        super().__init__(node)
        self.start, self.stop, self.times = start, stop, times


class Buffer(Thing):
    """A file or a buffer in memory: what went in comes out."""

    __slots__ = ("path", "reads")

    def __init__(self, path: Value, reads: bool) -> None:
        super().__init__()
        self.path, self.reads = path, reads


SLICE = Thing()


def constant(value: object) -> Value:
    """Wrap a Python constant."""
    return Value(const=value)


@lru_cache(maxsize=1 << 14)
def external(name: str) -> Value:
    """Return something of a library by its dotted name; one value serves all, for nothing is written into it."""
    return Value(thing=External(name))


def seen(value: Value) -> Value:
    """Return a value as it is read: with what has been written into the array it refers to."""
    thing = value.thing
    if thing.__class__ is Array:
        bits = value.bits | thing.bits
        if bits != value.bits or thing.position is not value.position or thing.loops & ~value.loops:
            return Value(
                bits,
                value.const,
                thing,
                value.items,
                value.position or thing.position,
                value.loops | thing.loops,
                thing.trail or value.trail,
            )
    return value
