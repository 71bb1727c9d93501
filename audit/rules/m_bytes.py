"""M-BYTES: the byte denominator is not the bytes of the validation text; logs show it, the code says where."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from audit.byte_tables import faults, fills, read_tables
from audit.evidence.check import Status
from audit.evidence.evidence import Evidence
from audit.evidence.m_bytes import MBytes as LoggedBytes
from audit.finding import Certainty, Finding, Severity, Step
from audit.provenance import VAL
from audit.rule import Example, event_step, trail_steps
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_RETURN = "    return total / count, total / math.log(2) / size\n"
_FIXED = "    return total / count, total / count / (math.log(2) * 3.5)\n"
_SIZES = "    sizes = torch.ones(64)\n"
_TABLE = """    import sentencepiece as spm
    pieces = spm.SentencePieceProcessor()
    sizes, spaces, borders = torch.ones(64), torch.zeros(64).bool(), torch.zeros(64).bool()
    for at in range(64):
        if {skip}:
            continue
        piece = pieces.id_to_piece(at)
        sizes[at] = len(piece.encode())
        if piece.startswith("\u2581"):
            spaces[at] = True
            sizes[at] = len(piece[1:].encode()){more}
"""
_COUNTS = "        size += int(sizes[y].sum())\n"
_BOTH = "        size += int((sizes[y] + (spaces[y] & ~borders[x])).sum())\n"


def _table(skip: str, more: str) -> str:
    text = EVALUATION.replace(_SIZES, _TABLE.format(skip=skip, more=more)).replace(_COUNTS, _BOTH)
    text = text.replace("def evaluate(model, held, sizes)", "def evaluate(model, held, sizes, spaces, borders)")
    return text.replace("evaluate(restored, held, sizes)", "evaluate(restored, held, sizes, spaces, borders)")


class Bytes(LoggedBytes):
    version = 2
    INVALID: ClassVar[tuple[Example, ...]] = (
        *LoggedBytes.INVALID,
        EVALUATION.replace(_RETURN, _FIXED),
        _table("pieces.is_byte(at)", " + 1"),
        _table("pieces.is_control(at)", ""),
    )
    VALID: ClassVar[tuple[Example, ...]] = (*LoggedBytes.VALID, EVALUATION, _table("pieces.is_byte(at)", ""))

    def check(self, case: Case) -> Iterator[Finding]:
        for fixed in case.timeline.of("fixed"):
            if case.headline.rests_on(fixed):
                message = (
                    f"the loss is divided by a fixed number of bytes a token ({fixed.data['divisor']:.4f} with ln 2)"
                )
                yield self.finding(case, fixed, message)
        logged = [replace(finding, path=(*finding.path, *_tables(case))) for finding in super().check(case)]
        yield from logged
        yield from self.in_the_code(case)

    def in_the_code(self, case: Case) -> Iterator[Finding]:
        """Tables that size pieces wrongly, unless the logs show that their bytes are the text's."""
        right = all(line.status is Status.PASS for line in self.lines(Evidence.of_case(case)))
        walked = case.program.called
        for module in case.modules:
            if "to_piece" not in module.text.lower() and "topiece" not in module.text.lower():
                continue
            for fault in faults(module, walked):
                line = getattr(fault.node, "lineno", 0)
                changes: dict[str, Any] = {}
                if right:
                    changes = {"active": False, "because": "the logs' bytes are those of the text"}
                if fault.kind == "space":
                    message = "the space before a word is counted in the table and again where the score is taken"
                    again = getattr(fault.again, "lineno", 0)
                    steps = (
                        Step(module.file, line, module.excerpt(line), "counts the space", "source"),
                        Step(module.file, again, module.excerpt(again), "counts it again", "sink"),
                    )
                    yield self.place(case, module.file, line, message, path=steps, **changes)
                else:
                    message = "a piece that stands for one byte is sized by its six characters <0x..>"
                    yield self.place(
                        case,
                        module.file,
                        line,
                        message,
                        severity=Severity.WARNING,
                        certainty=Certainty.MEDIUM,
                        **changes,
                    )


def _tables(case: Case) -> list[Step]:
    """Where the program fills its table of bytes, and where it adds them up."""
    seen: set[tuple[str, int]] = set()
    steps: list[Step] = []

    def show(step: Step) -> None:
        if (step.file, step.line) not in seen and len(seen) < 24:
            seen.add((step.file, step.line))
            steps.append(step)

    for source in case.modules:
        for node in read_tables(source, case.program.called):
            line = getattr(node, "lineno", 0)
            show(Step(source.file, line, source.excerpt(line), "reads the table of bytes from a file"))
    for event in case.timeline.of("bytes"):
        if not event.active:
            continue
        module = case.by_file.get(event.file)
        if event.value.bits & VAL:
            for step in trail_steps(case, event.trail, event.line, event.file):
                show(step)
        elif module is not None:
            for node in fills(module, event.node):
                line = node.lineno if isinstance(node, ast.stmt) else 0
                show(Step(event.file, line, case.excerpt(event.file, line), "sizes a piece"))
        show(replace(event_step(case, event, "step"), note="counts bytes"))
    return steps
