"""Functions, classes and imports: the names that a module makes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.heap import Class, External, Frame, Function, ModuleThing
from audit.interpret.texts import setting
from audit.provenance import UNKNOWN, Value

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def do_function(interp: Interpreter, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    for default in (*node.args.defaults, *node.args.kw_defaults):
        if default is not None and not isinstance(default, ast.Constant):
            interp.evaluate(default)
    thing = Function(node, interp.frame)
    value = Value(thing=interp.made(thing, node))
    for decorator in node.decorator_list:
        name = ast.unparse(decorator).split("(")[0].rsplit(".", 1)[-1]
        if name == "property" or name == "cached_property":
            value = Value(thing=thing, const=UNKNOWN, bits=0, items=None)
            thing.dead = bool(interp.dead)
            interp.properties.add(node)
        elif name in ("staticmethod", "classmethod"):
            interp.method_kinds[node] = name
    interp.frame.variables[node.name] = value


def do_class(interp: Interpreter, node: ast.ClassDef) -> None:
    thing = Class(node, interp.frame)
    interp.made(thing, node)
    for base in node.bases:
        value = interp.evaluate(base)
        if isinstance(value.thing, Class):
            thing.bases.append(value.thing)
        elif isinstance(value.thing, External):
            thing.external.append(value.thing.name)
        else:
            thing.external.append(ast.unparse(base))
    scope = Frame(interp.frame.module, interp.frame, node, interp.frame.file, node.name)
    outer = interp.frame
    interp.frame = scope
    try:
        interp.execute(node.body)
    finally:
        interp.frame = outer
    for name, logged in interp.attributes.items():
        if name in scope.variables:
            scope.variables[name] = setting(logged)
    thing.attributes = scope.variables
    for value in thing.attributes.values():
        if isinstance(value.thing, Function) and value.thing.frame is scope:
            value.thing.frame, value.thing.owner = outer, thing
    thing.fields = [s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
    interp.frame.variables[node.name] = Value(thing=thing)


def load_module(interp: Interpreter, local: ModuleThing, name: str, node: ast.AST) -> None:
    """Run a module of the submission's own, and note that its file is needed."""
    interp.emit("code", node, Value(), text=local.module.file)
    interp.run_module(local, name)


def do_import(interp: Interpreter, node: ast.Import) -> None:
    for alias in node.names:
        name = alias.name if alias.asname else alias.name.split(".")[0]
        local = interp.modules.get(alias.name)
        if local is not None:
            load_module(interp, local, alias.name, node)
            interp.frame.variables[alias.asname or name] = Value(thing=local)
        else:
            interp.frame.variables[alias.asname or name] = Value(thing=External(name))


def do_import_from(interp: Interpreter, node: ast.ImportFrom) -> None:
    source = node.module or ""
    local = interp.modules.get(source) or (interp.modules.get(source.rsplit(".", 1)[-1]) if node.level else None)
    if local is not None:
        load_module(interp, local, source, node)
    for alias in node.names:
        if local is None:
            nested = interp.modules.get(f"{source}.{alias.name}") or (
                interp.modules.get(alias.name) if node.level else None
            )
            if nested is not None:
                load_module(interp, nested, alias.name, node)
                interp.frame.variables[alias.asname or alias.name] = Value(thing=nested)
                continue
            interp.frame.variables[alias.asname or alias.name] = Value(thing=External(f"{source}.{alias.name}"))
        elif alias.name == "*":
            interp.frame.variables.update((k, v) for k, v in local.frame.variables.items() if not k.startswith("_"))
        else:
            found = local.frame.variables.get(alias.name)
            interp.frame.variables[alias.asname or alias.name] = found if found is not None else Value()
