"""Merges the modules of the entry into one file: folded by a preset, without what nothing reaches."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import libcst as cst

from submission.bundle.fold import Fold, imported_module, is_string
from submission.config import PLACES, Config
from submission.errors import InputError

PACKAGE = "submission"
Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement
# What may still be set when the code for other values has been left out.
FREE = PLACES | {
    "seed",
    "iterations",
    "max_wallclock_seconds",
    "val_loss_every",
    "compile",
    "warmup_steps",
    "gptq_samples",
    "eval_stages",
    "size_limit",
}
REPLACED = {
    "preset_values": """
def preset_values(name: str) -> dict[str, Any]:
    if name != Config.preset:
        raise InputError(f"preset {name}", f"{Config.preset}, the one of this bundle")
    return {}
""",
    "_make_importable": "",
}


def merge(root: Path, config: Config) -> str:
    """The source of one self-contained ``train_gpt.py`` that runs ``config``.

    Raises:
        InputError: the folder is not this entry, or two modules give one name to different things.
    """
    order: list[str] = []
    modules: dict[str, cst.Module] = {}
    _visit("train_gpt", root, modules, order)
    settings = {f.name: getattr(config, f.name) for f in dataclasses.fields(Config) if f.name not in FREE}
    settings["uses_gptq"] = config.uses_gptq
    fold = Fold(settings, config.eval_stages, PACKAGE)
    imports: dict[str, set[str]] = {}
    statements: list[tuple[set[str], Statement]] = []
    defined: dict[str, str] = {}
    for name in order:
        folded = modules[name].visit(fold)
        for statement in folded.body:
            if is_string(statement) or _collect_import(statement, imports):
                continue
            replaced = _replaced(statement, config, settings)
            if replaced is None:
                continue
            statement = replaced
            names = bound_names(statement)
            text = cst.Module([statement.with_changes(leading_lines=[])]).code
            if any(defined.get(n, text) != text for n in names):
                raise InputError(root / f"{name.replace('.', '/')}.py", "names of its own", ", ".join(sorted(names)))
            if not any(n in defined for n in names):
                statements.append((names, statement))
            defined.update(dict.fromkeys(names, text))
    kept = reachable(statements)
    body = [statement for names, statement in statements if not names or names & kept]
    body = [_unannotated(statement, set(defined) - kept) for statement in body]
    used = set().union(*(used_names(statement, annotations=True) for statement in body))
    text = cst.Module(body=body).code.strip("\n")
    return f'"""{_headline(config)}"""\n\n{_import_text(imports, used)}\n\n{text}\n'


def _visit(name: str, root: Path, modules: dict[str, cst.Module], order: list[str]) -> None:
    """Modules in an order in which each stands after those it imports."""
    if name in modules:
        return
    path = root.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    try:
        modules[name] = _parsed(path.read_bytes())
    except (OSError, cst.ParserSyntaxError) as error:
        raise InputError(path, "a module of the entry", type(error).__name__) from None
    for node in _imports_from(modules[name]):
        module = imported_module(node)
        if module.startswith(f"{PACKAGE}."):
            _visit(module.removeprefix(f"{PACKAGE}."), root, modules, order)
    order.append(name)


@functools.lru_cache(maxsize=128)
def _parsed(content: bytes) -> cst.Module:
    """Trees are never changed in place, so several bundles may share one."""
    return cst.parse_module(content)


def _imports_from(module: cst.Module) -> list[cst.ImportFrom]:
    found: list[cst.ImportFrom] = []

    class Finder(cst.CSTVisitor):
        def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
            found.append(node)

    module.visit(Finder())
    return found


def _collect_import(statement: Any, imports: dict[str, set[str]]) -> bool:
    """Note a top-level import by the names it binds; whether the statement was one."""
    if not isinstance(statement, cst.SimpleStatementLine) or not isinstance(
        statement.body[0], cst.Import | cst.ImportFrom
    ):
        return False
    for node in statement.body:
        if not isinstance(node, cst.Import | cst.ImportFrom) or isinstance(node.names, cst.ImportStar):
            continue
        for alias in node.names:
            item = cst.Module([]).code_for_node(alias.with_changes(comma=cst.MaybeSentinel.DEFAULT))
            bound = alias.evaluated_alias or alias.evaluated_name.split(".")[0]
            source = (
                f"from {imported_module(node)} import {item}" if isinstance(node, cst.ImportFrom) else f"import {item}"
            )
            imports.setdefault(bound, set()).add(source)
    return True


def _import_text(imports: dict[str, set[str]], used: set[str]) -> str:
    lines = {line for bound, sources in imports.items() if bound in used for line in sources}
    future = "from __future__ import annotations"
    plain = sorted(line for line in lines if line.startswith("import "))
    grouped: dict[str, list[str]] = {}
    for line in lines - {future}:
        if line.startswith("from "):
            module, _, item = line.removeprefix("from ").partition(" import ")
            grouped.setdefault(module, []).append(item)
    rest = [f"from {module} import {', '.join(sorted(items))}" for module, items in sorted(grouped.items())]
    return "\n".join([future, "", *plain, *rest])


def _replaced(statement: Statement, config: Config, settings: dict[str, Any]) -> Statement | None:
    """The statement, or what stands for it in a bundle: fixed settings, no presets, no package."""
    names = bound_names(statement)
    for name, text in REPLACED.items():
        if name in names:
            return cst.parse_module(text.strip()).body[0] if text else None
    if "FROZEN" in names:
        return cst.parse_statement(f"FROZEN = frozenset({sorted(set(settings) - {'uses_gptq'})!r})\n")
    if "Config" in names:
        return statement.visit(Defaults(config))  # type: ignore[return-value]
    if "main" in names or not names:
        return statement.visit(WithoutCall("_make_importable"))  # type: ignore[return-value]
    return statement


class Defaults(cst.CSTTransformer):
    """Puts a configuration's values in the place of the defaults of the dataclass."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.values = {**dataclasses.asdict(config), "data_path": "", "tokenizer_path": "", "out_dir": "", "run_id": ""}

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def leave_AnnAssign(self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign) -> cst.AnnAssign:
        name = updated_node.target.value if isinstance(updated_node.target, cst.Name) else ""
        if name not in self.values:
            return updated_node
        return updated_node.with_changes(value=cst.parse_expression(repr(self.values[name])))


class WithoutCall(cst.CSTTransformer):
    """Drops statements that only call a function of this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> Any:
        match updated_node.body:
            case [cst.Expr(value=cst.Call(func=cst.Name(value=name)))] if name == self.name:
                return cst.RemoveFromParent()
        return updated_node


class Unannotate(cst.CSTTransformer):
    """Names that were left out become ``object`` where an annotation still has them."""

    def __init__(self, gone: set[str]) -> None:
        super().__init__()
        self.gone, self.inside = gone, 0

    def visit_Annotation(self, node: cst.Annotation) -> None:
        self.inside += 1

    def leave_Annotation(self, original_node: cst.Annotation, updated_node: cst.Annotation) -> cst.Annotation:
        self.inside -= 1
        return updated_node

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        return cst.Name("object") if self.inside and updated_node.value in self.gone else updated_node


def bound_names(statement: cst.CSTNode) -> set[str]:
    """Names that a top-level statement defines; none for one that only acts."""
    if isinstance(statement, cst.FunctionDef | cst.ClassDef):
        return {statement.name.value}
    found: set[str] = set()
    if isinstance(statement, cst.SimpleStatementLine):
        for node in statement.body:
            targets: Iterable[cst.BaseExpression] = ()
            if isinstance(node, cst.Assign):
                targets = [target.target for target in node.targets]
            elif isinstance(node, cst.AnnAssign):
                targets = [node.target]
            for target in targets:
                parts = [e.value for e in target.elements] if isinstance(target, cst.Tuple) else [target]
                found |= {part.value for part in parts if isinstance(part, cst.Name)}
    return found - {"__all__"} if found != {"__all__"} else found


def used_names(node: cst.CSTNode, *, annotations: bool) -> set[str]:
    """Names that a statement reads; those in annotations only if asked for."""
    names: set[str] = set()

    class Reader(cst.CSTVisitor):
        def visit_Annotation(self, node: cst.Annotation) -> bool:
            return annotations

        def visit_Attribute(self, node: cst.Attribute) -> bool:
            node.value.visit(self)
            return False

        def visit_Arg(self, node: cst.Arg) -> bool:
            node.value.visit(self)
            return False

        def visit_Name(self, node: cst.Name) -> None:
            names.add(node.value)

    node.visit(Reader())
    return names


def reachable(statements: list[tuple[set[str], Statement]]) -> set[str]:
    """Names that the statements without a name of their own need, directly or through others."""
    needs = [(names, used_names(statement, annotations=False)) for names, statement in statements]
    wanted = set().union(*(uses for names, uses in needs if not names))
    while True:
        more = set().union(*(uses for names, uses in needs if names & wanted)) - wanted
        if not more:
            return wanted
        wanted |= more


def _unannotated(statement: Statement, gone: set[str]) -> Statement:
    changed = statement.visit(Unannotate(gone))
    assert isinstance(changed, cst.SimpleStatementLine | cst.BaseCompoundStatement)
    return changed


def _headline(config: Config) -> str:
    return (
        f"Golfproof entry, preset {config.preset}: trains, writes its artifact, evaluates it in a process of its own."
    )
