"""M-LOSSLESS: the scored text was folded to one case, so that it cannot be had back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding, Step
from audit.preparation import scripts
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION
from audit.source import Module
from audit.tree import walk

if TYPE_CHECKING:
    from audit.case import Case

_FOLDS = frozenset({"lower", "casefold", "upper"})
_RESTORES = frozenset({"isupper", "istitle", "swapcase", "capitalize", "title"})
_SINKS = frozenset(
    {"encode", "encode_as_ids", "EncodeAsIds", "encode_ordinary", "encode_batch", "tokenize", "write", "writelines"}
)
_CALLS = re.compile(r"\.(?:lower|casefold|upper)\(\)|str\.(?:lower|casefold)\b")
_FOLDED_NAME = re.compile(r"(?:^|[^a-z])(?:case[-_]?fold(?:ed)?|lower[-_]?cased?)(?![a-z])", re.I)
_PATH = re.compile(r"^[\w./~:@\\{}$-]{4,200}$")
_CUT = '''"""Cuts documents into shards."""
import numpy as np
import sentencepiece as spm


def clean(text):
    return {expression}


def main():
    tokenizer = spm.SentencePieceProcessor(model_file="small.model")
    tokens = []
    for line in open("documents.txt"):
        text = clean(line)
        tokens.extend(tokenizer.encode(text))
    np.array(tokens, dtype=np.uint16).tofile("fineweb_val_000000.bin")


main()
'''


class Lossless(Rule):
    id = "M-LOSSLESS"
    title = "text folded to one case"
    basis = Basis.UNRULED
    reference = "disputed: issue #1604; #1578, #1585, #1670 stay open; lossless case marks were merged (#1729, #1736)"
    forbids = "Tokenising a text that was lowercased or normalised so that the original cannot be decoded from it."
    why = "What the model need not predict it need not pay for: the score is then that of an easier text."
    comply = "Use a transform that can be undone, such as case marks, and check that decode(encode(text)) == text."
    VALID: ClassVar[tuple[Example, ...]] = (
        EVALUATION,
        {"train_gpt.py": EVALUATION, "cut.py": _CUT.format(expression="text.strip()")},
        {
            "train_gpt.py": EVALUATION,
            "cut.py": _CUT.format(expression='"".join("^" + c.lower() if c.isupper() else c for c in text)'),
        },
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": EVALUATION, "cut.py": _CUT.format(expression="text.lower().strip()")},
        EVALUATION.replace('"./data")', '"./data/sp1024_casefold")'),
    )

    def check(self, case: Case) -> Iterator[Finding]:
        for module in scripts(case, _CALLS):
            for call in folded_text(module):
                message = "the text is folded to one case before it is tokenised: the original cannot be had back"
                step = Step(module.file, call.lineno, module.excerpt(call.lineno), message, "sink")
                yield self.place(case, module.file, call.lineno, message, path=(step,))
        for module in case.modules:
            for node in folded_paths(module):
                message = f"the data or the tokenizer that is used is called case-folded: {node.value!s}"
                yield self.place(case, module.file, node.lineno, message)
        for name, value in case.settings.environment.items():
            if _PATH.match(value) and _FOLDED_NAME.search(value) and "/" in value:
                default = case.settings.configuration.variables.get(name)
                file, line = (default[1].file, default[2]) if default is not None else (case.trainer.file, 1)
                message = f"the data or the tokenizer that was used is called case-folded: {name}={value}"
                yield self.place(case, file, line, message, because=case.settings.environment_why.get(name, ""))


def folded_paths(module: Module) -> Iterator[ast.Constant]:
    """Yield path-like texts of a program that name data folded to one case, each text once."""
    seen: set[str] = set()
    for node in module.nodes(ast.Constant):
        text = node.value
        if not isinstance(text, str) or len(text) >= 200 or not ("/" in text or text.endswith(".model")):
            continue
        if text not in seen and _PATH.match(text) and _FOLDED_NAME.search(text):
            seen.add(text)
            yield node


def folded_text(module: Module) -> list[ast.Call]:
    """Return the calls that fold a text which is then tokenised or written, in a program that keeps no case marks."""
    if any(node.attr in _RESTORES for node in module.nodes(ast.Attribute)):
        return []
    functions: list[ast.FunctionDef | ast.AsyncFunctionDef] = [
        *module.nodes(ast.FunctionDef),
        *module.nodes(ast.AsyncFunctionDef),
    ]
    folding: dict[str, ast.Call] = {}
    found: list[ast.Call] = []
    for _ in range(4):  # a function that returns what another one folded folds as well
        before = len(folding)
        for scope in (*functions, module.tree):
            returned, sunk = _follow(scope, folding)
            if returned is not None and not isinstance(scope, ast.Module):
                folding.setdefault(scope.name, returned)
            found += [call for call in sunk if call not in found]
        if len(folding) == before:
            break
    return found


def _follow(
    scope: ast.FunctionDef | ast.AsyncFunctionDef | ast.Module, folding: dict[str, ast.Call]
) -> tuple[ast.Call | None, list[ast.Call]]:
    """The folded text that a function returns, and the folded texts that it tokenises or writes."""
    names: dict[str, ast.Call] = {}
    nodes = list(_own_nodes(scope))
    if not any(isinstance(n, ast.Call) and _called(n) in _FOLDS | folding.keys() for n in nodes):
        return None, []

    def source(node: ast.AST) -> ast.Call | None:
        for inner in walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load) and inner.id in names:
                return names[inner.id]
            if isinstance(inner, ast.Call):
                if isinstance(inner.func, ast.Attribute) and inner.func.attr in _FOLDS and not inner.args:
                    return inner
                if _called(inner) in folding:
                    return folding[_called(inner)]
        return None

    for _ in range(3):
        for node in nodes:
            if isinstance(node, ast.Assign) and (call := source(node.value)) is not None:
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        names.setdefault(target.id, call)
    sunk = [
        call
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SINKS
        for argument in node.args
        if (call := source(argument)) is not None
    ]
    returned = next(
        (
            call
            for node in nodes
            if isinstance(node, ast.Return) and node.value is not None and (call := source(node.value)) is not None
        ),
        None,
    )
    return returned, sunk


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function or module without those of the functions inside it."""
    waiting = list(ast.iter_child_nodes(scope))
    for node in waiting:  # which grows on the way
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting.extend(ast.iter_child_nodes(node))
