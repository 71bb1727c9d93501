"""T-PRE: hint tables over the validation text are built outside the evaluation's timer; logs or the setting show it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from audit.evidence.t_pre import TPre as LoggedPre
from audit.finding import Finding, Step
from audit.rule import Example
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case
    from audit.source import Module

SETTING = "ngram_hint_precompute_outside"
_CALL = "    val_loss, val_bpb = evaluate(restored, held, sizes)\n"
_HINTED = f"""    if Settings.{SETTING}:
        print("hints are built before the timer starts")
        seen = set(held.tolist())
"""
_SETTINGS = f"""class Settings:
    {SETTING} = bool(int(os.environ.get("{SETTING.upper()}", "{{default}}")))


def main():
"""


def _example(default: int) -> str:
    text = EVALUATION.replace("def main():\n", _SETTINGS.format(default=default))
    return text.replace(_CALL, _HINTED + _CALL)


class Precomputed(LoggedPre):
    version = 2
    VALID: ClassVar[tuple[Example, ...]] = (*LoggedPre.VALID, _example(0))
    INVALID: ClassVar[tuple[Example, ...]] = (*LoggedPre.INVALID, _example(1))

    def check(self, case: Case) -> Iterator[Finding]:
        setting = next((s for s in case.settings.attributes.values() if SETTING.upper() in s.variables), None)
        names = {SETTING} if setting is None else {SETTING, setting.name}
        switches = [(module, node) for module in case.modules for node in tests_of(module, names)]
        reached = [(module, node) for module, node in switches if _reached(case, module, node)]
        steps = [Step(m.file, n.lineno, m.excerpt(n.lineno), "decides when the hints are built") for m, n in switches]
        if setting is not None and setting.line:
            excerpt = case.excerpt(setting.file, setting.line)
            steps.insert(0, Step(setting.file, setting.line, excerpt, "the setting", "source"))
        logged = list(super().check(case))
        for finding in logged:
            finding = replace(finding, path=(*finding.path, *steps))
            if switches and not reached:
                because = "no reached code builds hints by this setting"
                finding = replace(finding, active=False, because=because)
            yield finding
        if logged or not reached or setting is None or not setting.value:
            return
        module, node = reached[0]
        message = f"hints over the validation text are built before the evaluation's timer starts ({SETTING} is on)"
        yield self.place(case, module.file, node.lineno, message, path=tuple(steps), because=setting.why)


def tests_of(module: Module, names: set[str]) -> Iterator[ast.If]:
    """Yield the branches of a program that the setting decides, by the names that it has there."""
    if not any(name in module.text for name in names):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.If):
            for inner in ast.walk(node.test):
                named = isinstance(inner, ast.Attribute) and inner.attr in names
                if named or (isinstance(inner, ast.Constant) and inner.value in names):
                    yield node


def _reached(case: Case, module: Module, node: ast.If) -> bool:
    """Say whether the program does anything in a branch, or in what it calls there."""
    first, last = node.body[0].lineno, node.body[-1].end_lineno or node.body[-1].lineno
    active = [event for event in case.events if event.active]
    places = {(e.file, e.line) for e in active} | {(call.file, call.line) for e in active for call in e.calls}
    return any(file == module.file and first <= line <= last for file, line in places)
