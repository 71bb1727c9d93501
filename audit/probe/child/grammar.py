"""Compiles a submission's Python: what is newer than this interpreter in older grammar, and sizes small if asked."""

from __future__ import annotations
import __future__

import ast
import builtins
import sys
from collections.abc import Callable
from typing import Any

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag


def install(change: Callable[[ast.Module], object] | None = None) -> None:
    """Patch ``compile`` and ``exec``, through which scripts, modules and self-extracting texts all go: a text that the
    interpreter refuses is read by audit/newer_grammar.py, whose tree means the same. ``change`` changes the tree of
    every text that is not a library's."""
    compile_, exec_ = builtins.compile, builtins.exec

    def compile_newer(
        source: Any, filename: Any, mode: str = "exec", flags: int = 0, dont_inherit: bool = False, optimize: int = -1,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        if not dont_inherit:  # else the builtin would inherit from this file
            flags |= sys._getframe(1).f_code.co_flags & _FUTURES
        if change is not None and mode == "exec" and not flags & ast.PyCF_ONLY_AST and not _library(filename):
            source = _changed(source, compile_, change)
        try:
            return compile_(source, filename, mode, flags, True, optimize, **kwargs)
        except SyntaxError:
            # The reader of newer grammar compiles, too: pieces, for their trees.
            tree = _newer(source) if mode == "exec" and not flags & ast.PyCF_ONLY_AST else None
            if tree is None:
                raise
            # The tree has no type parameters: annotations that name them are not to be evaluated.
            flags |= __future__.annotations.compiler_flag
            return compile_(tree, filename, mode, flags, True, optimize, **kwargs)

    def exec_newer(source: Any, globals: Any = None, locals: Any = None, /, **kwargs: Any) -> None:
        caller = sys._getframe(1)
        if isinstance(source, (str, bytes, bytearray)):
            flags = caller.f_code.co_flags & _FUTURES
            source = compile_newer(source, "<string>", "exec", flags, True)
        if globals is None:
            globals, locals = caller.f_globals, caller.f_locals if locals is None else locals
        exec_(source, globals, globals if locals is None else locals, **kwargs)

    builtins.compile, builtins.exec = compile_newer, exec_newer


def _library(filename: Any) -> bool:
    return str(filename).startswith((sys.prefix, sys.base_prefix, "/usr/")) or "/audit/" in str(filename)


def _changed(source: Any, compile_: Any, change: Callable[[ast.Module], object]) -> Any:
    """The changed tree of a text; what is no text, or cannot be read, as it is."""
    if not isinstance(source, (str, bytes, bytearray)):
        return source
    try:
        tree = compile_(source, "<text>", "exec", ast.PyCF_ONLY_AST, True)
    except (SyntaxError, ValueError):
        tree = _newer(source)
    except (RecursionError, MemoryError):
        return source
    if tree is None:
        return source
    change(tree)
    return tree


def _newer(source: Any) -> Any:
    """The tree of a text of a newer grammar; None where it is no text, or Python of no version."""
    from audit.newer_grammar import parse_newer

    try:
        if isinstance(source, (bytes, bytearray)):
            source = bytes(source).decode("utf-8-sig")
        return parse_newer(source) if isinstance(source, str) else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
