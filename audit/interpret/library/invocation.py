"""One call of a function or method of a library."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.provenance import Value

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


@dataclass(slots=True)
class Invocation:
    """One call of a function or method of a library; a method's receiver is the first of ``given``.

    ``name`` is the last name (``cross_entropy``), ``full_name`` the dotted one, empty for a method.
    """

    name: str
    given: list[Value]
    named: dict[str, Value]
    node: ast.AST
    full_name: str = ""


Handler = Callable[["Interpreter", Invocation], "Value | None"]
