"""Rewrites a program without changing what it does: other names, helper functions, another order of statements."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable

# Names that a library calls or reads: they are meaning, not taste.
PROTOCOL = frozenset({"forward", "training", "step", "main"}) | frozenset(dir(builtins))


def _bound(tree: ast.Module) -> set[str]:
    """Names that the program itself binds, imports left out."""
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return {n for n in names if not n.startswith("__")} - imported - PROTOCOL


class _Renamer(ast.NodeTransformer):
    def __init__(self, names: dict[str, str], attributes: set[str]) -> None:
        self.names, self.attributes = names, attributes

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.names.get(node.arg, node.arg)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self.names.get(node.name, node.name)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self.names.get(node.name, node.name)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr in self.attributes:
            node.attr = self.names.get(node.attr, node.attr)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        own = isinstance(node.func, ast.Name) and node.func.id in self.names
        for keyword in node.keywords:
            if own and keyword.arg in self.names:
                keyword.arg = self.names[keyword.arg]
        return self.generic_visit(node)


def rename(source: str) -> str:
    """Give every name that the program binds another one."""
    tree = ast.parse(source)
    names = {name: f"q{i}" for i, name in enumerate(sorted(_bound(tree)))}
    attributes = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    return ast.unparse(_Renamer(names, attributes).visit(tree))


def _locals(function: ast.FunctionDef) -> set[str]:
    names = {a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
    return names | {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


class _Splitter(ast.NodeTransformer):
    """Moves the right side of each assignment in a function to a function of its own."""

    def __init__(self) -> None:
        self.helpers: list[ast.FunctionDef] = []
        self.local: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer, self.local = self.local, _locals(node)
        node.body = [self.visit(statement) for statement in node.body]
        self.local = outer
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def _moved(self, value: ast.expr) -> ast.expr:
        inner = {n.id for n in ast.walk(value) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        simple = not any(isinstance(n, ast.Lambda | ast.NamedExpr | ast.Yield | ast.Await) for n in ast.walk(value))
        if not simple or not any(isinstance(n, ast.Call | ast.BinOp) for n in ast.walk(value)):
            return value
        used = [n.id for n in ast.walk(value) if isinstance(n, ast.Name) and n.id in self.local - inner]
        parameters = list(dict.fromkeys(used))
        name = f"part_{len(self.helpers)}"
        arguments = ast.arguments([], [ast.arg(p) for p in parameters], None, [], [], None, [])
        self.helpers.append(ast.FunctionDef(name, arguments, [ast.Return(value)], [], None))
        return ast.Call(ast.Name(name, ast.Load()), [ast.Name(p, ast.Load()) for p in parameters], [])

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if self.local:
            node.value = self._moved(node.value)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        if self.local:
            node.value = self._moved(node.value)
        return node


def split(source: str) -> str:
    """Move what is computed in functions to helper functions."""
    tree = ast.parse(source)
    splitter = _Splitter()
    tree = splitter.visit(tree)
    last = max((i for i, s in enumerate(tree.body) if isinstance(s, ast.Import | ast.ImportFrom)), default=0)
    tree.body[last + 1 : last + 1] = splitter.helpers
    return ast.unparse(ast.fix_missing_locations(tree))


def _reads(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _writes(node: ast.Assign) -> set[str]:
    return {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}


def _plain(node: ast.stmt) -> bool:
    """An assignment to names whose right side changes nothing."""
    if not isinstance(node, ast.Assign) or not all(isinstance(t, ast.Name | ast.Tuple) for t in node.targets):
        return False
    calls = [n for n in ast.walk(node.value) if isinstance(n, ast.Call)]
    return not any(isinstance(c.func, ast.Attribute) and c.func.attr.endswith("_") for c in calls) and len(calls) < 3


class _Swapper(ast.NodeTransformer):
    def _order(self, body: list[ast.stmt]) -> list[ast.stmt]:
        result = list(body)
        for i in range(len(result) - 1):
            a, b = result[i], result[i + 1]
            if not (_plain(a) and _plain(b) and isinstance(a, ast.Assign) and isinstance(b, ast.Assign)):
                continue
            if not (_writes(a) & _reads(b) or _writes(b) & _reads(a)):
                result[i], result[i + 1] = b, a
        return result

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                setattr(node, field, self._order(block))
        return node


def reorder(source: str) -> str:
    """Swap neighbouring statements that do not depend on one another."""
    return ast.unparse(_Swapper().visit(ast.parse(source)))


def all_three(source: str) -> str:
    """Rename, split and reorder."""
    return rename(reorder(split(source)))


MUTATIONS: dict[str, Callable[[str], str]] = {
    "renamed": rename,
    "split": split,
    "reordered": reorder,
    "all": all_three,
}
