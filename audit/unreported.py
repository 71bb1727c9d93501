"""Says what kept the analysis from a program's validation score, where it found none reported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from audit.events import Event
from audit.libraries import CARRIERS, KNOWN, imports
from audit.provenance import NLL, VAL
from audit.words import words

if TYPE_CHECKING:
    from audit.case import Case

# Programs that tell about the machine or install something, and score nothing.
_TOOLS = words(
    "nvidia-smi git pip pip3 apt apt-get gcc g++ nvcc uname hostname lscpu nproc free cmake make ninja which"
)
_STARTED = frozenset({"run", "call", "check_call", "check_output", "Popen", "system", "execv", "execve", "execvp"})


def reasons(case: Case) -> list[str]:
    """Return the likely reasons: code that is not there, losses that are switched off, work left to other programs."""
    found: list[str] = []
    if absent := absent_modules(case):
        found.append(f"it runs code that is not in the folder: {', '.join(absent)}")
    losses = [e for e in case.timeline.of("nll", "score", "store") if e.value.bits & VAL and e.value.bits & NLL]
    active = [e for e in losses if e.active]
    if losses and not active:
        found.append(f"its losses on validation tokens are switched off by {losses[-1].because}")
    started = [
        e for e in case.timeline.of("outside") if e.active and e.data.get("how") in _STARTED and not _TOOLS & tool(e)
    ]
    if not active and started:
        found.append(f"it starts other programs ({started[-1].file}:{started[-1].line})")
    if not losses and not absent and not started:
        found.append("no loss on validation tokens either")
    if active:
        found.append(f"a loss on validation tokens is taken ({active[-1].file}:{active[-1].line}) and nowhere printed")
    return found


def tool(event: Event) -> set[str]:
    """Return the program that an event starts, where its command line begins with a known text."""
    return {word.rsplit("/", 1)[-1] for word in event.text.split()[:1]}


def absent_modules(case: Case) -> list[str]:
    """Return the modules that are imported and neither lie in the folder nor are a known library's."""
    own = {path.stem for path in case.folder.helpers} | {path.parent.name for path in case.folder.helpers}
    known = own | KNOWN | CARRIERS | sys.stdlib_module_names
    found: list[str] = []
    for module in case.modules:
        if module.role in ("trainer", "imported"):
            found += [package for _, package in imports(module.tree) if package not in known and package[:1] != "_"]
    return list(dict.fromkeys(found))
