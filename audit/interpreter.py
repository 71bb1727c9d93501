"""Walks a program as it would run, on abstract values, without ever executing it."""

from __future__ import annotations

import ast
import gc
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Seq
from typing import Any

from audit import library, tensors
from audit.events import Call, Event, Loop, Timeline
from audit.folding import fold_binary, fold_compare, fold_unary, truth
from audit.heap import (
    Array,
    Class,
    External,
    Frame,
    Function,
    Instance,
    Layer,
    Method,
    ModuleThing,
    Partial,
    Sequence,
    Super,
    Thing,
    constant,
)
from audit.heap import (
    Mapping as MappingThing,
)
from audit.provenance import (
    ARTIFACT,
    BLENDED,
    BYTES,
    CLOCK,
    COMPARED,
    COUNT,
    CURRENT,
    EVENTS,
    FIRST_EVENT,
    FULL,
    GENERATED,
    GRADIENT,
    HASH_CURRENT,
    HASH_TARGET,
    HASHED,
    INPUT,
    KEY,
    LEAF,
    MODEL,
    NLL,
    NOT_TARGET,
    NOTHING,
    PARAM,
    PAST,
    POSITION,
    PREVIOUS,
    RANK,
    RATIO,
    SCALED,
    SHIFTED,
    SPREAD,
    TARGET,
    TARGET_LOOKUP,
    TEXT,
    TOKEN,
    TRAIN,
    UNKNOWN,
    VAL,
    Linear,
    Trail,
    Value,
    join,
)
from audit.source import Module
from audit.witness import Witness

INTERESTING = VAL | TRAIN | TARGET | COUNT | NLL | KEY | TARGET_LOOKUP | RATIO | NOT_TARGET | LEAF
# Values with these are data; an unknown without them may be an index, and gets a name of its own as a position.
DATA = TOKEN | MODEL | PARAM | NLL | COUNT | LEAF | FULL
_log = logging.getLogger(__name__)
STEP_LIMIT = 260_000
DEPTH_LIMIT = 40
MAX_PROCESSES = 3  # of a program that replaces itself again and again


class Exhausted(Exception):
    """The budget of steps ran out."""


class Interpreter:
    """One run through a submission from its trainer's first line."""

    def __init__(
        self,
        modules: Seq[Module],
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
        for module in modules:
            thing = ModuleThing(module)
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
        self.silent = self.maybe = self.uncertain = self.entry_loops = 0
        self.dead = ""
        self.loops: tuple[Loop, ...] = ()
        self.calls: tuple[Call, ...] = ()
        self.path_key = 0
        self.disk = 0  # what the program wrote to files
        self.becomes: list[dict[str, str]] = []  # environments in which it replaces itself by its own script
        self.last_loss: Value | None = None
        self.window_bases: set[int] = set()  # atoms at which windows of validation tokens start
        self.memo: dict[object, Value] = {}
        self.recursion: dict[int, int] = {}
        self.event_count = 0
        self.exits: list[list[dict[str, Value]]] = []
        self.frame = self.trainer.frame
        self.called: set[ast.AST] = set()
        self.assigned_names: dict[ast.AST, frozenset[str]] = {}
        self.properties: set[ast.AST] = set()
        self.printers: dict[ast.AST, bool] = {}
        self.guard = 0  # loops that decide whether the current statement runs
        self.guard_data = 0  # data that decide it
        self.guard_choice = 0  # choices by the loss that decide it
        self.callers_doubt = True
        self.channels: dict[ModuleThing, dict[str, int]] = {}
        self.method_kinds: dict[ast.AST, str] = {}

    # ------------------------------------------------------------------ running

    def run(self) -> Timeline:
        """Walk the trainer as the main program; gaps of the timeline tell what could not be followed."""
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(max(before, 12_000))
        collecting = gc.isenabled()
        gc.disable()  # values form no garbage cycles worth looking for, and looking takes a fifth of the time
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
            if collecting:
                gc.enable()
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
            self.block(thing.module.tree.body)
        finally:
            self.frame, self.loops, self.maybe = outer
            thing.state = "done"

    # ------------------------------------------------------------------ events

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

    # ------------------------------------------------------------------ statements

    def block(self, statements: Iterable[ast.stmt]) -> bool:
        """Execute statements; say whether the end cannot be reached."""
        for statement in statements:
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

    def do_expression(self, node: ast.Expr) -> None:
        self.ev(node.value)

    def do_assign(self, node: ast.Assign) -> None:
        value = self.ev(node.value)
        for target in node.targets:
            self.assign(target, value, node)

    def do_annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.assign(node.target, self.ev(node.value), node)

    def do_augmented(self, node: ast.AugAssign) -> None:
        target = node.target
        right = self.ev(node.value)
        if isinstance(target, ast.Subscript):
            base, index = self.ev(target.value), self.ev(target.slice)
            tensors.count_if_table(self, node, base, index)
            self.score_if_nll(node, right)
            self.store_element(target.value, base, index, right, node)
            return
        left = self.ev(target)
        result = self.binary(node, node.op, left, right)
        if right.bits & (BYTES | TEXT) and right.bits & VAL and not right.bits & NLL:
            self.emit("bytes", node, right)
        if isinstance(node.op, ast.Add | ast.Sub):
            bit = self.score_if_nll(node, right)
            result = result.but(bits=result.bits | bit)
            self.step_if_gradient(node, left, right)
        if isinstance(left.thing, Array | Sequence) and self.may_write(left.thing):
            if isinstance(left.thing, Sequence):
                library.extend(self, left.thing, right)
            else:
                left.thing.bits |= result.bits
                left.thing.loops |= result.loops
                left.thing.trail = left.thing.trail or result.trail
            result = result.but(thing=left.thing)
        self.assign(target, result, node)

    def score_if_nll(self, node: ast.AST, value: Value) -> int:
        """Adding up losses at validation targets is scoring; return the event's bit."""
        if value.bits & NLL and value.bits & VAL and not value.bits & GRADIENT:
            return self.emit("score", node, value) | self.drop_if_bytes(node, value)
        return 0

    def drop_if_bytes(self, node: ast.AST, value: Value) -> int:
        """A loss that is kept only where its token has bytes leaves the others unpaid."""
        if self.guard_data & COMPARED and self.guard_data & (TEXT | BYTES) and not self.guard_data & NLL:
            return self.emit("drop", node, value)
        return 0

    def step_if_gradient(self, node: ast.AST, left: Value, right: Value) -> None:
        """``p -= lr * p.grad`` is an optimiser step written by hand."""
        if right.bits & GRADIENT and left.bits & (PARAM | LEAF):
            models, leaves = library.parameters_of(left)
            self.step(node, models, leaves, right)

    def step(self, node: ast.AST, models: list[Instance], leaves: list[Array], loss: Value) -> None:
        """Record that weights moved along the gradient of a loss."""
        bit = self.emit(
            "step", node, loss, models=tuple(id(m) for m in models), leaf=bool(leaves) and not models, leaves=leaves
        )
        self.step_bits |= bit
        carried = bit | (loss.bits & self.step_bits)  # weights rest on earlier steps, not on the losses of training
        for model in models:
            if self.may_write(model):
                model.root().weights |= carried
        for leaf in leaves:
            if self.may_write(leaf):
                leaf.bits |= carried | (loss.bits & (VAL | TARGET | TRAIN))

    def do_if(self, node: ast.If) -> bool:
        test = self.ev(node.test)
        known = self.witnessed(node, truth(test), test)
        if known and isinstance(node.body[-1], ast.Raise):
            known = False  # the submitted run did not end here: what seems to lead here was folded wrongly
        if known is not None:
            live, other = (node.body, node.orelse) if known else (node.orelse, node.body)
            if other and not self.silent and self.depth < 6:
                self.dead_branch(other, node, known == truth(test))
            return self.block(live)
        before = self.frame.variables
        self.frame.variables = dict(before)
        self.maybe += 1
        doubt = 0 if test.bits & RANK else 1
        self.uncertain += doubt
        guard = self.guard, self.guard_data, self.guard_choice
        self.guard |= test.loops
        self.guard_data |= test.bits
        self.guard_choice |= self.best_of_scores(node, test)
        ended_body = self.block(node.body)
        after_body = self.frame.variables
        self.frame.variables = dict(before)
        ended_else = self.block(node.orelse)
        after_else = self.frame.variables
        self.maybe -= 1
        self.uncertain -= doubt
        self.guard, self.guard_data, self.guard_choice = guard
        if ended_body != ended_else:  # what follows runs in one case only
            self.guard |= test.loops
            self.guard_data |= test.bits
        if ended_body and ended_else:
            return True
        if ended_body:
            self.frame.variables = after_else
        elif ended_else:
            self.frame.variables = after_body
        else:
            self.frame.variables = merge(after_body, after_else)
        return False

    def best_of_scores(self, node: ast.If, test: Value) -> int:
        """``if loss < best`` over two losses at the target picks a scorer by the truth."""
        if not (isinstance(node.test, ast.Compare) and len(node.test.comparators) == 1):
            return 0
        if not (test.bits & COMPARED and test.bits & NLL and test.bits & VAL):
            return 0
        left, right = self.ev(node.test.left), self.ev(node.test.comparators[0])
        if left.bits & right.bits & NLL:
            return self.emit(
                "choose",
                node,
                test,
                how="branch",
                reported=bool(left.bits & right.bits & EVENTS) or keeps_weights(node),
            )
        return 0

    def witnessed(self, node: ast.If, known: bool | None, test: Value) -> bool | None:
        """Correct what the settings say by what the logs show: a text printed in a branch, or missing from them all."""
        if not self.witness.text or test.bits & RANK:
            return known
        printed, missing = self.printed_in(node.body), self.printed_in(node.orelse)
        if printed and known is not True and not missing:
            self.correct(node.test, True)
            return True
        if missing and known is not False and not printed:
            self.correct(node.test, False)
            return False
        if self.witness.complete and not test.bits & ~(RANK | TEXT):
            if printed is False and known is not False and missing is not False:
                return False
            if missing is False and known is not True and printed is not False:
                return True
        return known

    def correct(self, test: ast.expr, outcome: bool) -> None:
        """A switch that the logs contradict has the other value from here on."""
        if isinstance(test, ast.Name | ast.Attribute) and not self.dead:
            self.assign(test, constant(outcome), test)

    def printed_in(self, statements: list[ast.stmt]) -> bool | None:
        """Say whether the logs show what a block prints for certain; None where it prints nothing telling."""
        shown: list[bool] = []
        for statement in statements:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and statement.value.args:
                text = literal(statement.value.args[0])
                if text is None or not self.prints(statement.value.func):
                    continue
                seen_there = self.witness.saw(text)
                if seen_there is not None and (seen_there or self.channel_is_logged(statement.value.func)):
                    shown.append(seen_there)
        return shown[0] if shown and len(set(shown)) == 1 else None

    def channel_is_logged(self, function: ast.expr) -> bool:
        """Say whether the logs show other texts that the module prints through the same function."""
        if not isinstance(function, ast.Name | ast.Attribute):
            return False
        module = self.frame.module
        shown = self.channels.get(module)
        if shown is None:
            shown = self.channels[module] = {}
            for node in ast.walk(module.module.tree):
                if not (isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Name | ast.Attribute)):
                    continue
                text = literal(node.args[0])
                if text and self.witness.saw(text):
                    shown[last_name(node.func)] = shown.get(last_name(node.func), 0) + 1
        return shown.get(last_name(function), 0) >= 3

    def prints(self, function: ast.expr) -> bool:
        """Say whether a call of this would print."""
        thing = self.ev(function).thing
        if isinstance(thing, External):
            return thing.name == "builtins.print"
        if isinstance(thing, Function):
            known = self.printers.get(thing.definition)
            if known is None:
                known = any(
                    isinstance(n, ast.Call) and (isinstance(n.func, ast.Name) and n.func.id == "print")
                    for n in ast.walk(thing.definition)
                )
                self.printers[thing.definition] = known
            return known
        return isinstance(thing, Method) and thing.name in ("info", "log", "write")

    def dead_branch(self, statements: list[ast.stmt], node: ast.If, by_settings: bool) -> None:
        """Walk what the configuration switches off, so that it can be shown as inactive; nothing of it stays."""
        kept = self.frame.variables, self.dead, self.steps, self.maybe, self.last_loss, self.disk
        if self.dead or self.steps > self.limit // 2:
            return
        self.frame.variables = dict(self.frame.variables)
        told = ast.unparse(node.test)[:120]
        self.dead = told if by_settings else f"{told}: no log shows it"
        self.exits.append([])
        results, self.frame.results = self.frame.results, []
        limit, self.limit = self.limit, min(self.limit, self.steps + 12_000)
        try:
            self.block(statements)
        except Exhausted:
            pass
        finally:
            self.limit = limit
            self.exits.pop()
            self.frame.results = results
            self.frame.variables, self.dead, _, self.maybe, self.last_loss, self.disk = kept

    def do_for(self, node: ast.For) -> bool:
        iterable = self.ev(node.iter)
        items = library.known_items(iterable)
        if items is not None and len(items) <= 8 and not library.is_range(iterable):
            for item in items:
                self.assign(node.target, item, node)
                self.exits.append([])
                ended = self.block(node.body)
                exits = self.exits.pop()
                for variables in exits:
                    self.frame.variables = variables if ended else merge(self.frame.variables, variables)
                    ended = False
                if ended:
                    break
            return self.block(node.orelse)
        times = library.length(iterable)
        if times == 0:
            return self.block(node.orelse)
        over = "data" if iterable.bits & (VAL | TRAIN) else "range"
        if (origin := library.origin_of(iterable)) is not None:
            self.emit("windows", node, iterable, loop=self.bit("loop", node), origin=origin)
        self.loop(node, node.body, lambda: self.bind_loop(node, iterable), times, over, iterable)
        self.block(node.orelse)
        return False

    def bind_loop(self, node: ast.For | ast.comprehension, iterable: Value) -> None:
        element = library.element_of(self, iterable, node)
        bit = self.bit("loop", node)
        self.assign(node.target, library.with_loop(element, bit), node)

    def do_while(self, node: ast.While) -> bool:
        if truth(self.ev(node.test)) is False:
            return self.block(node.orelse)
        self.loop(node, node.body, lambda: self.ev(node.test), None, "while", None)
        return False

    def loop(
        self,
        node: ast.For | ast.While,
        body: list[ast.stmt],
        bind: Callable[[], Any],
        times: int | None,
        over: str,
        iterable: Value | None,
    ) -> None:
        """Walk a loop's body twice: once silently to learn what it carries over, once to record what it does."""
        bit = self.bit("loop", node)
        entry = Loop(bit, node, self.frame.file, times, over)
        before = self.frame.variables
        once = times == 1
        outer = self.loops
        guard = self.guard, self.guard_data
        self.loops = (*outer, entry)
        self.exits.append([])
        try:
            if not once:
                carried = self.widened(node, body, before, bit if over == "while" else 0)
                if not self.silent:
                    self.silent += 1
                    self.frame.variables = dict(carried)
                    try:
                        bind()
                        self.block(body)
                    finally:
                        self.silent -= 1
                    exits = self.exits[-1]
                    after = self.frame.variables
                    for variables in exits:
                        after = merge(after, variables)
                    exits.clear()
                    carried = {
                        name: value.but(loops=value.loops & ~bit) if of_earlier_round(value) else value
                        for name, value in merge(carried, after).items()
                    }
                self.frame.variables = dict(carried)
            bind()
            ended = self.block(body)
        finally:
            self.loops = outer
            self.guard, self.guard_data = guard
            exits = self.exits.pop()
        after = self.frame.variables
        for variables in exits:
            after = variables if ended else merge(after, variables)
            ended = False
        self.frame.variables = after if once else merge(before, after)

    def widened(self, node: ast.AST, body: list[ast.stmt], before: dict[str, Value], bit: int) -> dict[str, Value]:
        """Forget the constants of what the loop assigns: they hold in the first round only."""
        names = self.assigned_names.get(node)
        if names is None:
            found: set[str] = set()
            for statement in body:
                for child in ast.walk(statement):
                    if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                        found.add(child.id)
            names = self.assigned_names[node] = frozenset(found)
        wide = dict(before)
        for name in names:
            value = wide.get(name)
            if value is None:
                continue
            if value.const is not UNKNOWN or value.position is not None or value.items is not None:
                numeric = value.const is UNKNOWN or isinstance(value.const, int)
                position = self.atom("carried", node, name) if numeric and not value.bits & DATA else value.position
                wide[name] = value.but(const=UNKNOWN, position=position, items=None, loops=value.loops | bit)
            elif bit:
                wide[name] = value.but(loops=value.loops | bit)
        return wide

    def do_with(self, node: ast.With | ast.AsyncWith) -> bool:
        for item in node.items:
            value = self.ev(item.context_expr)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value, node)
        return self.block(node.body)

    def do_try(self, node: ast.Try) -> bool:
        before = self.frame.variables
        ended = self.block(node.body)
        if not ended:
            ended = self.block(node.orelse)
        after = self.frame.variables
        caught = [h for h in node.handlers if not library.is_import_error(h)]
        for handler in caught:
            self.frame.variables = merge(before, after)
            if handler.name:
                self.frame.variables[handler.name] = Value()
            self.maybe += 1
            quits = self.block(handler.body)
            self.maybe -= 1
            if not quits:
                after = self.frame.variables if ended else merge(after, self.frame.variables)
                ended = False
        self.frame.variables = after
        return self.block(node.finalbody) or ended

    def do_match(self, node: ast.Match) -> bool:
        self.ev(node.subject)
        before = self.frame.variables
        joined: dict[str, Value] | None = None
        for case in node.cases:
            self.frame.variables = dict(before)
            self.maybe += 1
            if not self.block(case.body):
                joined = self.frame.variables if joined is None else merge(joined, self.frame.variables)
            self.maybe -= 1
        self.frame.variables = before if joined is None else merge(before, joined)
        return False

    def do_return(self, node: ast.Return) -> bool:
        self.frame.results.append(NOTHING if node.value is None else self.ev(node.value))
        return True

    def do_raise(self, node: ast.Raise) -> bool:
        return True

    def do_leave_round(self, node: ast.Break | ast.Continue) -> bool:
        if self.exits:
            self.exits[-1].append(dict(self.frame.variables))
        return True

    def do_assert(self, node: ast.Assert) -> None:
        self.ev(node.test)

    def do_delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name) and not self.maybe and not self.loops:
                self.frame.variables.pop(target.id, None)

    def do_declare(self, node: ast.Global | ast.Nonlocal) -> None:
        for name in node.names:
            scope: Frame | None = self.frame.module.frame
            if isinstance(node, ast.Nonlocal):
                scope = self.frame.outer
                while scope is not None and name not in scope.variables:
                    scope = scope.outer
            if scope is not None:
                self.frame.declared[name] = scope

    def do_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None and not isinstance(default, ast.Constant):
                self.ev(default)
        thing = Function(node, self.frame)
        value = Value(thing=self.made(thing, node))
        for decorator in node.decorator_list:
            name = ast.unparse(decorator).split("(")[0].rsplit(".", 1)[-1]
            if name == "property" or name == "cached_property":
                value = Value(thing=thing, const=UNKNOWN, bits=0, items=None)
                thing.dead = bool(self.dead)
                self.properties.add(node)
            elif name in ("staticmethod", "classmethod"):
                self.method_kinds[node] = name
        self.frame.variables[node.name] = value

    def do_class(self, node: ast.ClassDef) -> None:
        thing = Class(node, self.frame)
        self.made(thing, node)
        for base in node.bases:
            value = self.ev(base)
            if isinstance(value.thing, Class):
                thing.bases.append(value.thing)
            elif isinstance(value.thing, External):
                thing.external.append(value.thing.name)
            else:
                thing.external.append(ast.unparse(base))
        scope = Frame(self.frame.module, self.frame, node, self.frame.file, node.name)
        outer = self.frame
        self.frame = scope
        try:
            self.block(node.body)
        finally:
            self.frame = outer
        for name, logged in self.attributes.items():
            if name in scope.variables:
                scope.variables[name] = constant(logged)
        thing.attributes = scope.variables
        for value in thing.attributes.values():
            if isinstance(value.thing, Function) and value.thing.frame is scope:
                value.thing.frame, value.thing.owner = outer, thing
        thing.fields = [
            s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
        ]
        self.frame.variables[node.name] = Value(thing=thing)

    def do_import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.split(".")[0]
            local = self.modules.get(alias.name)
            if local is not None:
                self.run_module(local, alias.name)
                self.frame.variables[alias.asname or name] = Value(thing=local)
            else:
                self.frame.variables[alias.asname or name] = Value(thing=External(name))

    def do_import_from(self, node: ast.ImportFrom) -> None:
        source = node.module or ""
        local = self.modules.get(source) or (self.modules.get(source.rsplit(".", 1)[-1]) if node.level else None)
        if local is not None:
            self.run_module(local, source)
        for alias in node.names:
            if local is None:
                nested = self.modules.get(f"{source}.{alias.name}") or (
                    self.modules.get(alias.name) if node.level else None
                )
                if nested is not None:
                    self.run_module(nested, alias.name)
                    self.frame.variables[alias.asname or alias.name] = Value(thing=nested)
                    continue
                self.frame.variables[alias.asname or alias.name] = Value(thing=External(f"{source}.{alias.name}"))
            elif alias.name == "*":
                self.frame.variables.update((k, v) for k, v in local.frame.variables.items() if not k.startswith("_"))
            else:
                found = local.frame.variables.get(alias.name)
                self.frame.variables[alias.asname or alias.name] = found if found is not None else Value()

    # ------------------------------------------------------------------ assignment

    def assign(self, target: ast.expr, value: Value, node: ast.AST) -> None:
        """Bind a target to a value."""
        if isinstance(target, ast.Name):
            if self.guard_choice and (value.bits & (NLL | PARAM | MODEL) or value.thing is not None):
                value = value.but(bits=value.bits | self.guard_choice)
            if value.bits & INTERESTING:
                value = value.but(trail=Trail(self.frame.file, node, value.trail))
            if (
                value.position is None
                and value.const is UNKNOWN
                and value.thing is None
                and value.items is None
                and not value.bits & DATA
            ):
                value = value.but(position=self.atom("name", node, target.id))
            scope = self.frame.declared.get(target.id, self.frame)
            if scope is not self.frame and (self.maybe or self.loops) and target.id in scope.variables:
                value = join(scope.variables[target.id], value)
            scope.variables[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            self.unpack(target.elts, value, node)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, node)
        elif isinstance(target, ast.Attribute):
            self.store_attribute(self.ev(target.value), target.attr, value, node)
        elif isinstance(target, ast.Subscript):
            base, index = self.ev(target.value), self.ev(target.slice)
            if self.adds_to_itself(target, node):
                tensors.count_if_table(self, node, base, index)
            self.score_if_nll_stored(node, value)
            self.store_element(target.value, base, index, value, node)

    def adds_to_itself(self, target: ast.Subscript, node: ast.AST) -> bool:
        """``d[k] = d.get(k, 0) + 1``: an increment in two parts."""
        return isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.Add)

    def score_if_nll_stored(self, node: ast.AST, value: Value) -> None:
        if value.bits & NLL and value.bits & VAL and value.bits & MODEL and not value.bits & (GRADIENT | TOKEN):
            self.emit("store", node, value)
            self.drop_if_bytes(node, value)

    def unpack(self, targets: list[ast.expr], value: Value, node: ast.AST) -> None:
        items = library.known_items(value)
        starred = next((i for i, t in enumerate(targets) if isinstance(t, ast.Starred)), None)
        if items is not None and starred is None and len(items) == len(targets):
            for target, item in zip(targets, items, strict=True):
                self.assign(target, item, node)
            return
        if items is not None and starred is not None and len(items) >= len(targets) - 1:
            after = len(targets) - starred - 1
            for target, item in zip(targets[:starred], items, strict=False):
                self.assign(target, item, node)
            rest = list(items[starred : len(items) - after])
            self.assign(targets[starred], Value(thing=self.made(Sequence(items=rest), node)), node)
            for target, item in zip(targets[len(targets) - after :], items[len(items) - after :], strict=False):
                self.assign(target, item, node)
            return
        element = library.element_of(self, value, node)
        for i, target in enumerate(targets):
            self.assign(target, element.but(const=UNKNOWN, position=None) if i else element, node)

    def store_attribute(self, base: Value, name: str, value: Value, node: ast.AST) -> None:
        thing = base.thing
        if value.bits & INTERESTING:
            value = value.but(trail=Trail(self.frame.file, node, value.trail))
        if isinstance(thing, Instance):
            if not self.may_write(thing):
                return
            child = value.thing
            if isinstance(child, Instance) and child.owner is None and child is not thing and library.is_model(child):
                child.owner = thing
            elif isinstance(child, Layer):
                child.owner = child.owner or thing
            elif isinstance(child, Sequence) and library.is_model(thing):
                for member in child.members:
                    if isinstance(member.thing, Instance) and member.thing.owner is None and member.thing is not thing:
                        member.thing.owner = thing
            old = thing.attributes.get(name)
            if old is not None and self.maybe + len(self.loops) > thing.depth:
                value = join(old, value)
            thing.attributes[name] = value
        elif isinstance(thing, Class):
            if self.may_write(thing):
                thing.attributes[name] = value if not self.maybe else join(thing.attributes.get(name, value), value)
        elif isinstance(thing, ModuleThing):
            thing.frame.variables[name] = value
        elif isinstance(thing, Array) and self.may_write(thing):
            thing.bits |= value.bits & ~GRADIENT
            thing.loops |= value.loops
        elif name == "data":
            self.step_if_gradient(node, base, value)
            models, _ = library.parameters_of(base)
            for model in models:
                if self.may_write(model):
                    model.root().weights |= value.bits & EVENTS

    def store_element(self, target: ast.expr, base: Value, index: Value, value: Value, node: ast.AST) -> None:
        thing = base.thing
        if thing is None:
            grown = base.but(
                bits=base.bits | (value.bits & ~COMPARED),
                loops=base.loops | value.loops,
                const=UNKNOWN,
                trail=value.trail or base.trail,
            )
            if isinstance(target, ast.Name | ast.Attribute) and value.bits & ~base.bits:
                self.assign(target, grown, node)
            return
        if not self.may_write(thing):
            return
        value = self.gated(value, index, node)
        if isinstance(thing, Mapping_):
            library.put(thing, index, value)
        elif isinstance(thing, Sequence):
            library.put_item(thing, index, value)
        elif isinstance(thing, Array):
            if value.bits & TEXT and not value.bits & (VAL | COMPARED):
                self.emit("bytes", node, value)
            if value.bits & NOT_TARGET and not value.bits & (TARGET | NLL | FULL) and thing.bits & NLL:
                value = value.but(bits=value.bits | self.emit("expert", node, value))
            thing.bits |= value.bits & ~COMPARED | (PREVIOUS if value.bits & SHIFTED else 0)
            thing.loops |= value.loops | index.loops
            thing.filled = True
            if thing.position is None:
                thing.position = value.position
            if value.trail is not None:
                thing.trail = Trail(self.frame.file, node, value.trail)
        elif isinstance(thing, Instance):
            method = thing.cls.find("__setitem__") if thing.cls else None
            if method is not None and isinstance(method.thing, Function):
                self.call_function(method.thing, [base, index, value], {}, node)

    def gated(self, value: Value, index: Value, node: ast.AST) -> Value:
        """Note what decides whether an element is stored: the class of the token at its own position, or a loss."""
        if self.guard_choice and value.bits & (NLL | PARAM | MODEL):
            value = value.but(bits=value.bits | self.guard_choice)
        decided = self.guard_data
        if (
            decided & TEXT
            and decided & (CURRENT | TARGET)
            and decided & VAL
            and not value.bits & (CURRENT | TARGET | NLL | TEXT)
            and value.const is UNKNOWN
            and index.loops
            and not index.bits & TOKEN
        ):
            value = value.but(bits=value.bits | self.emit("gate", node, Value(decided, trail=value.trail)))
        return value

    # ------------------------------------------------------------------ expressions

    def ev(self, node: ast.expr) -> Value:
        """Return the abstract value of an expression."""
        self.steps += 1
        if self.steps > self.limit:
            raise Exhausted
        method = EXPRESSIONS.get(type(node))
        return method(self, node) if method is not None else Value()

    def ev_constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, str):
            return Value(library.text_bits(node.value), node.value)
        return Value(const=node.value)

    def ev_name(self, node: ast.Name) -> Value:
        name = node.id
        scope: Frame | None = self.frame
        while scope is not None:
            found = scope.variables.get(name)
            if found is not None:
                return seen(found)
            scope = scope.outer
        found = self.frame.module.frame.variables.get(name)
        return seen(found) if found is not None else Value(thing=External(f"builtins.{name}"))

    def ev_attribute(self, node: ast.Attribute) -> Value:
        return self.attribute(self.ev(node.value), node.attr, node)

    def attribute(self, base: Value, name: str, node: ast.AST) -> Value:
        """Return ``base.name``."""
        thing = base.thing
        if isinstance(thing, External):
            return library.external_attribute(self, thing, name)
        if isinstance(thing, Instance):
            found = thing.attributes.get(name)
            if found is None and thing.cls is not None:
                found = thing.cls.find(name)
            if found is not None:
                return self.bind(found, base, node)
            if name == "__dict__":
                return Value(thing=library.mapping_of(thing.attributes))
            if (
                thing.cls is not None
                and (hook := thing.cls.find("__getattr__")) is not None
                and isinstance(hook.thing, Function)
            ):
                return self.call_function(hook.thing, [base, constant(name)], {}, node)
            return Value(base.bits, thing=Method(base, name))
        if isinstance(thing, Class):
            found = thing.find(name)
            if found is not None:
                if isinstance(found.thing, Function) and self.method_kinds.get(found.thing.definition) == "classmethod":
                    return Value(thing=Function(found.thing.definition, found.thing.frame, found.thing.owner, base))
                return seen(found)
            if name == "__name__":
                return constant(thing.definition.name)
            return Value(thing=Method(base, name))
        if isinstance(thing, ModuleThing):
            found = thing.frame.variables.get(name)
            if found is None and thing.state == "running":
                return Value()
            return seen(found) if found is not None else Value()
        if isinstance(thing, Super):
            for candidate in thing.owner.bases:
                if (found := candidate.find(name)) is not None:
                    return self.bind(found, thing.receiver, node)
            return Value(thing=Method(thing.receiver, name))
        return library.attribute(self, base, name, node)

    def bind(self, found: Value, receiver: Value, node: ast.AST) -> Value:
        """Turn a function found on a class into a method of the receiver; evaluate properties."""
        thing = found.thing
        if isinstance(thing, Function) and thing.owner is not None and thing.bound is None:
            definition = thing.definition
            kind = self.method_kinds.get(definition)
            if definition in self.properties:
                return self.call_function(thing, [receiver], {}, node)
            if kind == "staticmethod":
                return found
            cls = receiver.thing.cls if isinstance(receiver.thing, Instance) else None
            owner = Value(thing=cls) if kind == "classmethod" and cls is not None else receiver
            return Value(thing=Function(definition, thing.frame, thing.owner, owner))
        return seen(found)

    def ev_subscript(self, node: ast.Subscript) -> Value:
        return library.subscript(self, self.ev(node.value), self.ev(node.slice), node)

    def ev_slice(self, node: ast.Slice) -> Value:
        parts = tuple(NOTHING if p is None else self.ev(p) for p in (node.lower, node.upper, node.step))
        bits = parts[0].bits | parts[1].bits
        return Value(bits, thing=SLICE, items=parts, loops=parts[0].loops | parts[1].loops)

    def ev_tuple(self, node: ast.Tuple) -> Value:
        items: list[Value] = []
        for element in node.elts:
            if isinstance(element, ast.Starred):
                value = self.ev(element.value)
                inner = library.known_items(value)
                items.extend(inner if inner is not None else [library.element_of(self, value, node)])
            else:
                items.append(self.ev(element))
        return library.tuple_of(items)

    def ev_list(self, node: ast.List | ast.Set) -> Value:
        items = self.ev_tuple(ast.Tuple(node.elts)) if node.elts else None
        thing = Sequence(items=list(items.items or ()) if items else [])
        self.made(thing, node)
        return Value(thing=thing)

    def ev_dict(self, node: ast.Dict) -> Value:
        thing = MappingThing()
        self.made(thing, node)
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.ev(item)
            if key is None:
                if isinstance(value.thing, MappingThing):
                    thing.entries.update(value.thing.entries)
                    if value.thing.element is not None:
                        library.put(thing, Value(), value.thing.element)
            else:
                library.put(thing, self.ev(key), value)
        return Value(thing=thing)

    def ev_binary(self, node: ast.BinOp) -> Value:
        return self.binary(node, node.op, self.ev(node.left), self.ev(node.right))

    def binary(self, node: ast.AST, op: ast.operator, left: Value, right: Value) -> Value:
        """Return ``left op right``, noting hashes, ratios and mixtures on the way."""
        if left.const is not UNKNOWN and right.const is not UNKNOWN:
            folded = fold_binary(op, left.const, right.const)
            if folded is not UNKNOWN:
                bits = left.bits | right.bits
                if isinstance(folded, str):
                    bits |= library.text_bits(folded)
                return Value(bits, folded, loops=left.loops | right.loops)
        if (isinstance(left.thing, Sequence | External) and not left.bits) or isinstance(right.thing, Sequence):
            combined = library.combine_sequences(self, op, left, right, node)
            if combined is not None:
                return combined
        bits = left.bits | right.bits
        position = None
        a, b = left.where(), right.where()
        if isinstance(op, ast.Add) and a is not None and b is not None:
            position = a.plus(b)
        elif isinstance(op, ast.Sub) and a is not None and b is not None:
            position = a.plus(b, -1)
        elif isinstance(op, ast.Mult) and a is not None and b is not None:
            if not a.terms:
                position = b.times(a.constant)
            elif not b.terms:
                position = a.times(b.constant)
        if bits & TOKEN:
            bits = self.mixed_tokens(node, op, left, right, bits)
            position = None if (left.bits & TOKEN and right.bits & TOKEN) else position
        if isinstance(op, ast.Div | ast.FloorDiv):
            if left.bits & TARGET_LOOKUP and right.bits & COUNT and not left.bits & RATIO:
                bits |= RATIO | self.emit("ratio", node, Value(bits, trail=left.trail), left=left, right=right)
            if left.bits & NLL and left.bits & VAL and right.bits & (BYTES | TEXT):
                bits |= SPREAD
            fixed = right.const
            if (
                isinstance(fixed, float)
                and 1.2 < fixed < 8
                and fixed != int(fixed)
                and left.bits & NLL
                and left.bits & VAL
            ):
                bits |= self.emit("fixed", node, Value(bits, trail=left.trail), divisor=fixed)
        elif isinstance(op, ast.Pow) and left.bits & NLL and right.bits & (BYTES | TEXT) and bits & VAL:
            bits |= self.emit("spread", node, Value(bits, trail=left.trail or right.trail))
        elif isinstance(op, ast.Add | ast.Sub):
            if (left.bits ^ right.bits) & PREVIOUS and bits & PARAM and left.bits & right.bits & POSITION:
                self.emit("smear", node, Value(bits, trail=left.trail or right.trail))
                bits &= ~(PREVIOUS | SHIFTED)
            bits = self.mixed_scores(node, left, right, bits)
        elif isinstance(op, ast.Mult) and bits & NLL and bits & VAL:
            number = left.const if left.bits == 0 else right.const
            if isinstance(number, float) and 0.5 < number < 1.5 and number != 1.0 and not bits & COUNT:
                bits |= SCALED | self.emit("scale", node, Value(bits, trail=left.trail or right.trail), factor=number)
        elif isinstance(op, ast.MatMult):
            bits &= ~(FULL | TOKEN)
        loops = left.loops | right.loops
        trail = (
            left.trail if right.trail is None or (left.trail is not None and left.bits >= right.bits) else right.trail
        )
        return Value(bits, UNKNOWN, None, None, position, loops, trail)

    def mixed_tokens(self, node: ast.AST, op: ast.operator, left: Value, right: Value, bits: int) -> int:
        """Follow token arithmetic: when does a key contain the target?"""
        both = left.bits & right.bits & TOKEN
        if isinstance(op, ast.BitXor) or (both and isinstance(op, ast.Add | ast.BitOr | ast.Mult | ast.Sub)):
            if isinstance(op, ast.BitXor) or both:
                bits |= HASHED
            if isinstance(op, ast.BitXor):
                bits |= self.key_bits(left, right)
        elif isinstance(op, ast.Mod | ast.BitAnd) and bits & HASHED:
            if bits & TARGET and (bits & (INPUT | PAST | CURRENT) or both):
                bits |= HASH_TARGET
            elif bits & CURRENT and bits & PAST:
                bits |= HASH_CURRENT
        return bits

    def key_bits(self, left: Value, right: Value) -> int:
        if not (left.bits & right.bits & (TOKEN | HASHED)):
            return 0
        bits = left.bits | right.bits
        if bits & TARGET:
            return HASH_TARGET
        for one, other in ((left, right), (right, left)):
            if one.bits & CURRENT and not one.bits & PAST and other.bits & PAST:
                return HASH_CURRENT
        return 0

    def mixed_scores(self, node: ast.AST, left: Value, right: Value, bits: int) -> int:
        if left.bits & right.bits & (NLL | COUNT) and isinstance(node, ast.BinOp):
            for event in self.timeline.events[-6:]:  # `0.6 * p + 0.4 * q` weighs, it does not scale
                if event.kind == "scale" and event.node in (node.left, node.right):
                    event.data["weighs"] = True
        for one, other in ((left, right), (right, left)):
            if one.bits & (RATIO | TARGET_LOOKUP) and other.bits & NLL and other.bits & MODEL:
                if not other.bits & (BLENDED | RATIO) or not one.bits & BLENDED:
                    bits |= BLENDED | self.emit("blend", node, Value(bits, trail=one.trail or other.trail))
                break
            if (
                one.bits & NOT_TARGET
                and not one.bits & (TARGET | NLL | FULL | COMPARED)
                and other.bits & NLL
                and other.bits & VAL
                and not other.bits & NOT_TARGET
            ):
                bits |= self.emit("bias", node, Value(bits, trail=one.trail))
                break
        return bits

    def ev_unary(self, node: ast.UnaryOp) -> Value:
        value = self.ev(node.operand)
        if value.const is not UNKNOWN:
            folded = fold_unary(node.op, value.const)
            if folded is not UNKNOWN:
                return Value(value.bits, folded)
        if isinstance(node.op, ast.Not):
            known = truth(value)
            return Value(value.bits, UNKNOWN if known is None else not known, loops=value.loops)
        position = value.position.times(-1) if value.position is not None and isinstance(node.op, ast.USub) else None
        return Value(value.bits, UNKNOWN, None, None, position, value.loops, value.trail)

    def ev_boolean(self, node: ast.BoolOp) -> Value:
        values: list[Value] = []
        stop = isinstance(node.op, ast.Or)
        unknown = False
        for operand in node.values:
            value = self.ev(operand)
            known = truth(value)
            if known is stop and not unknown:
                return value
            if known is stop:
                values.append(value)
                # `unknown and False` is False whatever the unknown is
                return Value(value.bits, stop) if not stop else join_all(values)
            if known is None:
                unknown = True
            values.append(value)
        if not unknown:
            return values[-1]
        live = [v for v in values if truth(v) is None] or values
        return (
            join_all(live)
            if len(live) > 1
            else (live[0] if stop or len(values) == 1 else live[0].but(thing=live[0].thing))
        )

    def ev_compare(self, node: ast.Compare) -> Value:
        left = self.ev(node.left)
        rights = [self.ev(c) for c in node.comparators]
        if len(rights) == 1:
            folded = fold_compare(node.ops[0], left, rights[0])
            if folded is not UNKNOWN:
                return Value(const=folded)
        bits, loops = left.bits, left.loops
        for right in rights:
            bits |= right.bits
            loops |= right.loops
        if bits & CLOCK:
            limit = next((v.const for v in (*rights, left) if isinstance(v.const, int | float)), None)
            self.emit("deadline", node, Value(bits), limit=limit)
        trail = left.trail or (rights[0].trail if rights else None)
        if len(rights) == 1:
            bits |= self.match_of_stored(node, left, rights[0])
        return Value((bits | COMPARED) & ~FULL, UNKNOWN, None, None, None, loops, trail)

    def match_of_stored(self, node: ast.Compare, left: Value, right: Value) -> int:
        """Comparing targets with tokens from a file of the submission's own: a stored copy of the text."""
        if not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            return 0
        for one, other in ((left, right), (right, left)):
            truth_side = one.bits & TARGET and one.bits & VAL and one.bits & TOKEN
            if truth_side and other.bits & ARTIFACT and not other.bits & (VAL | MODEL | PARAM):
                return self.emit("match", node, Value(one.bits | other.bits, trail=other.trail or one.trail))
        return 0

    def ev_if_expression(self, node: ast.IfExp) -> Value:
        test = self.ev(node.test)
        known = truth(test)
        if known is False and self.witness.text and (text := literal(node.body)) and self.witness.saw(text):
            known = True  # the log shows the text of the other branch
            self.correct(node.test, True)
        if known is not None:
            return self.ev(node.body if known else node.orelse)
        self.maybe += 1
        body, other = self.ev(node.body), self.ev(node.orelse)
        self.maybe -= 1
        if isinstance(node.test, ast.Compare) and test.bits & NLL and body.bits & other.bits & NLL and test.bits & VAL:
            bit = self.emit("choose", node, test, how="expression")
            return join(body, other).but(bits=body.bits | other.bits | bit)
        return join(body, other)

    def ev_call(self, node: ast.Call) -> Value:
        function = self.ev(node.func)
        given: list[Value] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                value = self.ev(argument.value)
                items = library.known_items(value)
                given.extend(items if items is not None else [library.element_of(self, value, node)])
            else:
                given.append(self.ev(argument))
        named: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.ev(keyword.value)
            if keyword.arg is not None:
                named[keyword.arg] = value
            elif isinstance(value.thing, MappingThing):
                named.update((str(k), v) for k, v in value.thing.entries.items())
        result = self.call(function, given, named, node)
        if result.thing is None and result.bits & NLL and isinstance(node.func, ast.Attribute):
            self.rebind_receiver(node.func, result)
        return result

    def rebind_receiver(self, func: ast.Attribute, result: Value) -> None:
        """``x.add_(y)`` on a plain value changes the variable it came from."""
        if func.attr.endswith("_") and not func.attr.startswith("_") and isinstance(func.value, ast.Name):
            self.assign(func.value, result, func)

    def ev_lambda(self, node: ast.Lambda) -> Value:
        return Value(thing=self.made(Function(node, self.frame), node))

    def ev_comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
        outer = self.frame
        inner = Frame(outer.module, outer, node, outer.file, outer.name)
        inner.declared, inner.receiver = outer.declared, outer.receiver
        loops = self.loops
        first = node.generators[0]
        iterable = self.ev(first.iter)
        items = library.known_items(iterable)
        single = len(node.generators) == 1 and not first.ifs
        self.frame = inner
        try:
            if single and items is not None and len(items) <= 16 and not library.is_range(iterable):
                return self.unrolled(node, first, items)
            count = library.length(iterable)
            for i, generator in enumerate(node.generators):
                source = iterable if i == 0 else self.ev(generator.iter)
                bit = self.bit("loop", generator)
                if isinstance(node, ast.ListComp) and (origin := library.origin_of(source)) is not None:
                    self.emit("windows", node, source, loop=bit, origin=origin)
                times = library.length(source)
                over = "data" if source.bits & (VAL | TRAIN) else "range"
                self.loops = (*self.loops, Loop(bit, node, self.frame.file, times, over))
                self.bind_loop(generator, source)
                for test in generator.ifs:
                    self.ev(test)
            if isinstance(node, ast.DictComp):
                mapping = MappingThing()
                key, item = self.ev(node.key), self.ev(node.value)
                self.loops = loops
                self.made(mapping, node)
                library.put(mapping, key.but(const=UNKNOWN), item)
                return Value(thing=mapping)
            element = self.ev(node.elt)
        finally:
            self.frame, self.loops = outer, loops
        thing = Sequence(kind="comprehension")
        self.made(thing, node)
        library.append(thing, element)
        if count == 0 and single:
            thing.items = []
        return Value(thing=thing)

    def unrolled(self, node: Any, generator: ast.comprehension, items: tuple[Value, ...]) -> Value:
        results: list[Value] = []
        mapping = MappingThing()
        self.made(mapping, node)
        for item in items:
            self.assign(generator.target, item, node)
            if isinstance(node, ast.DictComp):
                library.put(mapping, self.ev(node.key), self.ev(node.value))
            else:
                results.append(self.ev(node.elt))
        if isinstance(node, ast.DictComp):
            return Value(thing=mapping)
        return Value(thing=self.made(Sequence(items=results), node))

    def ev_string(self, node: ast.JoinedStr) -> Value:
        text, whole, bits, loops = "", True, 0, 0
        trail = None
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
                continue
            if isinstance(part, ast.FormattedValue):
                value = self.ev(part.value)
                if isinstance(part.format_spec, ast.JoinedStr):
                    self.ev(part.format_spec)
                bits |= value.bits
                loops |= value.loops
                trail = trail or value.trail
                if isinstance(value.const, str | int) and part.format_spec is None:
                    text += str(value.const)
                else:
                    whole = False
                    text += "\0"
        if whole:
            return Value(bits | library.text_bits(text), text)
        return Value(bits | library.text_bits(text), thing=library.Template(text), loops=loops, trail=trail)

    def ev_await(self, node: ast.Await) -> Value:
        return self.ev(node.value)

    def ev_yield(self, node: ast.Yield | ast.YieldFrom) -> Value:
        value = NOTHING if node.value is None else self.ev(node.value)
        self.frame.yields.append(library.element_of(self, value, node) if isinstance(node, ast.YieldFrom) else value)
        return Value()

    def ev_named(self, node: ast.NamedExpr) -> Value:
        value = self.ev(node.value)
        self.assign(node.target, value, node)
        return value

    def ev_starred(self, node: ast.Starred) -> Value:
        return self.ev(node.value)

    # ------------------------------------------------------------------ calls

    def call(self, function: Value, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
        """Return what a call gives."""
        thing = function.thing
        if isinstance(thing, Function):
            if thing.bound is not None:
                given = [thing.bound, *given]
            return self.call_function(thing, given, named, node)
        if isinstance(thing, Class):
            return self.construct(thing, given, named, node)
        if isinstance(thing, Partial):
            return self.call(thing.function, [*thing.given, *given], {**thing.named, **named}, node)
        if isinstance(thing, Instance):
            return self.call_instance(function, thing, given, named, node)
        if isinstance(thing, External):
            return library.call(self, thing.name, given, named, node)
        if isinstance(thing, Method):
            return library.call_method(self, thing.receiver, thing.name, given, named, node)
        if isinstance(thing, Layer):
            result = library.union([*given, *named.values()])
            return result.but(bits=result.bits & ~(TOKEN | FULL | CURRENT) | PARAM)
        if isinstance(thing, Sequence) and thing.kind == "modules":  # nn.Sequential: through each in turn
            result = library.union(given)
            for member in thing.members:
                result = self.call(member, [result], {}, node)
            return result.but(bits=result.bits & ~TOKEN | PARAM)
        return library.union([function, *given, *named.values()])

    def call_instance(
        self, function: Value, thing: Instance, given: list[Value], named: dict[str, Value], node: ast.AST
    ) -> Value:
        if thing.cls is not None:
            for name in ("__call__", "forward"):
                method = thing.cls.find(name)
                own = thing.attributes.get(name)
                if own is not None and isinstance(own.thing, Function | Partial):
                    return self.call(own, given, named, node)
                if method is not None and isinstance(method.thing, Function):
                    return self.call_function(method.thing, [function, *given], named, node)
        result = library.union([*given, *named.values()])
        return result.but(bits=result.bits | thing.root().weights | thing.bits)

    def construct(self, cls: Class, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
        if cls.derives("Optimizer"):
            return library.make_optimizer(self, cls.definition.name, given, named, node)
        if cls.derives("NamedTuple", "Enum", "IntEnum", "StrEnum", "Exception", "RuntimeError", "ValueError"):
            return (
                library.union([*given, *named.values()])
                if not cls.fields
                else self.make_record(cls, given, named, node)
            )
        instance = Instance(cls, node)
        self.made(instance, node)
        value = Value(thing=instance)
        init = cls.find("__init__")
        if init is not None and isinstance(init.thing, Function):
            self.call_function(init.thing, [value, *given], named, node)
            return value
        return self.make_record(cls, given, named, node) if cls.fields else value

    def make_record(self, cls: Class, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
        """A dataclass or named tuple: fields by position or name, then the defaults of the class."""
        instance = Instance(cls, node)
        self.made(instance, node)
        fields = [f for base in reversed(cls.bases) for f in base.fields] + cls.fields
        for field_name, value in zip(fields, given, strict=False):
            instance.attributes[field_name] = value
        instance.attributes.update(named)
        value = Value(thing=instance)
        after = cls.find("__post_init__")
        if after is not None and isinstance(after.thing, Function):
            self.call_function(after.thing, [value], {}, node)
        return value

    def call_function(self, function: Function, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
        """Walk a function's body with its arguments; models' methods are walked once for each kind of argument."""
        definition = function.definition
        running = self.recursion.get(id(definition), 0)
        if running >= 2 or self.depth >= DEPTH_LIMIT:
            return library.union([*given, *named.values()])
        receiver = given[0].thing if function.owner is not None and given else None
        model = receiver if isinstance(receiver, Instance) and library.is_model(receiver) else None
        memo_key: object = None
        arguments: Value | None = None
        if model is not None:
            if not self.calls_model():
                given = library.mark_input(given)
                arguments = library.union([*given[1:], *named.values()])
                if arguments.bits & (TRAIN | VAL | GENERATED):
                    self.emit("forward", node, arguments, models=(id(model.root()),))
            memo_key = (
                id(definition),
                id(model),
                model.root().weights,
                *map(shape_of, given[1:]),
                *((k, shape_of(v)) for k, v in sorted(named.items())),
            )
            found = self.memo.get(memo_key)
            if found is not None:
                return self.with_arguments(found, given, named)
        events = self.event_count
        result = self.walk(function, given, named, node)
        if model is not None:
            # what a model keeps from earlier calls (tables of angles, buffers) is not data of this call
            foreign = (VAL | TRAIN) & ~arguments.bits if arguments is not None else 0
            result = library.from_model(result, model.root().weights, foreign)
            if self.event_count == events:
                own = 0
                for value in (*given[1:], *named.values()):
                    own |= value.loops
                self.memo[memo_key] = library.without_loops(result, own)  # another call brings its own
        return result

    def calls_model(self) -> bool:
        """Say whether the current frame is itself a method of a model."""
        me = self.frame.receiver
        return isinstance(me, Instance) and library.is_model(me)

    def with_arguments(self, found: Value, given: list[Value], named: dict[str, Value]) -> Value:
        everything = [*given[1:], *named.values()]
        loops = 0
        trail = None
        for value in everything:
            loops |= value.loops
            trail = trail or value.trail
        return library.deepen(found, loops, trail)

    def walk(self, function: Function, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
        definition = function.definition
        self.called.add(definition)
        frame = Frame(function.frame.module, function.frame, definition, function.frame.file, function.name)
        if function.owner is not None:
            frame.receiver = given[0].thing if given else None
            frame.name = f"{function.owner.definition.name}.{function.name}"
        outer = self.frame, self.calls, self.path_key, self.exits, self.maybe
        doubts = self.uncertain, self.entry_loops, self.callers_doubt, self.guard, self.guard_data, self.guard_choice
        call = Call(node, outer[0].file, frame.name, getattr(node, "lineno", 0))
        self.recursion[id(definition)] = self.recursion.get(id(definition), 0) + 1
        self.depth += 1
        try:
            self.bind_arguments(definition.args, frame, function, given, named, node)
            self.frame, self.exits = frame, []
            self.callers_doubt = bool(self.uncertain) or len(self.loops) > self.entry_loops
            self.uncertain, self.entry_loops = 0, len(self.loops)
            self.calls = (*outer[1], call)
            self.path_key = hash((outer[2], id(node), id(definition)))
            if isinstance(definition, ast.Lambda):
                return self.ev(definition.body)
            self.block(definition.body)
        finally:
            self.frame, self.calls, self.path_key, self.exits, self.maybe = outer
            self.uncertain, self.entry_loops, self.callers_doubt, self.guard, self.guard_data, self.guard_choice = (
                doubts
            )
            self.depth -= 1
            self.recursion[id(definition)] -= 1
        if frame.yields:
            thing = Sequence(kind="generator")
            self.made(thing, node)
            for value in frame.yields:
                library.append(thing, value)
            return Value(thing=thing)
        if not frame.results:
            return NOTHING
        return join_all(frame.results)

    def bind_arguments(
        self,
        parameters: ast.arguments,
        frame: Frame,
        function: Function,
        given: list[Value],
        named: dict[str, Value],
        node: ast.AST,
    ) -> None:
        names = [*parameters.posonlyargs, *parameters.args]
        outer, self.frame = self.frame, function.frame
        try:
            for parameter, default in zip(reversed(names), reversed(parameters.defaults), strict=False):
                frame.variables[parameter.arg] = self.ev(default)
            for keyword, fallback in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True):
                if fallback is not None:
                    frame.variables[keyword.arg] = self.ev(fallback)
        finally:
            self.frame = outer
        left = dict(named)
        for parameter, value in zip(names, given, strict=False):
            frame.variables[parameter.arg] = self.passed(value, parameter, node)
        for parameter in (*names[len(given) :], *parameters.kwonlyargs):
            if parameter.arg in left:
                frame.variables[parameter.arg] = self.passed(left.pop(parameter.arg), parameter, node)
            elif parameter.arg not in frame.variables:
                frame.variables[parameter.arg] = Value()
        if parameters.vararg is not None:
            frame.variables[parameters.vararg.arg] = library.tuple_of(given[len(names) :])
        if parameters.kwarg is not None:
            frame.variables[parameters.kwarg.arg] = Value(thing=library.mapping_of(left))

    def passed(self, value: Value, parameter: ast.arg, node: ast.AST) -> Value:
        if value.bits & INTERESTING:
            return value.but(trail=Trail(self.frame.file, node, value.trail))
        return value


def last_name(node: ast.Name | ast.Attribute) -> str:
    """Return the last of dotted names."""
    return node.id if isinstance(node, ast.Name) else node.attr


def of_earlier_round(value: Value) -> bool:
    """Tokens that a loop carries over are those of the round before, not of this one."""
    return bool(value.bits & TOKEN and value.bits & (VAL | TRAIN))


def keeps_weights(node: ast.If) -> bool:
    """Say whether a branch saves or loads the weights of a model: then weights are chosen, not losses."""
    names = {n.attr for s in node.body for n in ast.walk(s) if isinstance(n, ast.Attribute)}
    return bool(names & {"state_dict", "load_state_dict"})


def literal(node: ast.expr) -> str | None:
    """Return the text of a string expression, unknown parts as NUL."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "\0" for p in node.values)
    return None


SLICE = Thing()
Mapping_ = MappingThing


def shape_of(value: Value) -> object:
    """What of an argument may change a model's result."""
    const = value.const
    known = const if isinstance(const, bool | int | str | type(None)) else "?"
    bits = value.bits
    if isinstance(value.thing, Array):
        bits |= value.thing.bits
    return bits, known, id(value.thing) if value.thing is not None else 0


def seen(value: Value) -> Value:
    """Return a value as it is read: with what has been written into the array it refers to."""
    thing = value.thing
    if isinstance(thing, Array):
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


def merge(a: dict[str, Value], b: dict[str, Value]) -> dict[str, Value]:
    """Join the variables of two ways through the program."""
    if a is b:
        return a
    merged = dict(a)
    for name, value in b.items():
        other = merged.get(name)
        merged[name] = value if other is None else join(other, value)
    return merged


def join_all(values: Seq[Value]) -> Value:
    """Join any number of values."""
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


STATEMENTS: dict[type, Callable[[Interpreter, Any], bool | None]] = {
    ast.Expr: Interpreter.do_expression,
    ast.Assign: Interpreter.do_assign,
    ast.AnnAssign: Interpreter.do_annotated,
    ast.AugAssign: Interpreter.do_augmented,
    ast.If: Interpreter.do_if,
    ast.For: Interpreter.do_for,
    ast.AsyncFor: Interpreter.do_for,
    ast.While: Interpreter.do_while,
    ast.With: Interpreter.do_with,
    ast.AsyncWith: Interpreter.do_with,
    ast.Try: Interpreter.do_try,
    ast.TryStar: Interpreter.do_try,
    ast.Match: Interpreter.do_match,
    ast.Return: Interpreter.do_return,
    ast.Raise: Interpreter.do_raise,
    ast.Break: Interpreter.do_leave_round,
    ast.Continue: Interpreter.do_leave_round,
    ast.Assert: Interpreter.do_assert,
    ast.Delete: Interpreter.do_delete,
    ast.Global: Interpreter.do_declare,
    ast.Nonlocal: Interpreter.do_declare,
    ast.FunctionDef: Interpreter.do_function,
    ast.AsyncFunctionDef: Interpreter.do_function,
    ast.ClassDef: Interpreter.do_class,
    ast.Import: Interpreter.do_import,
    ast.ImportFrom: Interpreter.do_import_from,
}

EXPRESSIONS: dict[type, Callable[[Interpreter, Any], Value]] = {
    ast.Constant: Interpreter.ev_constant,
    ast.Name: Interpreter.ev_name,
    ast.Attribute: Interpreter.ev_attribute,
    ast.Subscript: Interpreter.ev_subscript,
    ast.Slice: Interpreter.ev_slice,
    ast.Tuple: Interpreter.ev_tuple,
    ast.List: Interpreter.ev_list,
    ast.Set: Interpreter.ev_list,
    ast.Dict: Interpreter.ev_dict,
    ast.BinOp: Interpreter.ev_binary,
    ast.UnaryOp: Interpreter.ev_unary,
    ast.BoolOp: Interpreter.ev_boolean,
    ast.Compare: Interpreter.ev_compare,
    ast.IfExp: Interpreter.ev_if_expression,
    ast.Call: Interpreter.ev_call,
    ast.Lambda: Interpreter.ev_lambda,
    ast.ListComp: Interpreter.ev_comprehension,
    ast.SetComp: Interpreter.ev_comprehension,
    ast.GeneratorExp: Interpreter.ev_comprehension,
    ast.DictComp: Interpreter.ev_comprehension,
    ast.JoinedStr: Interpreter.ev_string,
    ast.Await: Interpreter.ev_await,
    ast.Yield: Interpreter.ev_yield,
    ast.YieldFrom: Interpreter.ev_yield,
    ast.NamedExpr: Interpreter.ev_named,
    ast.Starred: Interpreter.ev_starred,
}
