"""D-SPLIT: training documents stand in the scored split; logs count the shards, a shipped script says how it cuts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from audit.evidence.check import Status
from audit.evidence.d_split import DSplit as LoggedSplit
from audit.evidence.evidence import Evidence
from audit.finding import Certainty, Finding, Severity, Step
from audit.preparation import scripts
from audit.rule import Example
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case
    from audit.source import Module

DOCUMENTS = 50_000  # the scored split: the first documents of the source
_FLAG = re.compile(r"^--?(?:num[-_]|n[-_])?val(?:id|idation)?[-_](?:docs|documents)$|^--?num[-_]val$")
_GIVEN = re.compile(r"--?(?:num[-_]|n[-_])?val(?:id|idation)?[-_](?:docs|documents)[ =]+50[_,]?000\b")
_CUT = '''"""Cuts documents into shards."""
import argparse

import numpy as np


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--val-docs", type=int, default={count})
    options = parser.parse_args()
    held, learn = [], []
    for at, document in enumerate(open("documents.txt")):
        (held if at < options.val_docs else learn).extend(document.encode())
    np.array(held, dtype=np.uint16).tofile("fineweb_val_000000.bin")
    np.array(learn, dtype=np.uint16).tofile("fineweb_train_000000.bin")


main()
'''


class Split(LoggedSplit):
    version = 2
    VALID: ClassVar[tuple[Example, ...]] = (
        *LoggedSplit.VALID,
        {"train_gpt.py": EVALUATION, "cut.py": _CUT.format(count=50_000)},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        *LoggedSplit.INVALID,
        {"train_gpt.py": EVALUATION, "cut.py": _CUT.format(count=10_000)},
    )

    def check(self, case: Case) -> Iterator[Finding]:
        logged = list(super().check(case))
        cuts = [(module, call, count) for module in scripts(case, _CUTS) for call, count in small_cuts(module)]
        for finding in logged:
            steps = tuple(
                Step(module.file, call.lineno, module.excerpt(call.lineno), f"cuts {count:,} documents by default")
                for module, call, count in cuts
            )
            yield replace(finding, path=(*finding.path, *steps))
        if logged:
            return
        published = any(line.status is Status.PASS for line in self.lines(Evidence.of_case(case)))
        for module, call, count in cuts:
            excerpt = module.excerpt(call.lineno)
            message = f"a shipped script keeps the first {count:,} documents for validation, {DOCUMENTS:,} are scored"
            changes: dict[str, Any] = {"path": (Step(module.file, call.lineno, excerpt, message, "sink"),)}
            if published:
                changes |= {"active": False, "because": "the logs name the published shards"}
            elif _GIVEN.search(case.folder.readme_text):
                changes |= {"active": False, "because": "the README cuts with 50,000"}
            yield self.place(
                case,
                module.file,
                call.lineno,
                message,
                severity=Severity.WARNING,
                certainty=Certainty.MEDIUM,
                **changes,
            )


_CUTS = re.compile(r"add_argument")


def small_cuts(module: Module) -> Iterator[tuple[ast.Call, int]]:
    """Yield the options for the number of validation documents whose default is not that of the scored split."""
    constants: dict[str, int] = {}
    for statement in module.tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            for target in statement.targets:
                if isinstance(target, ast.Name) and type(statement.value.value) is int:
                    constants[target.id] = statement.value.value
    for node in module.nodes(ast.Call):
        if not isinstance(node.func, ast.Attribute):
            continue
        flags = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if node.func.attr != "add_argument" or not any(_FLAG.match(flag) for flag in flags):
            continue
        default = next((k.value for k in node.keywords if k.arg == "default"), None)
        count: Any = None
        if isinstance(default, ast.Constant):
            count = default.value
        elif isinstance(default, ast.Name):
            count = constants.get(default.id)
        if type(count) is int and count > 0 and count != DOCUMENTS:
            yield node, count
