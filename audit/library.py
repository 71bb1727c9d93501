"""What the functions of Python, numpy and torch do to abstract values, as far as the rules need to know."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from audit import tensors
from audit.folding import call_pure, call_text, words
from audit.heap import (
    Array,
    Class,
    External,
    Function,
    Instance,
    Layer,
    Mapping,
    Method,
    ModuleThing,
    Optimizer,
    Parameters,
    Parser,
    Partial,
    Sequence,
    Super,
    Thing,
    constant,
)
from audit.provenance import (
    ARTIFACT,
    BYTES,
    CLOCK,
    COUNT,
    CURRENT,
    EVENTS,
    FULL,
    GRADIENT,
    INPUT,
    LEAF,
    MODEL,
    NLL,
    NOT_TARGET,
    NOTHING,
    PARAM,
    RANK,
    TARGET,
    TEXT,
    TOKEN,
    TRAIN,
    UNKNOWN,
    VAL,
    Value,
    join,
)

if TYPE_CHECKING:
    from audit.interpreter import Interpreter


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


# ---------------------------------------------------------------------- texts

VAL_FILE = re.compile(r"(^|[^a-z])val(id|idation)?([^a-z]|$)", re.I)
TRAIN_FILE = re.compile(r"(^|[^a-z])train(ing)?([^a-z]|$)", re.I)
DATA_FILE = re.compile(r"\*|\.bin\b|\.npy\b|\.npz\b|\.pt\b|\.jsonl\b|\.parquet\b|\.u16\b|\.tokens\b", re.I)


def text_bits(text: str) -> int:
    """Say which data a file name or pattern stands for."""
    if len(text) > 300 or "\n" in text or not DATA_FILE.search(text):
        return 0
    name = text.rsplit("/", 1)[-1] if not text.endswith("/") else text
    bits = 0
    if "byte" in name.lower():
        return BYTES  # a sidecar with the bytes of each token
    if VAL_FILE.search(name):
        bits |= VAL
    elif TRAIN_FILE.search(name):
        bits |= TRAIN
    return bits


def text_of(value: Value) -> str | None:
    """Return the text a value holds, unknown parts as NUL."""
    if isinstance(value.const, str):
        return value.const
    return value.thing.text if isinstance(value.thing, Template) else None


# ---------------------------------------------------------------------- containers


def union(values: Iterable[Value]) -> Value:
    """Return a value made of all of these, containers' contents included."""
    bits = loops = 0
    trail = None
    for value in values:
        bits |= deep_bits(value)
        loops |= value.loops
        if value.trail is not None and (trail is None or value.bits & (TARGET | VAL)):
            trail = value.trail
    return Value(bits, loops=loops, trail=trail)


def deep_bits(value: Value, depth: int = 3) -> int:
    """Return what a value and what it holds are made of."""
    bits = value.bits
    if depth == 0:
        return bits
    for item in value.items or ():
        bits |= deep_bits(item, depth - 1)
    thing = value.thing
    if thing is None:
        return bits
    bits |= thing.bits
    if isinstance(thing, Sequence):
        if thing.element is not None:
            bits |= deep_bits(thing.element, depth - 1)
        for item in thing.items or ():
            bits |= deep_bits(item, depth - 1)
    elif isinstance(thing, Mapping):
        if thing.element is not None:
            bits |= deep_bits(thing.element, depth - 1)
        for item in list(thing.entries.values())[:40]:
            bits |= deep_bits(item, depth - 1)
    elif isinstance(thing, Instance) and thing.root().weights:
        bits |= thing.root().weights
    elif isinstance(thing, Buffer):
        bits |= thing.bits
    return bits


def tuple_of(items: list[Value]) -> Value:
    """Return a tuple; of constants it is a constant too."""
    if items and all(i.const is not UNKNOWN and isinstance(i.const, str | int | float | type(None)) for i in items):
        return Value(const=tuple(i.const for i in items), items=tuple(items))
    loops = 0
    for item in items:
        loops |= item.loops
    return Value(items=tuple(items), loops=loops)


def known_items(value: Value) -> tuple[Value, ...] | None:
    """Return the elements of a container whose length is known."""
    if value.items is not None:
        return value.items
    thing = value.thing
    if isinstance(thing, Sequence) and thing.items is not None:
        return tuple(thing.items)
    if isinstance(value.const, tuple) and len(value.const) <= 64:
        return tuple(constant(c) for c in value.const)
    return None


def origin_of(value: Value) -> ast.Call | None:
    """Return the call of ``range`` with a step that a range, or a list made of one, comes from."""
    thing = value.thing
    origin = thing.node if isinstance(thing, Range) else thing.origin if isinstance(thing, Sequence) else None
    return origin if isinstance(origin, ast.Call) and len(origin.args) == 3 else None


def is_range(value: Value) -> bool:
    """Say whether a value is a ``range``."""
    return isinstance(value.thing, Range)


def length(value: Value) -> int | None:
    """Return how many elements a value has, if that is known."""
    if isinstance(value.thing, Range):
        return value.thing.times
    items = known_items(value)
    return len(items) if items is not None else None


def element_of(interp: Interpreter, value: Value, node: ast.AST) -> Value:
    """Return what going over a value gives."""
    thing = value.thing
    if isinstance(thing, Range):
        at = thing.start.where()
        place = interp.atom("range", node)
        if at is not None and at.terms:  # a constant start is part of the variable
            place = place.plus(at)
        bits = (thing.start.bits | thing.stop.bits) & ~(TOKEN | MODEL | NLL)
        only = thing.start.const if thing.times == 1 else UNKNOWN
        return Value(bits, only, position=place, loops=thing.start.loops | thing.stop.loops)
    if isinstance(thing, Parameters):
        return value.but(items=None)
    items = known_items(value)
    if items is not None:
        if not items:
            return Value(value.bits)
        result = items[0]
        for item in items[1:16]:
            result = join(result, item)
        return result
    if isinstance(thing, Sequence):
        element = thing.element if thing.element is not None else Value(thing.bits)
        return element.but(bits=element.bits | value.bits, loops=element.loops | value.loops)
    if isinstance(thing, Mapping):
        return thing.keys
    if isinstance(thing, Instance) and thing.cls is not None:
        for name in ("__iter__", "__getitem__"):
            method = thing.cls.find(name)
            if method is not None and isinstance(method.thing, Function):
                given = [value] if name == "__iter__" else [value, Value()]
                result = interp.call_function(method.thing, given, {}, node)
                return element_of(interp, result, node) if name == "__iter__" and result.thing is not thing else result
        following = thing.cls.find("__next__")
        if following is not None and isinstance(following.thing, Function):
            return interp.call_function(following.thing, [value], {}, node)
        return Value(value.bits | thing.bits)
    bits = value.bits
    if bits & TOKEN and not bits & (INPUT | TARGET):
        bits |= CURRENT
    at_element = value.position
    if at_element is None and not bits & (TOKEN | MODEL | NLL | PARAM):
        at_element = interp.atom("element", node)
    return Value(bits, UNKNOWN, thing if isinstance(thing, Array) else None, None, at_element, value.loops, value.trail)


def with_loop(value: Value, bit: int) -> Value:
    """Mark a value, and the parts of a tuple, as depending on a loop's variable."""
    items = tuple(with_loop(i, bit) for i in value.items) if value.items is not None else None
    return value.but(loops=value.loops | bit, items=items)


def append(thing: Sequence, value: Value, guard: int = 0) -> None:
    """Put a value into a sequence whose length is then unknown; ``guard`` are the loops that decide whether."""
    if guard & ~value.loops:
        value = value.but(loops=value.loops | guard)
    thing.element = value if thing.element is None else join(thing.element, value)
    if len(thing.members) < 24:
        thing.members.append(value)
    thing.bits |= value.bits & EVENTS


def extend(interp: Interpreter, thing: Sequence, value: Value) -> None:
    """``list += values``."""
    items = known_items(value)
    if items is not None:
        for item in items:
            push(interp, thing, item)
        return
    thing.items = None
    if isinstance(value.thing, Sequence):
        for member in value.thing.members:
            append(thing, member)
    append(thing, element_of(interp, value, interp.frame.code or ast.Pass()))


def push(interp: Interpreter, thing: Sequence, value: Value) -> None:
    """``list.append``: the length stays known outside loops and branches."""
    if thing.items is not None and interp.maybe + len(interp.loops) <= thing.depth and len(thing.items) < 64:
        thing.items.append(value)
        if len(thing.members) < 24:
            thing.members.append(value)
        thing.element = value if thing.element is None else join(thing.element, value)
        return
    append_anywhere(interp, thing, value)


def append_anywhere(interp: Interpreter, thing: Sequence, value: Value) -> None:
    """Put a value at a place that is not known: the items become one element of which every item is."""
    for item in thing.items or ():
        thing.element = item if thing.element is None else join(thing.element, item)
    thing.items = None
    append(thing, value, interp.guard)


def put(thing: Mapping, key: Value, value: Value) -> None:
    """``mapping[key] = value``."""
    thing.keys = join(thing.keys, key) if thing.keys.bits or thing.element is not None else key
    if isinstance(key.const, str | int) and len(thing.entries) < 200:
        thing.entries[key.const] = value
    else:
        thing.element = value if thing.element is None else join(thing.element, value)


def put_item(thing: Sequence, index: Value, value: Value) -> None:
    """``sequence[index] = value``."""
    if thing.items is not None and type(index.const) is int and -len(thing.items) <= index.const < len(thing.items):
        thing.items[index.const] = join(thing.items[index.const], value)
        thing.members.append(value)
    append(thing, value)


def mapping_of(entries: dict[str, Value]) -> Mapping:
    """Return a dictionary of these values."""
    thing = Mapping()
    thing.entries.update(entries)
    return thing


def combine_sequences(interp: Interpreter, op: ast.operator, left: Value, right: Value, node: ast.AST) -> Value | None:
    """``[a] + [b]`` and ``[0] * n``."""
    if isinstance(op, ast.Add):
        a, b = known_items(left), known_items(right)
        if a is not None and b is not None and isinstance(left.thing, Sequence):
            return Value(thing=interp.made(Sequence(items=[*a, *b]), node))
        if isinstance(left.thing, Sequence) or isinstance(right.thing, Sequence):
            thing = Sequence()
            interp.made(thing, node)
            for side in (left, right):
                if isinstance(side.thing, Sequence):
                    for member in side.thing.members:
                        append(thing, member)
            return Value(left.bits | right.bits, thing=thing)
    if isinstance(op, ast.Mult):
        items = known_items(left) if isinstance(left.thing, Sequence) else known_items(right)
        if items is not None and len(items) <= 4:
            thing = Sequence()
            interp.made(thing, node)
            for item in items:
                append(thing, item.but(const=UNKNOWN) if item.const is not UNKNOWN else item)
            return Value(thing=thing)
    return None


def is_import_error(handler: ast.ExceptHandler) -> bool:
    """Say whether a handler is for a library that is not installed: the contest's machine has them all."""
    names = {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)} if handler.type is not None else set()
    return bool(names & {"ImportError", "ModuleNotFoundError"})


# ---------------------------------------------------------------------- models and parameters


def is_model(thing: Thing) -> bool:
    """Say whether an object is a torch module."""
    return isinstance(thing, Instance) and thing.cls is not None and thing.cls.derives("Module")


def mark_input(given: list[Value]) -> list[Value]:
    """The first tokens that go into a model, if they are not the targets, are its input."""
    for i, value in enumerate(given[1:], 1):
        if value.bits & TOKEN:
            if not value.bits & (TARGET | INPUT):
                given = [*given[:i], value.but(bits=value.bits | INPUT), *given[i + 1 :]]
            break
    return given


def from_model(value: Value, weights: int, foreign: int = 0) -> Value:
    """Mark what a model put out with what its weights rest on; attention's distributions stay inside."""
    items = tuple(from_model(i, weights, foreign) for i in value.items) if value.items is not None else None
    if value.const is None or isinstance(value.const, str | int | float):
        return value
    bits = value.bits & ~(FULL | NOT_TARGET | foreign)
    if not bits & NLL:
        bits &= ~TOKEN
    return value.but(bits=bits | weights | PARAM | MODEL, items=items, position=None)


def deepen(value: Value, loops: int, trail: Any) -> Value:
    """Add the loops and the way of arguments to a result taken from memory."""
    items = tuple(deepen(i, loops, trail) for i in value.items) if value.items is not None else None
    return value.but(loops=value.loops | loops, trail=trail or value.trail, items=items)


def without_loops(value: Value, loops: int) -> Value:
    """Return a value that does not depend on these loops."""
    items = tuple(without_loops(i, loops) for i in value.items) if value.items is not None else None
    return value.but(loops=value.loops & ~loops, items=items)


def parameters_of(value: Value, depth: int = 4) -> tuple[list[Instance], list[Array]]:
    """Return the models and fresh tensors that a parameter or a container of parameters belongs to."""
    models: list[Instance] = []
    leaves: list[Array] = []

    def visit(v: Value, left: int) -> None:
        thing = v.thing
        if isinstance(thing, Parameters):
            models.extend(thing.models)
            leaves.extend(thing.leaves)
        elif isinstance(thing, Instance) and is_model(thing):
            models.append(thing)
        elif isinstance(thing, Array):
            if thing.leaf:
                leaves.append(thing)
        elif isinstance(thing, Layer):
            if thing.owner is not None:
                models.append(thing.owner)
        elif isinstance(thing, Instance) and left:
            for inner in list(thing.attributes.values())[:30]:
                visit(inner, 0)
        elif left and isinstance(thing, Sequence):
            for member in thing.members or ():
                visit(member, left - 1)
            if thing.element is not None and not thing.members:
                visit(thing.element, left - 1)
        elif left and isinstance(thing, Mapping):
            for member in list(thing.entries.values())[:40]:
                visit(member, left - 1)
            if thing.element is not None:
                visit(thing.element, left - 1)
        for item in v.items or ():
            if left:
                visit(item, left - 1)

    visit(value, depth)
    roots: dict[int, Instance] = {id(m.root()): m.root() for m in models}
    return list(roots.values()), list({id(leaf): leaf for leaf in leaves}.values())


def make_optimizer(interp: Interpreter, name: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """An optimiser over its first argument."""
    thing = Optimizer(node, name)
    interp.made(thing, node)
    parameters = given[0] if given else named.get("params", Value())
    for value in (parameters, *given[1:2]):
        models, leaves = parameters_of(value)
        thing.models += models
        thing.leaves += leaves
    thing.bits = deep_bits(parameters)
    return Value(bits=0, thing=thing)


# ---------------------------------------------------------------------- attributes and subscripts

ENVIRONMENT = ("os.environ", "environ", "posix.environ")


def external_attribute(interp: Interpreter, thing: External, name: str) -> Value:
    """An attribute of a library object is named by its dots; some are constants."""
    full = f"{thing.name}.{name}"
    if full in ("math.pi", "numpy.pi"):
        return constant(3.141592653589793)
    if full in ("math.inf", "numpy.inf", "torch.inf"):
        return constant(float("inf"))
    return Value(thing=External(full))


def attribute(interp: Interpreter, base: Value, name: str, node: ast.AST) -> Value:
    """Return an attribute of a tensor, a container or an unknown object."""
    if name in ("shape", "ndim", "dtype", "device", "itemsize", "nbytes"):
        return Value(base.bits & RANK, thing=None, loops=base.loops)
    if name in ("grad",):
        return Value(base.bits | GRADIENT, thing=base.thing, loops=base.loops, trail=base.trail)
    if name in ("data", "T", "mT", "real", "flat"):
        return base.but(const=UNKNOWN, items=None)
    if isinstance(base.thing, Mapping) and name in base.thing.entries and not isinstance(base.thing, Parser):
        return base.thing.entries[name]
    return Value(base.bits, thing=Method(base, name), loops=base.loops, trail=base.trail)


def subscript(interp: Interpreter, base: Value, index: Value, node: ast.Subscript) -> Value:
    """Return ``base[index]``."""
    thing = base.thing
    if isinstance(thing, External):
        if thing.name in ENVIRONMENT:
            return environment(interp, index, None, node)
        if thing.name in ("sys.modules",):
            return Value(thing=interp.frame.module)
        return Value()
    items = known_items(base)
    if items is not None:
        if type(index.const) is int and -len(items) <= index.const < len(items):
            return tensors.read(items[index.const])
        if (
            index.items is not None
            and index.thing is not None
            and all(i.const is None or type(i.const) is int for i in index.items)
        ):
            part = items[slice(*(i.const for i in index.items))]
            if isinstance(thing, Sequence):
                return Value(base.bits, thing=interp.made(Sequence(items=list(part)), node))
            return tuple_of(list(part))
    if isinstance(base.const, str | tuple) and index.const is not UNKNOWN and isinstance(index.const, int):
        try:
            return constant(base.const[index.const])
        except IndexError:
            return Value()
    if isinstance(base.const, str) and index.items is not None and index.thing is not None:
        parts = [i.const for i in index.items]
        if all(p is None or type(p) is int for p in parts):
            return constant(base.const[slice(*parts)])
    if isinstance(thing, Mapping):
        return tensors.from_mapping(interp, thing, index, node)
    if isinstance(thing, Sequence) and not base.bits & TOKEN:
        if index.thing is not None and index.items is not None:  # a slice of a list is a list
            part_thing = Sequence()
            interp.made(part_thing, node)
            part_thing.element, part_thing.members = thing.element, thing.members
            if thing.items:
                part_thing.element = element_of(interp, base, node)
            bits = base.bits | (index.bits & RANK)
            return Value(bits, thing=part_thing, loops=base.loops | index.loops, trail=base.trail)
        element = element_of(interp, base, node)
        if thing.counted and index.bits & TOKEN:
            return tensors.table_read(interp, element, index, node)
        return tensors.read(element.but(loops=element.loops | index.loops, const=UNKNOWN))
    if isinstance(thing, Instance) and thing.cls is not None:
        method = thing.cls.find("__getitem__")
        if method is not None and isinstance(method.thing, Function):
            return interp.call_function(method.thing, [base, index], {}, node)
    if isinstance(thing, Parameters):
        return base
    return tensors.index(interp, base, index, node)


def environment(interp: Interpreter, name: Value, default: Value | None, node: ast.AST) -> Value:
    """Return what the submitted configuration has for an environment variable."""
    key = name.const
    if not isinstance(key, str):
        return Value()
    if key in ("RANK", "LOCAL_RANK"):
        return Value(RANK)
    if key in interp.environment:
        text = interp.environment[key]
        interp.timeline.settings[key] = (text, "run")
        return Value(text_bits(text), text)
    if key == "WORLD_SIZE":
        return constant("8")
    if default is None:
        return NOTHING if isinstance(node, ast.Call) else Value()
    if default.const is not UNKNOWN:
        interp.timeline.settings.setdefault(key, (str(default.const), "default"))
    return default


# ---------------------------------------------------------------------- calls

PASS_FIRST = words(
    """
    compile DataParallel DistributedDataParallel DDP njit jit copy checkpoint no_grad
    inference_mode script disable cast ascontiguousarray asarray sync_module_states unwrap_model
    prepare wraps lru_cache cache
    """
)


def call(interp: Interpreter, name: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """Return what a library function gives."""
    last = name.rsplit(".", 1)[-1]
    handler = FUNCTIONS.get(name) or FUNCTIONS.get(last)
    if handler is not None:
        result = handler(interp, last, given, named, node)
        if result is not None:
            return result
    if name.startswith(("builtins.", "math.")):
        consts = [g.const for g in given]
        if given and not named and all(c is not UNKNOWN for c in consts):
            folded = call_pure(last, consts)
            if folded is not UNKNOWN:
                return Value(given[0].bits, folded)
    found = tensors.operation(interp, last, given, named, node, name)
    if found is not None:
        return found
    if "lr_scheduler" in name:
        return Value()
    if last in PASS_FIRST and given:
        return given[0]
    if ".nn." in f".{name}" and last[:1].isupper() and "functional" not in name:
        return Value(PARAM, thing=interp.made(Layer(node, last), node))
    if last[:1].isupper() and ("optim" in name or last in OPTIMIZERS):
        return make_optimizer(interp, last, given, named, node)
    for argument in (*given, *named.values()) if last in CALLBACKS else ():
        if isinstance(argument.thing, Function):
            interp.call(argument, [union(given)], {}, node)
    result = union([*given, *named.values()])
    if isinstance(getattr(given[0], "thing", None) if given else None, Array) and last in ("Variable",):
        return given[0]
    return result


OPTIMIZERS = words(
    """
    Adam AdamW SGD LBFGS Adagrad RMSprop Muon NAdam RAdam Adamax Adafactor ZeroRedundancyOptimizer
    """
)
CALLBACKS = words(
    """
    Thread Process spawn submit map run start_processes launch
    """
)


def _print(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    report(interp, [*given], node)
    return NOTHING


def report(interp: Interpreter, values: list[Value], node: ast.AST) -> None:
    """Record what a program tells: its text and what the numbers in it rest on."""
    texts = [t for v in values if (t := text_of(v)) is not None]
    everything = union(values)
    if texts or everything.bits & NLL:
        here = not interp.uncertain and len(interp.loops) == interp.entry_loops
        # a function that does nothing but print speaks for its caller
        speaks = here and not interp.callers_doubt and len(interp.frame.variables) <= 4
        interp.emit(
            "report",
            node,
            everything,
            text=" ".join(texts)[:400],
            certain=here,
            depth=int(speaks),
            channel=interp.frame.code if speaks or len(interp.frame.variables) <= 4 else None,
        )


def _open(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    path = given[0] if given else named.get("file", Value())
    mode = given[1] if len(given) > 1 else named.get("mode", constant("r"))
    writes = isinstance(mode.const, str) and any(c in mode.const for c in "wax")
    interp.emit("open", node, path, text=text_of(path) or "", mode=mode.const if isinstance(mode.const, str) else "?")
    thing = Buffer(path, not writes)
    thing.bits = 0 if writes else path.bits & (VAL | TRAIN | BYTES)
    return Value(thing.bits, thing=thing)


def _range(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    start = given[0] if len(given) > 1 else constant(0)
    stop = given[1] if len(given) > 1 else (given[0] if given else Value())
    step = given[2] if len(given) > 2 else constant(1)
    times = None
    if all(type(v.const) is int for v in (start, stop, step)) and step.const:
        times = len(range(start.const, stop.const, step.const))
    loops = start.loops | stop.loops
    return Value(
        (start.bits | stop.bits) & (RANK | VAL | TRAIN) & RANK, thing=Range(start, stop, times, node), loops=loops
    )


def _enumerate(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    if not given:
        return Value()
    items = known_items(given[0])
    if items is not None and len(items) <= 16:
        return tuple_of([tuple_of([constant(i), item]) for i, item in enumerate(items)]).but(const=UNKNOWN)
    thing = Sequence(kind="enumerate")
    interp.made(thing, node)
    append(thing, Value(items=(Value(position=interp.atom("enumerate", node)), element_of(interp, given[0], node))))
    return Value(given[0].bits & (VAL | TRAIN), thing=thing, loops=given[0].loops)


def _zip(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    known = [known_items(g) for g in given]
    if known and all(k is not None and len(k) <= 16 for k in known):
        return tuple_of([tuple_of(list(row)) for row in zip(*known, strict=False)]).but(const=UNKNOWN)
    thing = Sequence(kind="zip")
    interp.made(thing, node)
    append(thing, Value(items=tuple(element_of(interp, g, node) for g in given)))
    return Value(union(given).bits & (VAL | TRAIN), thing=thing)


def _same_elements(
    interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST
) -> Value | None:
    """``list(x)``, ``sorted(x)``, ``reversed(x)``, ``tuple(x)``, ``iter(x)``, ``set(x)``."""
    if not given:
        return Value(thing=interp.made(Sequence(items=[]), node))
    value = given[0]
    if value.bits & TOKEN or isinstance(value.thing, Array | Parameters):
        return value.but(const=UNKNOWN)
    items = known_items(value)
    if items is not None and last in ("list", "tuple", "iter"):
        return (
            tuple_of(list(items))
            if last == "tuple"
            else Value(value.bits, thing=interp.made(Sequence(items=list(items)), node))
        )
    thing = Sequence()
    interp.made(thing, node)
    thing.origin = origin_of(value)
    if isinstance(value.thing, Sequence):
        for member in value.thing.members:
            append(thing, member)
    append(thing, element_of(interp, value, node))
    return Value(value.bits, thing=thing, loops=value.loops, trail=value.trail)


def _dict(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    thing = Mapping()
    interp.made(thing, node)
    if given and isinstance(given[0].thing, Mapping):
        source = given[0].thing
        thing.entries.update(source.entries)
        thing.element, thing.keys, thing.counted = source.element, source.keys, source.counted
    elif given:
        thing.bits |= deep_bits(given[0])
    thing.entries.update(named)
    if last == "defaultdict" and given:
        thing.factory, thing.bits = given[0], 0
    if last == "Counter" and given and given[0].bits & TOKEN:
        thing.counted = True
        thing.bits |= given[0].bits | COUNT
        interp.emit("count", node, given[0], table=id(thing))
    return Value(thing=thing)


def _namespace(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    instance = Instance(None, node)
    interp.made(instance, node)
    instance.attributes.update(named)
    return Value(thing=instance)


def _partial(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    return Value(thing=Partial(given[0], given[1:], named)) if given else Value()


def _getattr(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    if len(given) < 2 or not isinstance(given[1].const, str):
        return union(given[:1])
    name, base = given[1].const, given[0]
    thing = base.thing
    if len(given) > 2 and isinstance(thing, Instance | Class | ModuleThing):
        known = interp.attribute(base, name, node)
        if isinstance(known.thing, Method):
            return given[2]
        return known
    if len(given) > 2 and isinstance(thing, External):
        return (
            join(interp.attribute(base, name, node), given[2])
            if given[2].const is not None
            else interp.attribute(base, name, node)
        )
    return interp.attribute(base, name, node)


def _setattr(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    if len(given) == 3 and isinstance(given[1].const, str):
        interp.store_attribute(given[0], given[1].const, given[2], node)
    return NOTHING


def _hasattr(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    if len(given) == 2 and isinstance(given[1].const, str):
        thing, name = given[0].thing, given[1].const
        if isinstance(thing, Instance) and thing.cls is not None:
            if name in thing.attributes or thing.cls.find(name) is not None:
                return constant(True)
            if not thing.cls.external:
                return constant(False)
        if isinstance(thing, Class):
            return constant(thing.find(name) is not None) if not thing.external else Value()
    return Value()


def _isinstance(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    return Value()


def _super(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    receiver = given[1] if len(given) > 1 else Value(thing=interp.frame.receiver)
    owner = given[0].thing if given and isinstance(given[0].thing, Class) else None
    if owner is None:
        code = interp.frame.code
        cls = receiver.thing.cls if isinstance(receiver.thing, Instance) else None
        owner = _class_of(cls, code)
    return Value(thing=Super(owner, receiver)) if owner is not None else Value()


def _class_of(cls: Class | None, code: ast.AST | None) -> Class | None:
    if cls is None:
        return None
    for value in cls.attributes.values():
        if isinstance(value.thing, Function) and value.thing.definition is code:
            return cls
    for base in cls.bases:
        if (found := _class_of(base, code)) is not None:
            return found
    return None


def _globals(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    scope = interp.frame.module.frame if last == "globals" else interp.frame
    if given and last == "vars":
        thing = given[0].thing
        return Value(thing=mapping_of(thing.attributes)) if isinstance(thing, Instance | Class) else Value()
    return Value(thing=mapping_of(scope.variables))


def _import_module(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    name = given[0].const if given else UNKNOWN
    if isinstance(name, str):
        local = interp.modules.get(name)
        if local is not None:
            interp.run_module(local, name)
            return Value(thing=local)
        return Value(thing=External(name))
    return Value()


def _run_path(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """``runpy.run_path("other.py", run_name="__main__")`` runs a script of the folder."""
    text = text_of(given[0]) if given else None
    if text is not None:
        name = text.rsplit("/", 1)[-1].rsplit("\0", 1)[-1].removesuffix(".py")
        local = interp.modules.get(name)
        if local is not None:
            interp.run_module(local, "__main__")
    return Value()


def _clock(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    return Value(CLOCK)


def _getenv(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    default = given[1] if len(given) > 1 else named.get("default")
    return environment(interp, given[0], default, node) if given else Value()


def _rank(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    return Value(RANK)


def _world(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    text = interp.environment.get("WORLD_SIZE", "8")
    return constant(int(text)) if text.isdigit() else constant(8)


def _glob(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    return Value(union(given).bits & (VAL | TRAIN | BYTES))


def _path(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """``Path(...)`` and ``os.path.join(...)``: texts joined."""
    texts = [text_of(g) for g in given]
    if given and all(isinstance(g.const, str) for g in given):
        text = "/".join(str(g.const) for g in given)
        return Value(union(given).bits | text_bits(text), text)
    if texts and any(texts):
        text = "/".join(t if t is not None else "\0" for t in texts)
        return Value(union(given).bits | text_bits(text), thing=Template(text))
    return Value(union(given).bits, thing=given[0].thing if given and isinstance(given[0].thing, External) else None)


def _parser(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    return Value(thing=Parser())


def _module_list(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    thing = Sequence(kind="modules")
    interp.made(thing, node)
    values = given if last == "Sequential" else [*given[:1]]
    for value in values:
        if last == "Sequential":
            append(thing, value)
        elif isinstance(value.thing, Sequence):
            for member in value.thing.members:
                append(thing, member)
            if value.thing.element is not None and not value.thing.members:
                append(thing, value.thing.element)
        elif isinstance(value.thing, Mapping):
            for member in value.thing.entries.values():
                append(thing, member)
            if value.thing.element is not None:
                append(thing, value.thing.element)
    return Value(PARAM, thing=thing)


def _parameter(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """``nn.Parameter(t)``: a weight inside a model, a fresh tensor outside."""
    if interp.calls_model():
        return Value(PARAM)
    thing = Array(node)
    interp.made(thing, node)
    thing.leaf = True
    return Value(LEAF | (union(given).bits & EVENTS), thing=thing)


def _backward_grad(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    loss = given[0] if given else Value()
    interp.last_loss = loss
    interp.emit("backward", node, loss)
    bits = loss.bits & ~(NLL | TOKEN)
    wanted = union(given[1:2])
    return Value(bits | GRADIENT | (wanted.bits & (PARAM | LEAF)), loops=loss.loops, trail=loss.trail)


def _field(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value | None:
    """``dataclasses.field``: its default."""
    if "default" in named:
        return named["default"]
    if "default_factory" in named:
        return interp.call(named["default_factory"], [], {}, node)
    return Value()


def _replace(
    interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST
) -> Value | None:
    """``dataclasses.replace``: a copy with some fields changed."""
    if not given or not isinstance(given[0].thing, Instance):
        return None
    copied = deep_copy(interp, given[0], {}, node)
    if isinstance(copied.thing, Instance):
        copied.thing.attributes.update(named)
    return copied


def _deepcopy(
    interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST
) -> Value | None:
    return deep_copy(interp, given[0], {}, node) if given else None


def deep_copy(interp: Interpreter, value: Value, made: dict[int, Thing], node: ast.AST, depth: int = 12) -> Value:
    """Return a value whose objects are copies: what is done to them leaves the originals as they were."""
    thing = value.thing
    if depth == 0 or not isinstance(thing, Instance | Sequence | Mapping | Array):
        return value
    known = made.get(id(thing))
    if known is not None:
        return value.but(thing=known)
    copied: Thing
    if isinstance(thing, Instance):
        twin = Instance(thing.cls, node)
        copied = made[id(thing)] = interp.made(twin, node)
        twin.weights = thing.root().weights
        twin.attributes = {k: deep_copy(interp, v, made, node, depth - 1) for k, v in thing.attributes.items()}
        for child in twin.attributes.values():
            children = child.thing.members if isinstance(child.thing, Sequence) else [child]
            for member in children:
                inner = member.thing
                if isinstance(inner, Instance | Layer) and inner is not twin and inner.owner is None and is_model(twin):
                    inner.owner = twin
    elif isinstance(thing, Sequence):
        row = Sequence(node, kind=thing.kind)
        copied = made[id(thing)] = interp.made(row, node)
        row.items = None if thing.items is None else [deep_copy(interp, v, made, node, depth - 1) for v in thing.items]
        row.members = [deep_copy(interp, v, made, node, depth - 1) for v in thing.members]
        row.element = None if thing.element is None else deep_copy(interp, thing.element, made, node, depth - 1)
        row.counted = thing.counted
    elif isinstance(thing, Mapping):
        table = Mapping(node)
        copied = made[id(thing)] = interp.made(table, node)
        table.entries = {k: deep_copy(interp, v, made, node, depth - 1) for k, v in thing.entries.items()}
        table.element, table.keys, table.counted, table.factory = (
            thing.element,
            thing.keys,
            thing.counted,
            thing.factory,
        )
    else:
        array = Array(node)
        copied = made[id(thing)] = interp.made(array, node)
        array.counted, array.leaf, array.position = thing.counted, thing.leaf, thing.position
    copied.bits, copied.loops = thing.bits, thing.loops
    return value.but(thing=copied)


def _exec(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    interp.emit("exec", node, union(given), text=text_of(given[0]) or "" if given else "")
    return NOTHING


def _network(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    texts = [t for v in (*given, *named.values()) for t in texts_in(v)]
    interp.emit("outside", node, union(given), text=" ".join(texts)[:300], how=last)
    return Value(union(given).bits)


def _all_gather(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """``all_gather(parts, part)``: what every rank has goes into the list."""
    parts = given[0] if given else named.get("tensor_list", named.get("object_list", Value()))
    part = given[1] if len(given) > 1 else named.get("tensor", named.get("obj", Value()))
    if isinstance(parts.thing, Sequence):
        append_anywhere(interp, parts.thing, part)
    return NOTHING


def _exec_process(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """A process that replaces itself: by its own script, if it names it, under the environment that is given."""
    environment: dict[str, str] = {}
    for value in (*given, *named.values()):
        if isinstance(value.thing, Mapping):
            for key, entry in value.thing.entries.items():
                if isinstance(key, str) and (text := text_of(entry)) is not None:
                    environment[key] = text
    if _runs_python(given) and environment not in interp.becomes:
        interp.becomes.append(environment)
    else:
        interp.emit("outside", node, union(given), text=" ".join(t for v in given for t in texts_in(v))[:300], how=last)
    return Value(union(given).bits)


def _runs_python(given: list[Value]) -> bool:
    """Say whether the program that is started is this Python, and not another one of the machine's."""
    first = given[0].thing if given else None
    return isinstance(first, External) and first.name == "sys.executable"


def texts_in(value: Value) -> list[str]:
    """Return the texts in a value and its elements."""
    text = text_of(value)
    if text is not None:
        return [text]
    return [t for item in known_items(value) or () if (t := text_of(item)) is not None]


def _sentencepiece(interp: Interpreter, last: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    instance = Instance(None, node)
    interp.made(instance, node)
    instance.bits = TEXT
    return Value(TEXT, thing=instance)


FUNCTIONS: dict[str, Any] = {
    "builtins.print": _print,
    "builtins.open": _open,
    "io.open": _open,
    "builtins.range": _range,
    "builtins.enumerate": _enumerate,
    "builtins.zip": _zip,
    "builtins.list": _same_elements,
    "builtins.tuple": _same_elements,
    "builtins.sorted": _same_elements,
    "builtins.reversed": _same_elements,
    "builtins.set": _same_elements,
    "builtins.frozenset": _same_elements,
    "builtins.iter": _same_elements,
    "builtins.dict": _dict,
    "builtins.getattr": _getattr,
    "builtins.setattr": _setattr,
    "builtins.hasattr": _hasattr,
    "builtins.isinstance": _isinstance,
    "builtins.super": _super,
    "builtins.globals": _globals,
    "builtins.locals": _globals,
    "builtins.vars": _globals,
    "builtins.exec": _exec,
    "builtins.eval": _exec,
    "tqdm": lambda interp, last, given, named, node: given[0] if given else None,
    "tqdm.tqdm": lambda interp, last, given, named, node: given[0] if given else None,
    "OrderedDict": _dict,
    "defaultdict": _dict,
    "Counter": _dict,
    "deque": _same_elements,
    "SimpleNamespace": _namespace,
    "dataclasses.field": _field,
    "dataclasses.replace": _replace,
    "deepcopy": _deepcopy,
    "partial": _partial,
    "import_module": _import_module,
    "run_path": _run_path,
    "run_module": _run_path,
    "time.time": _clock,
    "perf_counter": _clock,
    "monotonic": _clock,
    "os.getenv": _getenv,
    "os.environ.get": _getenv,
    "environ.get": _getenv,
    "os.environ.setdefault": _getenv,
    "get_rank": _rank,
    "get_world_size": _world,
    "device_count": _world,
    "glob.glob": _glob,
    "glob.iglob": _glob,
    "pathlib.Path": _path,
    "pathlib.PurePath": _path,
    "os.path.join": _path,
    "ArgumentParser": _parser,
    "ModuleList": _module_list,
    "ModuleDict": _module_list,
    "ParameterList": _module_list,
    "Sequential": _module_list,
    "nn.Parameter": _parameter,
    "Parameter": _parameter,
    "torch.autograd.grad": _backward_grad,
    "autograd.grad": _backward_grad,
    "grad": _backward_grad,
    "urlopen": _network,
    "urlretrieve": _network,
    "requests.get": _network,
    "requests.post": _network,
    "hf_hub_download": _network,
    "snapshot_download": _network,
    "from_pretrained": _network,
    "load_dataset": _network,
    "subprocess.run": _network,
    "subprocess.check_call": _network,
    "subprocess.check_output": _network,
    "subprocess.Popen": _network,
    "subprocess.call": _network,
    "os.system": _network,
    "all_gather": _all_gather,
    "all_gather_object": _all_gather,
    "os.execv": _exec_process,
    "os.execve": _exec_process,
    "os.execvp": _exec_process,
    "os.execvpe": _exec_process,
    "load_inline": _network,
    "SentencePieceProcessor": _sentencepiece,
}


# ---------------------------------------------------------------------- methods


def call_method(
    interp: Interpreter, receiver: Value, name: str, given: list[Value], named: dict[str, Value], node: ast.AST
) -> Value:
    """Return what a method of a library object gives."""
    thing = receiver.thing
    if isinstance(receiver.const, str):
        folded = call_text(receiver.const, name, [g.const for g in given], {k: v.const for k, v in named.items()})
        if folded is not UNKNOWN:
            if isinstance(folded, list):
                return Value(receiver.bits, thing=interp.made(Sequence(items=[constant(f) for f in folded]), node))
            return Value(receiver.bits | union(given).bits, folded)
        if name == "join" and given:
            return Value(union(given).bits)
    if isinstance(thing, Optimizer):
        return optimizer_method(interp, thing, name, given, node)
    if isinstance(thing, Parser):
        return parser_method(interp, thing, name, given, named, node)
    if name == "backward":
        interp.last_loss = receiver
        interp.emit("backward", node, receiver)
        return NOTHING
    if name == "step" and given and isinstance(given[0].thing, Optimizer):  # scaler.step(optimizer)
        return optimizer_method(interp, given[0].thing, name, given[1:], node)
    if name in ("info", "debug", "warning", "write", "print", "log", "error") and given:
        report(interp, given, node)
    if isinstance(thing, Buffer):
        return buffer_method(interp, receiver, thing, name, given, node)
    if (
        isinstance(thing, Instance)
        and (result := model_method(interp, receiver, thing, name, given, named, node)) is not None
    ):
        return result
    if (
        isinstance(thing, Mapping)
        and (result := mapping_method(interp, receiver, thing, name, given, node)) is not None
    ):
        return result
    if (
        isinstance(thing, Sequence)
        and (result := sequence_method(interp, receiver, thing, name, given, node)) is not None
    ):
        return result
    if isinstance(thing, Parameters) and name in ("items", "values", "keys"):
        return receiver
    if isinstance(thing, Layer) and name in ("parameters", "named_parameters", "to", "requires_grad_", "float"):
        owner = [thing.owner.root()] if thing.owner is not None else []
        return Value(PARAM, thing=Parameters(owner, [])) if name.endswith("parameters") else receiver
    if name in ("glob", "rglob", "joinpath", "with_suffix", "with_name") or (
        name in ("resolve", "expanduser", "absolute") and not receiver.bits & MODEL
    ):
        return path_method(interp, receiver, name, given)
    if name in ("read_bytes", "read_text", "read"):
        interp.emit("open", node, receiver, text=text_of(receiver) or "", mode="r", own=isinstance(thing, External))
        return Value(read_bits(interp, receiver.bits))
    if name in ("write_bytes", "write_text"):
        interp.disk |= union(given).bits & EVENTS
        return NOTHING
    if name in TEXT_OF_TOKENIZER:
        return tokenizer_method(interp, receiver, name, given, node)
    found = tensors.operation(interp, name, [receiver, *given], named, node, "")
    if found is not None:
        return found
    if name == "register_forward_hook" or name == "register_forward_pre_hook":
        interp.emit("hook", node, receiver)
        for argument in given:
            if isinstance(argument.thing, Function | Partial):
                interp.call(argument, [receiver, Value(MODEL | PARAM), Value(MODEL | PARAM)], {}, node)
        return Value()
    return union([receiver, *given, *named.values()])


def read_bits(interp: Interpreter, bits: int) -> int:
    """What reading a file of that name gives."""
    if bits & BYTES:
        return BYTES
    if bits & (VAL | TRAIN):
        return (bits & (VAL | TRAIN)) | TOKEN
    return ARTIFACT | interp.disk


def path_method(interp: Interpreter, receiver: Value, name: str, given: list[Value]) -> Value:
    texts = [text_of(receiver), *(text_of(g) for g in given)]
    bits = receiver.bits | union(given).bits
    if name in ("resolve", "expanduser", "absolute"):
        return receiver
    if isinstance(receiver.const, str) and given and isinstance(given[0].const, str):
        text = f"{receiver.const}/{given[0].const}"
        return Value(bits | text_bits(text), text if name == "joinpath" else UNKNOWN)
    for part in texts:
        bits |= text_bits(part) if part else 0
    return Value(bits)


def buffer_method(
    interp: Interpreter, receiver: Value, thing: Buffer, name: str, given: list[Value], node: ast.AST
) -> Value:
    if name == "write" and given:
        bits = deep_bits(given[0])
        thing.bits |= bits & (EVENTS | VAL | TRAIN | TOKEN)
        interp.disk |= bits & EVENTS
        if bits & VAL and bits & TOKEN:
            interp.emit("save", node, union(given))
        return NOTHING
    if name in ("read", "getvalue", "getbuffer", "readlines", "read1"):
        if name == "read" and thing.path.bits & (VAL | TRAIN):
            return Value((thing.path.bits & (VAL | TRAIN)) | TOKEN)
        return Value(thing.bits | (read_bits(interp, thing.path.bits) if thing.reads else 0))
    return receiver if name in ("__enter__", "seek") else Value(thing.bits)


def optimizer_method(interp: Interpreter, thing: Optimizer, name: str, given: list[Value], node: ast.AST) -> Value:
    if name != "step":
        if name == "add_param_group" and given:
            models, leaves = parameters_of(given[0])
            thing.models += models
            thing.leaves += leaves
        return Value(thing=None) if name != "param_groups" else Value(PARAM)
    if given and isinstance(given[0].thing, Function):  # a closure computes the loss
        interp.call(given[0], [], {}, node)
    interp.step(node, thing.models, thing.leaves, interp.last_loss or Value())
    return NOTHING


def parser_method(
    interp: Interpreter, thing: Parser, name: str, given: list[Value], named: dict[str, Value], node: ast.AST
) -> Value:
    if name == "add_argument" and given and isinstance(given[-1].const, str):
        flag = next((g.const for g in given if isinstance(g.const, str) and g.const.startswith("--")), given[0].const)
        key = str(named["dest"].const) if "dest" in named else flag.lstrip("-").replace("-", "_")
        default = named.get("default")
        action = named.get("action")
        if default is None:
            default = constant({"store_true": False, "store_false": True}.get(str(action.const) if action else ""))
        if key in interp.arguments:
            default = constant(interp.arguments[key])
        thing.defaults[key] = default
        return Value()
    if name == "set_defaults":
        thing.defaults.update(named)
        return Value()
    if name in ("parse_args", "parse_known_args"):
        instance = Instance(None, node)
        interp.made(instance, node)
        instance.attributes.update(thing.defaults)
        value = Value(thing=instance)
        return value if name == "parse_args" else Value(items=(value, Value()))
    return Value(thing=thing)


def model_method(
    interp: Interpreter,
    receiver: Value,
    thing: Instance,
    name: str,
    given: list[Value],
    named: dict[str, Value],
    node: ast.AST,
) -> Value | None:
    """Methods that every torch module has."""
    if not is_model(thing):
        return tokenizer_method(interp, receiver, name, given, node) if thing.bits & TEXT else None
    root = thing.root()
    if name in ("parameters", "named_parameters", "buffers", "named_buffers"):
        value = Value(PARAM | root.weights, thing=Parameters([root], []))
        if name.startswith("named"):
            sequence = Sequence(kind="named")
            interp.made(sequence, node)
            append(sequence, Value(items=(Value(), value)))
            return Value(thing=sequence)
        return value
    if name == "state_dict":
        mapping = Mapping()
        interp.made(mapping, node)
        mapping.element = Value(PARAM | root.weights, thing=Parameters([root], []))
        mapping.bits = PARAM | root.weights
        return Value(PARAM | root.weights, thing=mapping)
    if name == "load_state_dict" and given:
        bits = deep_bits(given[0]) & EVENTS
        if interp.may_write(root):
            strong = interp.maybe + len(interp.loops) <= root.depth
            root.weights = bits if strong else root.weights | bits
        return Value()
    if name in ("modules", "children", "named_modules", "named_children"):
        sequence = Sequence(kind="modules")
        interp.made(sequence, node)
        inner = Value(PARAM, thing=root)
        append(sequence, Value(items=(Value(), inner)) if name.startswith("named") else inner)
        return Value(thing=sequence)
    if name in ("register_buffer", "register_parameter") and len(given) > 1 and isinstance(given[0].const, str):
        interp.store_attribute(receiver, given[0].const, given[1], node)
        return NOTHING
    if name == "apply" and given:
        return receiver
    if name in ("register_forward_hook", "register_forward_pre_hook"):
        return None
    if name in ("forward", "__call__"):
        return union(given)
    if name in ("zero_grad", "__init__", "requires_grad_"):
        return receiver if name == "requires_grad_" else NOTHING
    if not given or name in (
        "to",
        "cuda",
        "train",
        "eval",
        "float",
        "half",
        "bfloat16",
        "double",
        "type",
        "cpu",
        "compile",
    ):
        return receiver
    return None


def mapping_method(
    interp: Interpreter, receiver: Value, thing: Mapping, name: str, given: list[Value], node: ast.AST
) -> Value | None:
    if name == "get" and given:
        found = tensors.from_mapping(interp, thing, given[0], node)
        if isinstance(given[0].const, str | int) and given[0].const in thing.entries:
            return found
        return join(found, given[1]) if len(given) > 1 else found
    if name == "setdefault" and given:
        default = given[1] if len(given) > 1 else NOTHING
        if interp.may_write(thing):
            put(thing, given[0], default)
        return tensors.from_mapping(interp, thing, given[0], node)
    if name == "items":
        if thing.element is None and len(thing.entries) <= 16:
            rows = [tuple_of([constant(k), v]) for k, v in thing.entries.items()]
            return Value(items=tuple(rows))
        sequence = Sequence(kind="items")
        interp.made(sequence, node)
        append(sequence, Value(items=(thing.keys.but(const=UNKNOWN), whole_element(thing))))
        return Value(thing.bits, thing=sequence)
    if name == "values":
        if thing.element is None and len(thing.entries) <= 16:
            return Value(items=tuple(thing.entries.values()))
        sequence = Sequence(kind="values")
        interp.made(sequence, node)
        append(sequence, whole_element(thing))
        return Value(thing.bits, thing=sequence)
    if name == "keys":
        if thing.element is None and len(thing.entries) <= 16:
            return Value(items=tuple(constant(k) for k in thing.entries))
        return Value(thing.keys.bits, thing=None)
    if name == "update" and given:
        if not interp.may_write(thing):
            return NOTHING
        source = given[0].thing
        if isinstance(source, Mapping):
            thing.entries.update(source.entries)
            if source.element is not None:
                put(thing, Value(), source.element)
        elif given[0].bits & TOKEN:
            thing.counted = True
            thing.bits |= given[0].bits | COUNT
            interp.emit("count", node, given[0], table=id(thing))
        thing.bits |= deep_bits(given[0])
        return NOTHING
    if name == "copy":
        return receiver
    if name == "pop" and given:
        return tensors.from_mapping(interp, thing, given[0], node)
    return None


def whole_element(thing: Mapping) -> Value:
    """Join everything a dictionary holds."""
    value = thing.element
    for entry in list(thing.entries.values())[:40]:
        value = entry if value is None else join(value, entry)
    return (value or Value()).but(bits=(value.bits if value else 0) | (thing.bits & EVENTS))


def sequence_method(
    interp: Interpreter, receiver: Value, thing: Sequence, name: str, given: list[Value], node: ast.AST
) -> Value | None:
    if name in ("append", "add", "appendleft", "put") and given:
        if interp.may_write(thing):
            value = given[0]
            if value.bits & NLL and value.bits & VAL and not value.bits & GRADIENT:
                bits = interp.emit("store", node, value) | interp.drop_if_bytes(node, value)
                value = value.but(bits=value.bits | bits)
            push(interp, thing, value)
        return NOTHING
    if name == "extend" and given:
        if interp.may_write(thing):
            value = given[0]
            if deep_bits(value) & NLL and deep_bits(value) & VAL:
                interp.emit("store", node, union([value]))
            extend(interp, thing, value)
        return NOTHING
    if name == "insert" and len(given) > 1:
        if interp.may_write(thing):
            push(interp, thing, given[1])
        return NOTHING
    if name in ("pop", "popleft", "get"):
        return element_of(interp, receiver, node)
    if name in ("clear", "sort", "reverse", "remove", "discard"):
        return NOTHING
    if name == "copy":
        return receiver
    if thing.kind == "modules" and name in ("parameters", "named_parameters"):
        models = [m.thing for m in thing.members if isinstance(m.thing, Instance)]
        return Value(PARAM, thing=Parameters([m.root() for m in models], []))
    return None


TEXT_OF_TOKENIZER = words(
    """
    id_to_piece IdToPiece id_to_token decode piece_to_id encode encode_as_ids is_byte IsByte
    is_control is_unknown is_unused vocab_size get_piece_size GetPieceSize decode_ids DecodeIds
    """
)


def tokenizer_method(interp: Interpreter, receiver: Value, name: str, given: list[Value], node: ast.AST) -> Value:
    """Methods of a tokenizer, and ``bytes.decode`` and ``str.encode`` by their names."""
    if name in ("vocab_size", "get_piece_size", "GetPieceSize", "load", "Load"):
        return Value()
    if name == "encode" and not receiver.bits & TEXT:
        return Value(receiver.bits | union(given).bits)
    if name == "encode" and isinstance(receiver.thing, Instance):
        return Value(union(given).bits | TOKEN)
    if name.startswith(("is_", "Is")):
        return Value(0)
    return Value((receiver.bits | union(given).bits) & ~TOKEN | (TEXT if receiver.bits & TEXT else 0))
