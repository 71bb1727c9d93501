"""Makes small the sizes that a program's own code fixes, where it asks no environment for them."""

from __future__ import annotations

import ast
from collections.abc import Callable

LEAST = 3  # sizes among the keywords of one call, or the keys of one dictionary: then it is a configuration


def smaller(
    tree: ast.Module, toy: Callable[[str, str | None], str | None], anywhere: Callable[[str, str | None], str | None]
) -> dict[str, tuple[str, str]]:
    """Change ``tree`` in place; gives name -> (value in the code, value given).

    ``toy(NAME, value)`` decides, as for settings of the environment. Asked are numbers that stand as constants of the
    module in capitals, in the body of a class, as keywords of the making of an object or keys of a dictionary where
    several of them are sizes. ``anywhere`` decides in the same way of what is assigned, passed by name or a
    default, in whatever function.
    """
    found: dict[str, tuple[str, str]] = {}

    def given(name: str, value: ast.expr | None, decides: Callable[..., str | None] = toy) -> ast.expr | None:
        number = _number(value)
        small = None if number is None else decides(name.upper(), str(number))
        if value is None or number is None or small is None:
            return None
        return ast.copy_location(ast.Constant(type(number)(small)), value)

    def note(name: str, old: ast.expr | None, new: ast.expr) -> ast.expr:
        found.setdefault(name.upper(), (str(_number(old)), str(_number(new))))
        return new

    def assigned(statement: ast.AST, decides: Callable[..., str | None], capitals: bool = False) -> None:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target: ast.expr = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign):
            target = statement.target
        else:
            return
        name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        if name and (name.isupper() or not capitals):
            new = given(name, statement.value, decides)
            if new is not None:
                statement.value = note(name, statement.value, new)

    def passed(call: ast.Call) -> None:
        for keyword in call.keywords:
            new = given(keyword.arg, keyword.value, anywhere) if keyword.arg else None
            if keyword.arg and new is not None:
                keyword.value = note(keyword.arg, keyword.value, new)

    def defaults(arguments: ast.arguments) -> None:
        names = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) :] if arguments.defaults else []
        for some, values in ((names, arguments.defaults), (arguments.kwonlyargs, arguments.kw_defaults)):
            for index, argument in enumerate(some):
                new = given(argument.arg, values[index], anywhere)
                if new is not None:
                    values[index] = note(argument.arg, values[index], new)  # type: ignore[index]

    for statement in tree.body:
        assigned(statement, toy, capitals=True)
    for node in ast.walk(tree):
        assigned(node, anywhere)
        if isinstance(node, ast.Call):
            passed(node)
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            defaults(node.args)
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                assigned(statement, toy)
        elif isinstance(node, ast.Call) and _makes_an_object(node.func):
            sizes = [(k, k.arg, new) for k in node.keywords if k.arg and (new := given(k.arg, k.value)) is not None]
            for keyword, name, new in sizes if len(sizes) >= LEAST else ():
                keyword.value = note(name, keyword.value, new)
        elif isinstance(node, ast.Dict):
            texts = [(i, key.value) for i, key in enumerate(node.keys) if isinstance(key, ast.Constant)]
            named = [(i, text) for i, text in texts if isinstance(text, str)]
            entries = [(i, text, new) for i, text in named if (new := given(text, node.values[i])) is not None]
            for index, text, new in entries if len(entries) >= LEAST else ():
                node.values[index] = note(text, node.values[index], new)
    return found


def _makes_an_object(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name[:1].isupper() or name in ("dict", "SimpleNamespace")


def _number(value: ast.expr | None) -> int | float | None:
    if isinstance(value, ast.Constant) and type(value.value) is float:
        return value.value
    return _whole(value)


def _whole(value: ast.expr | None) -> int | None:
    """The number that ``786_432``, ``2**20`` or ``64 * 1024`` stands for."""
    if isinstance(value, ast.Constant) and type(value.value) is int:
        return value.value
    if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Mult, ast.Pow, ast.LShift)):
        left, right = _whole(value.left), _whole(value.right)
        if left is None or right is None or right < 0:
            return None
        if isinstance(value.op, ast.Mult):
            return left * right
        return None if right > 64 else left**right if isinstance(value.op, ast.Pow) else left << right
    return None
