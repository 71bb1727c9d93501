"""Walks a program as it would run, on abstract values, without ever executing it."""

from __future__ import annotations

import ast
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence

from audit.events import Call, Event, Loop, Timeline
from audit.interpret import calls
from audit.interpret.expressions import EXPRESSIONS
from audit.interpret.heap import Array, External, Frame, ModuleThing, Thing, constant
from audit.interpret.statements import STATEMENTS
from audit.provenance import FIRST_EVENT, Linear, Value
from audit.source import Module
from audit.witness import Witness

_log = logging.getLogger(__name__)
STEP_LIMIT = 260_000
MAX_PROCESSES = 3  # of a program that replaces itself again and again


class Exhausted(Exception):
    """The budget of steps ran out."""


class Interpreter:
    """One run through a submission from its trainer's first line."""

    # What the language and the library ask for, but `calls` needs them itself.
    call = calls.call
    call_function = calls.call_function

    def __init__(
        self,
        modules: Sequence[Module],
        trainer: Module,
        environment: Mapping[str, str],
        arguments: Mapping[str, object] | None = None,
        limit: int = STEP_LIMIT,
        attributes: Mapping[str, object] | None = None,
        witness: Witness | None = None,
        package: str = "",
    ) -> None:
        self.attributes, self.witness = attributes or {}, witness or Witness()
        self.timeline = Timeline()
        self.environment, self.arguments, self.limit = environment, arguments or {}, limit
        self.modules: dict[str, ModuleThing] = {}
        self.texts: dict[str, ModuleThing] = {}  # modules whose text the program executes
        for module in modules:
            thing = ModuleThing(module)
            if module.role == "executed":
                self.texts.setdefault(module.text, thing)
            name = module.file.removesuffix(".py").replace("/", ".")
            self.modules.setdefault(name, thing)
            self.modules.setdefault(name.rsplit(".", 1)[-1], thing)
            if package:
                self.modules.setdefault(f"{package}.{name.removesuffix('.__init__')}", thing)
            if module is trainer:
                self.trainer = thing
        self.known_bits: dict[object, int] = {}
        self.known_atoms: dict[object, int] = {}
        self.order = self.steps = self.depth = 0
        self.step_bits = 0
        self.stacks = False  # whether values of different kinds were stacked
        self.source_bits = 0  # of what was read from files of code
        self.held_bits = 0  # of what was looked up in mappings under keys of tokens
        self.silent = self.maybe = self.uncertain = self.entry_loops = 0
        self.dead = ""
        self.loops: tuple[Loop, ...] = ()
        self.calls: tuple[Call, ...] = ()
        self.path_key = 0
        self.block = 0  # the statements that are being executed
        self.carriers: dict[int, Array] = {}  # arrays that were filled inside loops
        self.disk = 0  # what the program wrote to files
        self.becomes: list[dict[str, str]] = []  # environments in which it replaces itself by its own script
        self.last_loss: Value | None = None
        self.window_bases: set[int] = set()  # atoms at which windows of validation tokens start
        self.memo: dict[object, Value] = {}
        self.recursion: dict[int, int] = {}
        self.event_count = 0
        self.exits: list[list[dict[str, Value]]] = []
        self.frame = self.trainer.frame
        self.called: set[ast.AST] = set()  # functions that were walked
        self.assigned_names: dict[ast.AST, frozenset[str]] = {}
        self.properties: set[ast.AST] = set()
        self.printers: dict[ast.AST, bool] = {}
        self.guard = 0  # loops that decide whether the current statement runs
        self.guard_data = 0  # data that decide it
        self.guard_choice = 0  # choices by the loss that decide it
        self.labels: dict[int, int] = {}  # names and numbers that tell what was chosen by the loss, and the choice
        self.cuts: dict[object, list[int]] = {}  # where data were cut in two: the bits of the front and of the rest
        self.step_loops: dict[int, tuple[int, ...]] = {}  # the loops in which weights were moved, by the step's bit
        self.notes: dict[str, int] = {}  # texts with losses in them, by the file they were written to
        self.callers_doubt = True
        self.channels: dict[tuple[ModuleThing, str], bool] = {}
        self.constants: dict[ast.AST, Value] = {}
        self.method_kinds: dict[ast.AST, str] = {}

    def run(self) -> Timeline:
        """Walk the trainer as the main program; gaps of the timeline tell what could not be followed."""
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(max(before, 12_000))
        try:
            self.run_module(self.trainer, "__main__")
            for _ in range(MAX_PROCESSES):
                if not self.becomes:
                    break
                self.start_anew(self.becomes.pop(0))
        except Exhausted:
            self.timeline.gaps.append(f"the analysis stopped after {self.limit} steps")
        except RecursionError:
            self.timeline.gaps.append("the program nests too deeply to be followed")
        finally:
            sys.setrecursionlimit(before)
        return self.timeline

    def start_anew(self, environment: Mapping[str, str]) -> None:
        """Walk the trainer once more, as the process that it becomes: what is on disk stays, all else is forgotten."""
        self.environment = {**self.environment, **environment}
        self.memo, self.recursion = {}, {}
        for thing in self.modules.values():
            thing.state, thing.frame = "new", Frame(thing, None, thing.module.tree, thing.module.file, "<module>")
        self.frame = self.trainer.frame
        self.run_module(self.trainer, "__main__")

    def run_module(self, thing: ModuleThing, name: str) -> None:
        """Execute a module's body once."""
        if thing.state != "new":
            return
        thing.state = "running"
        thing.frame.variables["__name__"] = constant(name)
        thing.frame.variables["__file__"] = Value(thing=External("__file__"))
        outer = self.frame, self.loops, self.maybe
        self.frame = thing.frame
        try:
            self.execute(thing.module.tree.body)
        finally:
            self.frame, self.loops, self.maybe = outer
            thing.state = "done"

    def bit(self, *key: object) -> int:
        """Return the bit of an event or loop: the same place in the same chain of calls has the same bit."""
        full = (*key, self.path_key)
        found = self.known_bits.get(full)
        if found is None:
            found = self.known_bits[full] = FIRST_EVENT + len(self.known_bits)
        return 1 << found

    def atom(self, *key: object) -> Linear:
        """Return an unknown integer as a position; the same place in the same chain of calls gives the same one."""
        full = (*key, self.path_key)
        found = self.known_atoms.setdefault(full, len(self.known_atoms))
        return Linear(((found, 1),))

    def emit(self, kind: str, node: ast.AST, value: Value, text: str = "", **data: object) -> int:
        """Record an event, unless this is a rehearsal of a loop; return its bit."""
        bit = self.bit(kind, node)
        self.event_count += 1
        if not self.silent:
            self.order += 1
            self.timeline.events.append(
                Event(
                    kind,
                    node,
                    self.frame.file,
                    getattr(node, "lineno", 0),
                    self.order,
                    self.loops,
                    self.calls,
                    value,
                    bit,
                    not self.dead,
                    self.dead,
                    text,
                    self.frame.name,
                    data,
                )
            )
        return bit

    def made(self, thing: Thing, node: ast.AST | None) -> Thing:
        """Note where and under which conditions an object was made."""
        thing.node = node
        thing.depth = self.maybe + len(self.loops)
        thing.dead = bool(self.dead)
        return thing

    def may_write(self, thing: Thing) -> bool:
        """Dead code may only change what it made itself."""
        return not self.dead or thing.dead

    def execute(self, statements: Iterable[ast.stmt]) -> bool:
        """Execute statements; say whether the end cannot be reached."""
        outer, block = self.block, id(statements)
        try:
            return self.execute_each(statements, block)
        finally:
            self.block = outer

    def execute_each(self, statements: Iterable[ast.stmt], block: int) -> bool:
        """Execute statements one by one, each knowing the block that it stands in."""
        for statement in statements:
            self.block = block
            self.steps += 1
            if self.steps > self.limit:
                raise Exhausted
            method = STATEMENTS.get(type(statement))
            try:
                if method is not None and method(self, statement):
                    return True
            except (Exhausted, RecursionError):
                raise
            except Exception as error:  # a construct the analysis does not know must not end it; the gap is told
                _log.debug("line %s", statement.lineno, exc_info=True)
                gap = f"{self.frame.file}:{statement.lineno} could not be followed ({type(error).__name__}: {error})"
                if gap not in self.timeline.gaps:
                    self.timeline.gaps.append(gap)
        return False

    def execute_within(self, steps: int, statements: Iterable[ast.stmt]) -> None:
        """Execute statements for so many steps at most."""
        limit, self.limit = self.limit, min(self.limit, self.steps + steps)
        try:
            self.execute(statements)
        except Exhausted:
            pass
        finally:
            self.limit = limit

    def evaluate(self, node: ast.expr) -> Value:
        """Return the abstract value of an expression."""
        self.steps += 1
        if self.steps > self.limit:
            raise Exhausted
        method = EXPRESSIONS.get(type(node))
        return method(self, node) if method is not None else Value()
