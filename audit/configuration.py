"""Evaluates the part of a program that sets it up: environment reads, configuration classes, argparse options."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.constants.statements import LoopEnd, Returned, StatementRunner
from audit.constants.values import UNKNOWN, Limits, Name, OutOfBudget, Thing, Unknown, known, plain
from audit.source import Module

ENVIRON = ("os.environ", "environ", "posix.environ")


@dataclass(frozen=True)
class Attribute:
    """One attribute of a configuration: its value, the environment variables and options read for it, and its place."""

    name: str
    value: Any
    variables: tuple[str, ...]
    module: Module
    line: int
    owner: str  # the class, or ``argparse``


@dataclass
class Configuration:
    """What the modules of one program set up under one environment and one list of arguments."""

    attributes: dict[str, list[Attribute]] = field(default_factory=dict)
    variables: dict[str, tuple[Any, Module, int]] = field(default_factory=dict)  # read: default, where
    assigned: dict[str, tuple[str, Module, int]] = field(default_factory=dict)  # os.environ["X"] = "1" in the program
    names: dict[str, dict[str, Any]] = field(default_factory=dict)  # of every module, by its file
    instances: dict[str, Thing] = field(default_factory=dict)  # of configuration classes, by the class's name


def evaluate(
    modules: tuple[Module, ...], environment: Mapping[str, str], arguments: tuple[str, ...] = ()
) -> Configuration:
    """Evaluate the top level of every module, helpers before the trainer, wrappers of packed texts first of all."""
    found = Configuration()
    seen = dict(environment)
    order = [module for module in modules if module.role != "trainer"] + [m for m in modules if m.role == "trainer"]
    for module in order:
        for _, wrapper in module.wrappers:
            _run(module, wrapper, found, seen, arguments)
        found.names[module.file] = _run(module, module.tree, found, seen, arguments)
    for module in order:
        if "add_argument" in module.text:
            _options(module, found, seen, arguments)
    return found


def _run(
    module: Module, tree: ast.Module, found: Configuration, environment: dict[str, str], arguments: tuple[str, ...]
) -> dict[str, Any]:
    names: dict[str, Any] = {
        "__name__": "__main__" if module.role == "trainer" else module.file,
        "__file__": module.file,
    }
    for other in found.names.values():
        names.update({key: value for key, value in other.items() if isinstance(value, Thing) and value.kind == "class"})
    runner = _SetupRunner(Limits(steps=300_000, seconds=2.0), names, module, found, environment)
    for statement in tree.body:
        if isinstance(statement, ast.If) and _is_main_guard(statement):
            continue  # what the program does; only what it is set up with is asked here
        try:
            runner.block([statement])
        except (OutOfBudget, Returned, LoopEnd):
            break
    return runner.names


def _is_main_guard(node: ast.If) -> bool:
    return (
        isinstance(node.test, ast.Compare) and isinstance(node.test.left, ast.Name) and node.test.left.id == "__name__"
    )


class _SetupRunner(StatementRunner):
    """Follows a module's top level, answering reads of the environment and building configuration classes."""

    def __init__(
        self, limits: Limits, names: dict[str, Any], module: Module, found: Configuration, environment: dict[str, str]
    ) -> None:
        super().__init__(limits, names)
        self.module = module
        self.found = found
        self.environment = environment
        self.read: list[str] = []  # variables read since the statement began
        self.read_for: dict[str, tuple[str, ...]] = {}  # variables read for each name

    def on_importfrom(self, node: ast.ImportFrom) -> None:
        super().on_importfrom(node)
        stem = (node.module or "").rsplit(".", 1)[-1]
        for file, names in self.found.names.items():
            if file.rsplit("/", 1)[-1].removesuffix(".py") == stem:
                chosen = [(alias.name, alias.asname or alias.name) for alias in node.names]
                everything = [(name, name) for name in names if not name.startswith("_")]
                for name, local in everything if chosen == [("*", "*")] else chosen:
                    if name in names:
                        self.names[local] = names[name]

    # The environment.

    def variable(self, name: Any, default: Any, line: int) -> Any:
        if not isinstance(name, str):
            return Unknown("a computed variable name")
        self.read.append(name)
        self.found.variables.setdefault(name, (default, self.module, line))
        return self.environment.get(name, default)

    def call_name(self, name: str, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        line = getattr(node, "lineno", 0)
        owner, _, method = name.rpartition(".")
        if name in ("os.getenv", "getenv", "os.environ.get", "environ.get"):
            default = args[1] if len(args) > 1 else options.get("default")
            return self.variable(args[0] if args else options.get("key"), default, line)
        if owner in ENVIRON and method == "setdefault" and len(args) == 2:
            if isinstance(args[0], str) and isinstance(args[1], str) and args[0] not in self.environment:
                self.assign_variable(args[0], args[1], line)
            return self.environment.get(args[0], UNKNOWN) if isinstance(args[0], str) else UNKNOWN
        if owner in ENVIRON and method == "update":
            given = args[0] if args and isinstance(args[0], dict) else {}
            for key, value in {**given, **options}.items():
                if isinstance(key, str) and isinstance(value, str):
                    self.assign_variable(key, value, line)
            return None
        if owner in ENVIRON and method == "pop" and args and isinstance(args[0], str):
            return self.environment.pop(args[0], args[1] if len(args) > 1 else UNKNOWN)
        if name in ("types.SimpleNamespace", "argparse.Namespace", "SimpleNamespace"):
            made = Thing("instance", {})
            for key, value in options.items():
                self.set_attribute(made, key, value, line)
            return made
        if name in ("dataclasses.field", "field"):
            factory = options.get("default_factory")
            return (
                options["default"] if "default" in options else self.call(factory, [], {}, node) if factory else UNKNOWN
            )
        if name == "setattr" and len(args) == 3 and isinstance(args[0], Thing) and isinstance(args[1], str):
            self.set_attribute(args[0], args[1], args[2], line)
            return None
        return super().call_name(name, args, options, node)

    def assign_variable(self, name: str, value: str, line: int) -> None:
        self.environment[name] = value
        self.found.assigned[name] = (value, self.module, line)

    def _subscript(self, node: ast.Subscript) -> Any:
        owner = self.value(node.value)
        if isinstance(owner, Name) and owner.dotted in ENVIRON:
            return self.variable(self.value(node.slice), UNKNOWN, node.lineno)
        return super()._subscript(node)

    def _compare(self, node: ast.Compare) -> Any:
        if len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            owner, name = self.value(node.comparators[0]), self.value(node.left)
            if isinstance(owner, Name) and owner.dotted in ENVIRON and isinstance(name, str):
                self.found.variables.setdefault(name, (None, self.module, node.lineno))
                self.read.append(name)
                return (name in self.environment) == isinstance(node.ops[0], ast.In)
        return super()._compare(node)

    def bind(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Subscript):
            owner = self.value(target.value)
            if isinstance(owner, Name) and owner.dotted in ENVIRON:
                key = self.value(target.slice)
                if isinstance(key, str) and isinstance(value, str):
                    self.assign_variable(key, value, target.lineno)
                return
        if isinstance(target, ast.Attribute):
            owner = self.value(target.value)
            if isinstance(owner, Thing) and owner.kind in ("class", "instance"):
                self.set_attribute(owner, target.attr, value, target.lineno)
            return
        if isinstance(target, ast.Name):
            self.read_for[target.id] = tuple(dict.fromkeys(self.read))
        super().bind(target, value)

    # Configuration classes.

    def on_assign(self, node: ast.Assign) -> None:
        self.read.clear()
        super().on_assign(node)

    def on_annassign(self, node: ast.AnnAssign) -> None:
        self.read.clear()
        super().on_annassign(node)

    def on_classdef(self, node: ast.ClassDef) -> None:
        made = Thing("class", {"__fields__": []})
        for base in node.bases:
            parent = self.value(base)
            if isinstance(parent, Thing) and parent.kind == "class":
                made.data.update({key: value for key, value in parent.data.items() if key != "__name__"})
                made.data["__fields__"] = list(parent.data["__fields__"])
        made.data["__name__"] = node.name
        outer = dict(self.names)
        for statement in node.body:
            self.read.clear()
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                kinds = {decorator.id for decorator in statement.decorator_list if isinstance(decorator, ast.Name)}
                if isinstance(statement, ast.FunctionDef):
                    how = "static" if "staticmethod" in kinds else "class" if "classmethod" in kinds else "own"
                    value: Any = Thing("function", {"node": statement, "binds": how})
                    made.data[statement.name] = Unknown("a property") if "property" in kinds else value
                continue
            before = dict(self.names)
            self.block([statement])
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                made.data["__fields__"].append(statement.target.id)
            for key, value in self.names.items():
                if key not in before or before[key] is not value:
                    self.read = list(self.read_for.get(key, ()))
                    self.set_attribute(made, key, value, statement.lineno)
        self.names.clear()
        self.names.update(outer)
        self.names[node.name] = made

    def set_attribute(self, owner: Thing, name: str, value: Any, line: int) -> None:
        """Record an attribute, with the variables read since the statement began."""
        owner.data[name] = value
        kind = str(owner.data.get("__name__", "namespace"))
        rows = self.found.attributes.setdefault(name, [])
        rows[:] = [row for row in rows if row.owner != kind or row.module is not self.module]
        rows.append(Attribute(name, value, tuple(dict.fromkeys(self.read)), self.module, line, kind))

    def attribute(self, owner: Any, name: str) -> Any:
        if isinstance(owner, Thing) and owner.kind in ("class", "instance"):
            value = owner.data.get(name, Unknown(f"the attribute {name}"))
            if isinstance(value, Thing) and value.kind == "function" and value.data.get("binds") != "static":
                return Thing("bound", {"function": value, "owner": owner})
            return value
        return super().attribute(owner, name)

    def call_thing(self, thing: Thing, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        if thing.kind == "class":
            return self.instantiate(thing, args, options, getattr(node, "lineno", 0))
        if thing.kind == "bound":
            function = thing.data["function"]
            owner = thing.data["owner"]
            return self._call_function(function.data["node"], [owner, *args], options)
        return super().call_thing(thing, args, options, node)

    def instantiate(self, made: Thing, args: list[Any], options: dict[str, Any], line: int) -> Thing:
        """An instance: class attributes, then dataclass arguments, then what ``__init__`` assigns."""
        instance = Thing("instance", dict(made.data))
        given = dict(zip(made.data["__fields__"], args, strict=False))
        given.update({key: value for key, value in options.items() if key in instance.data["__fields__"]})
        for key, value in given.items():
            self.set_attribute(instance, key, value, line)
        for method in ("__init__", "__post_init__"):
            function = made.data.get(method)
            if isinstance(function, Thing) and function.kind == "function":
                positional = [instance, *args] if method == "__init__" else [instance]
                self._call_function(function.data["node"], positional, options if method == "__init__" else {})
        self.found.instances[str(made.data.get("__name__"))] = instance
        return instance


def _options(module: Module, found: Configuration, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    """Options of argparse: their defaults, overridden by the arguments of the run command."""
    given = options_given(arguments)
    runner = _SetupRunner(
        Limits(steps=100_000, seconds=1.0), dict(found.names[module.file]), module, found, environment
    )
    for node in module.nodes(ast.Call):
        if not (isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"):
            continue
        flags = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if not flags:
            continue
        runner.read.clear()
        try:
            options = {keyword.arg: runner.value(keyword.value) for keyword in node.keywords if keyword.arg}
        except OutOfBudget:
            return
        long = next((flag for flag in flags if flag.startswith("--")), flags[0])
        name = options.get("dest") if isinstance(options.get("dest"), str) else long.lstrip("-").replace("-", "_")
        action = options.get("action")
        value = options.get("default", False if action == "store_true" else True if action == "store_false" else None)
        texts = next((given[flag] for flag in flags if flag in given), None)
        if texts is not None:
            value = (
                action == "store_true"
                if action in ("store_true", "store_false")
                else _typed(texts, options.get("type"))
            )
        rows = found.attributes.setdefault(str(name), [])
        rows.append(Attribute(str(name), value, (*dict.fromkeys(runner.read), long), module, node.lineno, "argparse"))


def options_given(arguments: tuple[str, ...]) -> dict[str, str]:
    """The options among the words after a script, each with its value; empty for a switch."""
    given: dict[str, str] = {}
    for index, word in enumerate(arguments):
        if not word.startswith("-"):
            continue
        name, equals, value = word.partition("=")
        following = arguments[index + 1] if index + 1 < len(arguments) else ""
        given[name] = value if equals else "" if following.startswith("--") else following
    return given


def _typed(text: str, kind: Any) -> Any:
    try:
        if isinstance(kind, Name) and kind.dotted in ("builtins.int", "builtins.float"):
            return int(text) if kind.dotted == "builtins.int" else float(text)
    except ValueError:
        return UNKNOWN
    return text if kind is None or (isinstance(kind, Name) and kind.dotted == "builtins.str") else UNKNOWN


def constant(value: Any) -> bool:
    """Whether a value is plain data that a branch can be decided on."""
    return plain(value) and known(value)
