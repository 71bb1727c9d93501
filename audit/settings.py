"""Resolves the submitted configuration: defaults in the code, over them the run command, over both the logs."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.configuration import Attribute, Configuration, constant, evaluate, options_given
from audit.constants.statements import StatementRunner
from audit.constants.values import UNKNOWN, Limits, OutOfBudget, Thing, Unknown
from audit.log_settings import Logged, read_logged, same_value
from audit.source import Module
from audit.told_settings import add, announced, listed, variables_read
from reproduce.folder import SubmissionFolder

_PER_RUN = frozenset({"seed", "run_id", "logfile", "log_file", "local_rank", "rank", "world_size", "distributed"})


@dataclass(frozen=True)
class Setting:
    """One value of the configuration with where it was read.

    ``why`` is for people: ``README.md line 12``, ``train_seed42.log line 14``, ``default in train_gpt.py line 120``.
    ``variables`` are the environment variables (or ``--options``) it comes from.
    """

    name: str
    value: Any
    why: str
    variables: tuple[str, ...] = ()
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.name}={self.value} ({self.why})"


@dataclass
class Settings:
    """The submitted configuration.

    ``environment`` holds the variables that the run had set, as far as the folder shows it, ``environment_why`` the
    place of each. ``arguments`` are the words after the script. ``attributes`` are the values of configuration classes
    and options by attribute name; a name that several classes give different values has none. ``conflicts`` says where
    sources contradict each other.
    """

    environment: dict[str, str] = field(default_factory=dict)
    environment_why: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    attributes: dict[str, Setting] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    configuration: Configuration = field(default_factory=Configuration, repr=False)
    changed: frozenset[str] = frozenset()  # attributes that the program assigns later

    def attribute(self, name: str) -> Any:
        """The value of a configuration attribute, or UNKNOWN where there is none, or the program changes it later."""
        setting = self.attributes.get(name)
        return UNKNOWN if setting is None or name in self.changed else setting.value

    def options(self) -> dict[str, Any]:
        """The command line's options that the run command gives or the logs print, by the program's names for them."""
        given = options_given(self.arguments)
        return {
            setting.name: setting.value
            for setting in self.attributes.values()
            for flag in setting.variables
            if flag.startswith("-") and (flag in given or not setting.why.startswith("default"))
        }

    def explain(self, name: str) -> str:
        """Where an attribute or an environment variable has its value from, for people; empty where it is unknown."""
        if name in self.attributes:
            return str(self.attributes[name])
        if name in self.environment:
            return f"{name}={self.environment[name]} ({self.environment_why.get(name, 'run command')})"
        if name in self.configuration.variables:
            default, module, line = self.configuration.variables[name]
            return f"{name}={default} (default in {module.file} line {line})"
        return ""

    def fold(
        self,
        node: ast.expr,
        scope: ast.AST | Module | None = None,
        names: Mapping[str, Any] | None = None,
        module: Module | None = None,
    ) -> Any:
        """The value of an expression under this configuration, or an Unknown.

        ``scope`` is the function the expression stands in (locals assigned once are followed) or its module; ``names``
        gives values of names the caller knows. ``args.x`` is looked up by attribute name whatever ``args`` is called.
        Nothing is executed.
        """
        return self.decide(node, scope, names, module)[0]

    def decide(
        self,
        node: ast.expr,
        scope: ast.AST | Module | None = None,
        names: Mapping[str, Any] | None = None,
        module: Module | None = None,
    ) -> tuple[Any, tuple[Setting, ...]]:
        """``fold`` with the settings that the value rests on."""
        module = scope if isinstance(scope, Module) else module
        space: dict[str, Any] = {}
        if module is not None:
            space.update(self.configuration.names.get(module.file, {}))
        elif self.configuration.names:
            space.update(list(self.configuration.names.values())[-1])
        function = scope if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)) else None
        folder = _Folder(self, space, _locals(function) if function else {}, names or {})
        try:
            value = folder.value(node)
        except OutOfBudget:
            value = UNKNOWN
        return (value if constant(value) else UNKNOWN), tuple(dict.fromkeys(folder.used))

    def as_text(self) -> dict[str, str]:
        """What was set other than by default: variable or attribute to value, for reports."""
        return {name: str(value) for name, value in sorted(self.environment.items())}


def resolve(folder: SubmissionFolder, modules: tuple[Module, ...]) -> Settings:
    """The configuration that made the submission.

    Order of authority: what the logs print, then assignments of the program itself (``os.environ["X"] = "1"``), the run
    command (README, submission.json, scripts), environment tables in submission.json, settings that a log's head or,
    where there is no command, the README lists, defaults in the code.
    """
    environment: dict[str, str] = {}
    why: dict[str, str] = {}
    for name, value in _from_metadata(folder).items():
        environment[name], why[name] = value, "submission.json"
    command = folder.run_command
    arguments: tuple[str, ...] = ()
    if command is not None:
        arguments = command.arguments
        for name, value in command.environment.items():
            environment[name] = value
            why[name] = f"{command.file} line {command.environment_lines.get(name, command.line)}"
    configuration = evaluate(modules, environment, arguments)
    known = configuration.variables.keys() | variables_read(modules)
    told = announced(folder, modules, known)
    if command is None:
        told = {**listed(folder, known), **told}
    if add(environment, why, told):
        configuration = evaluate(modules, environment, arguments)
    attributes = _attributes(configuration, environment, why)
    logged = {
        name: entry.preferring(attributes[name].value)
        for name, entry in read_logged(folder, modules, frozenset(attributes)).items()
        if name not in _PER_RUN
    }
    conflicts = _conflicts(attributes, logged, why, environment)
    overrides = _overrides(attributes, logged)
    if overrides:
        tried = {**environment, **{variable: value for variable, value, _ in overrides}}
        outcome = _attributes(evaluate(modules, tried, arguments), {}, {})
        for variable, value, name in overrides:
            # Only where the program makes of the variable what the log prints was it that variable.
            if name in outcome and same_value(outcome[name].value, logged[name].value):
                environment[variable], why[variable] = value, logged[name].place
        configuration = evaluate(modules, environment, arguments)
        attributes = _attributes(configuration, environment, why)
    for name, entry in logged.items():
        setting = attributes.get(name)
        if setting is not None and not same_value(setting.value, entry.value):
            value = _as_type(entry.value, setting.value)
            attributes[name] = Setting(name, value, entry.place, setting.variables, setting.file, setting.line)
    for name, (value, module, line) in configuration.assigned.items():
        environment[name], why[name] = value, f"set in {module.file} line {line}"
    return Settings(
        environment, why, arguments, attributes, conflicts, configuration, _changed_later(modules, attributes)
    )


def _from_metadata(folder: SubmissionFolder) -> dict[str, str]:
    """Environment tables of submission.json: ``env``, ``env_vars``, ``environment``, ``env_overrides``."""
    found: dict[str, str] = {}
    for key, table in folder.metadata.items():
        if key.lower() in ("env", "env_vars", "environment", "env_overrides", "environment_variables") and isinstance(
            table, dict
        ):
            for name, value in table.items():
                if isinstance(value, (str, int, float, bool)) and name.isupper():
                    found[name] = str(int(value)) if isinstance(value, bool) else str(value)
    return found


def _attributes(
    configuration: Configuration, environment: Mapping[str, str], why: Mapping[str, str]
) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for name, rows in configuration.attributes.items():
        values = [row.value for row in rows]
        row = rows[-1]
        if not constant(row.value) or any(not same_value(value, row.value) for value in values):
            continue
        found[name] = Setting(name, row.value, _why(row, environment, why), row.variables, row.module.file, row.line)
    return found


def _why(row: Attribute, environment: Mapping[str, str], why: Mapping[str, str]) -> str:
    for variable in row.variables:
        if variable in environment:
            return f"{variable}={environment[variable]}, {why.get(variable, 'run command')}"
    return f"default in {row.module.file} line {row.line}"


def _as_type(text: str, like: Any) -> Any:
    """A logged text as the type of the value it stands for."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    if isinstance(like, str):
        return text
    return bool(value) if isinstance(like, bool) and isinstance(value, (bool, int)) else value


def _overrides(attributes: Mapping[str, Setting], logged: Mapping[str, Logged]) -> list[tuple[str, str, str]]:
    """Environment variables that must have been set for the logs to print what they print, with value and attribute."""
    found: list[tuple[str, str, str]] = []
    for name, entry in logged.items():
        setting = attributes.get(name)
        if setting is None or same_value(setting.value, entry.value):
            continue
        variables = [variable for variable in setting.variables if not variable.startswith("-")]
        if len(variables) == 1:
            found.append((variables[0], {"True": "1", "False": "0"}.get(entry.value, entry.value), name))
    return found


def _conflicts(
    attributes: Mapping[str, Setting],
    logged: Mapping[str, Logged],
    why: Mapping[str, str],
    environment: Mapping[str, str],
) -> tuple[str, ...]:
    """Where logs contradict each other or the run command; paths, which differ from machine to machine, aside."""
    found: list[str] = []
    for name, entry in logged.items():
        setting = attributes.get(name)
        if setting is None or "/" in entry.value or (isinstance(setting.value, str) and "/" in setting.value):
            continue
        if len(entry.values) > 1:
            found.append(f"{name}: the logs print different values ({', '.join(sorted(entry.values))})")
        if not same_value(setting.value, entry.value):
            for variable in setting.variables:
                if variable in environment:
                    said = f"{variable}={environment[variable]} ({why.get(variable, 'run command')})"
                    found.append(f"{name}: {entry.place} prints {entry.value}, against {said}")
    return tuple(found)


def _changed_later(modules: tuple[Module, ...], attributes: Mapping[str, Setting]) -> frozenset[str]:
    """Attributes that a function assigns on something else than ``self``, to another value."""
    changed: set[str] = set()
    for module in modules:
        for node in _statements(module.tree):
            if not isinstance(node, (ast.Assign, ast.AugAssign)):
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if not (isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)):
                    continue
                if target.attr not in attributes or target.value.id in ("self", "cls"):
                    continue
                constant_value = node.value.value if isinstance(node.value, ast.Constant) else UNKNOWN
                if isinstance(node, ast.AugAssign) or constant_value != attributes[target.attr].value:
                    changed.add(target.attr)
    return frozenset(changed)


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Every statement of a module, its expressions left aside: a tenth of the nodes that ast.walk would visit."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody"):
            waiting += getattr(node, name, ())
        for name in ("handlers", "cases"):
            for part in getattr(node, name, ()):
                waiting += part.body


def _locals(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, ast.expr | None]:
    """Local names with the one expression assigned to each; None where there is none, or several."""
    found: dict[str, ast.expr | None] = {}
    arguments = function.args
    for arg in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if arg is not None:
            found[arg.arg] = None
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                _note(target, node.value, found)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            _note(node.target, node.value, found)
        elif isinstance(node, (ast.AugAssign, ast.For, ast.AsyncFor, ast.comprehension, ast.NamedExpr)):
            _note(node.target, None, found)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            _note(node.optional_vars, None, found)
    return found


def _note(target: ast.expr, value: ast.expr | None, found: dict[str, ast.expr | None]) -> None:
    if isinstance(target, ast.Name):
        found[target.id] = value if target.id not in found else None
    elif isinstance(target, (ast.Tuple, ast.List)):
        parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts) else None
        for index, part in enumerate(target.elts):
            _note(part, parts[index] if parts else None, found)
    elif isinstance(target, ast.Starred):
        _note(target.value, None, found)


class _Folder(StatementRunner):
    """Evaluates expressions inside functions: locals assigned once, module names, configuration attributes."""

    def __init__(
        self, settings: Settings, space: dict[str, Any], local: dict[str, ast.expr | None], names: Mapping[str, Any]
    ) -> None:
        super().__init__(Limits(steps=20_000, seconds=0.5), space)
        self.settings = settings
        self.local = local
        self.given = names
        self.used: list[Setting] = []
        self.open: set[str] = set()

    def _name(self, node: ast.Name) -> Any:
        if node.id in self.given:
            return self.given[node.id]
        if node.id in self.local:
            assigned = self.local[node.id]
            if assigned is None or node.id in self.open:
                return Thing("local", {"self": node.id in ("self", "cls")})
            self.open.add(node.id)
            try:
                return self.value(assigned)
            finally:
                self.open.discard(node.id)
        if node.id not in self.names and not hasattr(builtins, node.id):
            return Thing("local", {"self": node.id in ("self", "cls")})
        return super()._name(node)

    def attribute(self, owner: Any, name: str) -> Any:
        if isinstance(owner, Thing) and owner.kind == "class" and name in owner.data:
            return self._use(name, owner.data[name])
        if isinstance(owner, Thing) and owner.kind == "local" and owner.data.get("self"):
            return Thing("local", {})  # an attribute of the object at hand, which is no configuration
        if isinstance(owner, Unknown) or (isinstance(owner, Thing) and owner.kind in ("instance", "local", "class")):
            return self._use(name, Thing("local", {}))
        return super().attribute(owner, name)

    def _use(self, name: str, otherwise: Any) -> Any:
        """The setting of that name, noted as used; ``otherwise`` where no single one is known."""
        setting = self.settings.attributes.get(name)
        if setting is None:
            return otherwise
        if name in self.settings.changed:
            return UNKNOWN
        self.used.append(setting)
        return setting.value

    def call_thing(self, thing: Thing, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        if thing.kind == "class":
            return Thing("instance", dict(thing.data))
        if thing.kind in ("local", "instance", "bound"):
            return UNKNOWN
        return super().call_thing(thing, args, options, node)

    def call_name(self, name: str, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        if name in ("os.getenv", "os.environ.get", "environ.get") and args and isinstance(args[0], str):
            default = args[1] if len(args) > 1 else options.get("default")
            value = self.settings.environment.get(args[0], default)
            why = self.settings.environment_why.get(args[0], f"default at line {getattr(node, 'lineno', 0)}")
            self.used.append(Setting(args[0], value, why, (args[0],), line=getattr(node, "lineno", 0)))
            return value
        return super().call_name(name, args, options, node)
