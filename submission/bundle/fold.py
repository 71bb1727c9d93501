"""Decides conditions that a preset's settings decide, so that code for other settings can be left out."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import libcst as cst

COMPARISONS = {
    cst.Equal: operator.eq,
    cst.NotEqual: operator.ne,
    cst.LessThan: operator.lt,
    cst.LessThanEqual: operator.le,
    cst.GreaterThan: operator.gt,
    cst.GreaterThanEqual: operator.ge,
}


class Undecided(Exception):
    """A condition that the settings alone do not decide."""


def value_of(node: cst.BaseExpression, settings: Mapping[str, Any], stages: tuple[str, ...]) -> Any:
    """The value of an expression over ``config.<setting>`` and literals.

    Raises:
        Undecided: it depends on anything else.
    """
    match node:
        case cst.Attribute(value=owner, attr=cst.Name(name)) if _is_config(owner) and name in settings:
            return settings[name]
        case cst.SimpleString() | cst.Integer() | cst.Float():
            return node.evaluated_value
        case cst.Name("True" | "False" as word):
            return word == "True"
        case cst.UnaryOperation(operator=cst.Not(), expression=inner):
            return not value_of(inner, settings, stages)
        case cst.BooleanOperation():
            return _both(node, settings, stages)
        case cst.Comparison(
            left=cst.SimpleString() as text,
            comparisons=[cst.ComparisonTarget(operator=cst.In(), comparator=cst.Name("stage"))],
        ):
            if any(str(text.evaluated_value) in stage for stage in stages):
                raise Undecided
            return False
        case cst.Comparison(left=left, comparisons=[cst.ComparisonTarget(operator=op, comparator=right)]):
            if type(op) in COMPARISONS:
                return COMPARISONS[type(op)](value_of(left, settings, stages), value_of(right, settings, stages))
    raise Undecided


def _both(node: cst.BooleanOperation, settings: Mapping[str, Any], stages: tuple[str, ...]) -> Any:
    """``and``/``or``: one decisive side is enough, the other may depend on anything."""
    decisive = isinstance(node.operator, cst.Or)
    undecided = False
    for side in (node.left, node.right):
        try:
            if bool(value_of(side, settings, stages)) is decisive:
                return decisive
        except Undecided:
            undecided = True
    if undecided:
        raise Undecided
    return not decisive


def _is_config(owner: cst.BaseExpression) -> bool:
    return (isinstance(owner, cst.Name) and owner.value == "config") or (
        isinstance(owner, cst.Attribute) and owner.attr.value == "config"
    )


class Fold(cst.CSTTransformer):
    """Keeps, of every ``if`` that the settings decide, the branch that runs; drops docstrings and own imports."""

    def __init__(self, settings: Mapping[str, Any], stages: tuple[str, ...], package: str) -> None:
        super().__init__()
        self.settings, self.stages, self.package = settings, stages, package

    def _decide(self, test: cst.BaseExpression) -> bool | None:
        try:
            return bool(value_of(test, self.settings, self.stages))
        except Undecided:
            return None

    def leave_If(self, original_node: cst.If, updated_node: cst.If) -> Any:
        decided = self._decide(updated_node.test)
        if decided is None:
            return updated_node.with_changes(test=self._simplified(updated_node.test))
        if decided:
            return cst.FlattenSentinel(_statements(updated_node.body))
        orelse = updated_node.orelse
        if orelse is None:
            return cst.RemoveFromParent()
        return orelse if isinstance(orelse, cst.If) else cst.FlattenSentinel(_statements(orelse.body))

    def leave_IfExp(self, original_node: cst.IfExp, updated_node: cst.IfExp) -> cst.BaseExpression:
        decided = self._decide(updated_node.test)
        if decided is None:
            return updated_node
        return updated_node.body if decided else updated_node.orelse

    def _simplified(self, test: cst.BaseExpression) -> cst.BaseExpression:
        """``a and b`` without the side that is known to hold."""
        if isinstance(test, cst.BooleanOperation) and isinstance(test.operator, cst.And):
            for known, other in ((test.left, test.right), (test.right, test.left)):
                if self._decide(known) is True:
                    return self._simplified(other)
        return test

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        return updated_node.with_changes(body=_without_docstring(updated_node.body))

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        return updated_node.with_changes(body=_without_docstring(updated_node.body))

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        """Nothing runs after a return; an empty block needs a statement."""
        body = list(updated_node.body)
        for number, statement in enumerate(body):
            if isinstance(statement, cst.SimpleStatementLine) and isinstance(
                statement.body[-1], cst.Return | cst.Raise
            ):
                body = body[: number + 1]
                break
        return updated_node.with_changes(body=body or [cst.parse_statement("pass")])

    def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> Any:
        return cst.RemoveFromParent() if imported_module(updated_node).split(".")[0] == self.package else updated_node


def imported_module(node: cst.ImportFrom) -> str:
    """Dotted name of the module of ``from x.y import z``."""
    return "" if node.module is None else cst.Module([]).code_for_node(node.module)


def _statements(body: cst.BaseSuite) -> list[cst.BaseStatement]:
    assert isinstance(body, cst.IndentedBlock)
    return [s for s in body.body if not _is_pass(s)]


def _is_pass(statement: Any) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(statement.body[0], cst.Pass)


def _without_docstring(body: cst.BaseSuite) -> cst.BaseSuite:
    if not isinstance(body, cst.IndentedBlock) or not body.body or not is_string(body.body[0]):
        return body
    rest = list(body.body[1:])
    if rest and hasattr(rest[0], "leading_lines"):
        kept = [line for line in rest[0].leading_lines if line.comment is not None]
        rest[0] = rest[0].with_changes(leading_lines=kept)
    return body.with_changes(body=rest or [cst.parse_statement("pass")])


def is_string(statement: Any) -> bool:
    """Whether a statement is nothing but a string: a docstring where it comes first."""
    return (
        isinstance(statement, cst.SimpleStatementLine)
        and isinstance(statement.body[0], cst.Expr)
        and isinstance(statement.body[0].value, cst.SimpleString | cst.ConcatenatedString)
    )
