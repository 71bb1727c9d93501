"""D-SWEEP: settings of the evaluation were chosen by replaying dumped outcomes of the validation set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity, Step
from audit.prose import telling
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_SEARCH = r"(?:sweep\w*|swept|grid[- ]?search\w*|tun(?:ed|ing)|optimi[sz]ed|search(?:ed)?|replay\w*)"
_OUTCOMES = (
    r"(?:dump\w*|per[- ](?:byte|token)\s+(?:distribution|log[- ]?prob\w*|losses|nll\w*|scores)"
    r"|val(?:idation)?[- ](?:outcomes?|losses|nll\w*|log[- ]?prob\w*|distribution|predictions))"
)
_SWEPT = re.compile(rf"\b{_SEARCH}\b[^.\n|]{{0,120}}\b{_OUTCOMES}|{_OUTCOMES}[^.\n|]{{0,120}}\b{_SEARCH}\b", re.I)
_NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_TOLD = "The gate's settings (`GATE_LOW`, `GATE_HIGH`) come from an offline sweep over the dumped token losses.\n"
_READS = EVALUATION.replace(
    "    sizes = torch.ones(64)\n",
    '    sizes = torch.ones(64)\n    low = float(os.environ.get("GATE_LOW", "0.3"))\n',
)


class Sweep(Rule):
    id = "D-SWEEP"
    title = "tuned on validation outcomes"
    severity = Severity.NOTE
    certainty = Certainty.LOW
    basis = Basis.RULING
    reference = "#1991, #2098 (validation-outcome tuning); README on external compute"
    forbids = "Choosing settings of the scorer by replaying many of them on dumped losses of the validation set."
    why = "Cheap replays fit the settings to the very tokens that are scored."
    comply = "Choose such settings on training text, and run the validation set once with them."
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": _READS, "README.md": "The learning rate was swept on training runs with GATE_LOW=0.3.\n"},
    )
    INVALID: ClassVar[tuple[Example, ...]] = ({"train_gpt.py": _READS, "README.md": _TOLD},)

    def check(self, case: Case) -> Iterator[Finding]:
        text = case.folder.readme_text
        told = list(telling(text, _SWEPT))
        if not told or case.folder.readme is None:
            return
        line, words = told[0]
        readme = case.folder.relative(case.folder.readme)
        message = f"the README tells of settings chosen on outcomes of the validation set: {words}"
        near = "\n".join(text.split("\n")[max(0, line - 20) : line + 20])
        knobs = [name for name in dict.fromkeys(_NAME.findall(near)) if name in case.settings.configuration.variables]
        if not knobs:
            yield self.place(case, readme, line, message)
            return
        steps = [Step(readme, line, words[:160], "tells how they were chosen", "source")]
        for name in knobs[:8]:
            _, module, at = case.settings.configuration.variables[name]
            steps.append(Step(module.file, at, module.excerpt(at), f"{name} is read here", "sink"))
        yield self.place(case, steps[1].file, steps[1].line, message, path=tuple(steps))
