"""Follows the statements of a program as far as constants go, on top of the evaluation of expressions."""

from __future__ import annotations

import ast
from typing import Any

from audit.constants.evaluator import Evaluator
from audit.constants.library import iterate
from audit.constants.values import UNKNOWN, Limits, Name, Thing, Unknown, plain
from audit.tree import walk

_SMALL_FUNCTION = 30  # lines of a function that may be a decoder
_MAX_CALLS = 12  # calls in calls


class Returned(Exception):
    """A function or a script came to its end; ``value`` is what it returned."""

    def __init__(self, value: Any) -> None:
        self.value = value


class LoopEnd(Exception):
    """A ``break`` or ``continue``, named in its first argument."""


class StatementRunner(Evaluator):
    """Runs the statements of one module in order; both branches of a test that is not constant.

    ``enter`` holds the names of functions to follow whatever their length; others are followed where they are short.
    """

    def __init__(self, limits: Limits, names: dict[str, Any], enter: frozenset[str] = frozenset()) -> None:
        super().__init__(limits, names)
        self.enter = enter
        self.calls = 0

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.limits.tick()
            handler = getattr(self, f"on_{type(statement).__name__.lower()}", None)
            if handler:
                handler(statement)

    def on_import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.names[alias.asname or alias.name.split(".")[0]] = Name(
                alias.name if alias.asname else alias.name.split(".")[0]
            )

    def on_importfrom(self, node: ast.ImportFrom) -> None:
        module = (node.module or "").removeprefix("compression.")
        for alias in node.names:
            dotted = f"{module}.{alias.name}" if module else alias.name
            self.names[alias.asname or alias.name] = (
                self.attribute(Name(module), alias.name) if module else Name(dotted)
            )

    def on_assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self._bind_safely(target, value)

    def on_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind_safely(node.target, self.value(node.value))

    def on_augassign(self, node: ast.AugAssign) -> None:
        load = ast.BinOp(left=_as_load(node.target), op=node.op, right=node.value)
        self._bind_safely(node.target, self.value(load))

    def _bind_safely(self, target: ast.expr, value: Any) -> None:
        try:
            self.bind(target, value)
        except (ValueError, TypeError, LookupError):
            if isinstance(target, ast.Name):
                self.names[target.id] = UNKNOWN

    def on_expr(self, node: ast.Expr) -> None:
        self.value(node.value)

    def on_if(self, node: ast.If) -> None:
        test = self.value(node.test)
        if plain(test):
            self.block(node.body if test else node.orelse)
        else:
            self.block(node.body)
            self.block(node.orelse)

    def on_for(self, node: ast.For) -> None:
        collection = self.value(node.iter)
        try:
            items = list(iterate(self.limits, collection))
        except TypeError:
            self._bind_safely(node.target, UNKNOWN)
            items = [UNKNOWN]
        for item in items:
            self._bind_safely(node.target, item)
            try:
                self.block(node.body)
            except LoopEnd as end:
                if end.args == ("break",):
                    break

    def on_while(self, node: ast.While) -> None:
        while True:
            self.limits.tick(4)
            test = self.value(node.test)
            if plain(test) and not test:
                return
            try:
                self.block(node.body)
            except LoopEnd as end:
                if end.args == ("break",):
                    return
            if not plain(test):
                return

    def on_break(self, node: ast.Break) -> None:
        raise LoopEnd("break")

    def on_continue(self, node: ast.Continue) -> None:
        raise LoopEnd("continue")

    def on_with(self, node: ast.With) -> None:
        for item in node.items:
            value = self.value(item.context_expr)
            if item.optional_vars is not None:
                self._bind_safely(item.optional_vars, value)
        self.block(node.body)

    def on_try(self, node: ast.Try) -> None:
        self.block(node.body)
        self.block(node.orelse)
        self.block(node.finalbody)

    def on_functiondef(self, node: ast.FunctionDef) -> None:
        self.names[node.name] = Thing("function", {"node": node})

    def on_classdef(self, node: ast.ClassDef) -> None:
        self.names[node.name] = Unknown(f"the class {node.name}")

    def on_return(self, node: ast.Return) -> None:
        raise Returned(self.value(node.value) if node.value else None)

    def on_delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.names.pop(target.id, None)

    def call_thing(self, thing: Thing, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        if thing.kind == "function":
            return self._call_function(thing.data["node"], args, options)
        return super().call_thing(thing, args, options, node)

    def _call_function(self, node: ast.FunctionDef, args: list[Any], options: dict[str, Any]) -> Any:
        if self.calls > _MAX_CALLS or node.end_lineno is None:
            return Unknown("calls nested too deeply")
        if node.name not in self.enter and node.end_lineno - node.lineno > _SMALL_FUNCTION:
            return Unknown(f"a call of {node.name}")
        names = [arg.arg for arg in node.args.posonlyargs + node.args.args]
        bound: dict[str, Any] = dict.fromkeys((arg.arg for arg in node.args.kwonlyargs), UNKNOWN)
        for name, default in zip(names[len(names) - len(node.args.defaults) :], node.args.defaults, strict=True):
            bound[name] = self.value(default)
        for keyword, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            if value is not None:
                bound[keyword.arg] = self.value(value)
        bound.update({name: UNKNOWN for name in names if name not in bound})
        bound.update(zip(names, args, strict=False))
        if node.args.vararg:
            bound[node.args.vararg.arg] = tuple(args[len(names) :])
        bound.update({key: value for key, value in options.items() if key in bound})
        declared = {name for part in walk(node) if isinstance(part, ast.Global) for name in part.names}
        saved, depth = dict(self.names), self.depth
        self.names.update(bound)
        self.calls, self.depth = self.calls + 1, 0
        try:
            self.block(node.body)
            return None
        except Returned as result:
            return result.value
        finally:
            changed = {name: self.names[name] for name in declared if name in self.names}
            self.names.clear()
            self.names.update(saved)
            self.names.update(changed)
            self.calls, self.depth = self.calls - 1, depth


def _as_load(target: ast.expr) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.Name(id=target.id, ctx=ast.Load())
    if isinstance(target, ast.Attribute):
        return ast.Attribute(value=target.value, attr=target.attr, ctx=ast.Load())
    if isinstance(target, ast.Subscript):
        return ast.Subscript(value=target.value, slice=target.slice, ctx=ast.Load())
    return target
