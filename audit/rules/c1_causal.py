"""C1-CAUSAL: inside its window the model carries something from later positions to earlier ones."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity, Step
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case
    from audit.source import Module
from audit.tree import walk

_KERNELS = frozenset(
    (
        "flash_attn_func",
        "flash_attn_3_func",
        "flash_attn_varlen_func",
        "flash_attn_qkvpacked_func",
        "flash_attn_kvpacked_func",
    )
)
_PLAIN = """    def forward(self, ids):
        return self.head(self.embed(ids))
"""
_ATTENDS = """    def forward(self, ids):
        states = self.embed(ids)[None, None]
        return self.head(F.scaled_dot_product_attention(states, states, states{how})[0, 0])
"""
_ROUNDS = EVALUATION.replace(
    "class Net(nn.Module):\n",
    """class Scan(nn.Module):
    def forward(self, states, memory):
        out = []
        for at in range(states.size(0)):
            memory = 0.9 * memory + states[at]
            out.append(memory)
        return torch.stack(out), memory


class Net(nn.Module):
""",
).replace(
    "        self.head = nn.Linear(width, vocab)\n",
    "        self.head = nn.Linear(width, vocab)\n        self.scan = Scan()\n",
)
_FORWARD = """    def forward(self, ids):
        states, memory = self.embed(ids), torch.zeros(8)
        for turn in range(2):
            {fresh}
            states, memory = self.scan(states, memory)
        return self.head(states)
"""


class Causal(Rule):
    id = "C1-CAUSAL"
    title = "later positions seen inside the window"
    severity = Severity.NOTE
    certainty = Certainty.LOW
    basis = Basis.MEASUREMENT
    reference = "measured on #1028 and #1047: 0.25 to 0.71 bits per byte; field guide #1017 condition 1"
    forbids = "Attention without a causal mask, or a state that a pass over the whole window hands to the next pass."
    why = "What the end of the window holds then reaches its beginning, the scored tokens included."
    comply = "Mask attention causally, and start every pass over the window from a fresh state."
    VALID: ClassVar[tuple[Example, ...]] = (
        EVALUATION.replace(_PLAIN, _ATTENDS.format(how=", is_causal=True")),
        _ROUNDS.replace(_PLAIN, _FORWARD.format(fresh="memory = torch.zeros(8)")),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        EVALUATION.replace(_PLAIN, _ATTENDS.format(how="")),
        _ROUNDS.replace(_PLAIN, _FORWARD.format(fresh="pass")),
    )

    def check(self, case: Case) -> Iterator[Finding]:
        called = case.program.called
        for module in case.modules:
            attending = [call for call in module.nodes(ast.Call) if unmasked(call)]
            for function in walked(module, called):
                lines = range(function.lineno, (function.end_lineno or function.lineno) + 1)
                for call in attending:
                    if call.lineno in lines:
                        yield self.place(case, module.file, call.lineno, "attention without a causal mask")
                for loop in module.nodes(ast.For):
                    if loop.lineno in lines:
                        yield from self.carried(case, module, loop)

    def carried(self, case: Case, module: Module, loop: ast.For) -> Iterator[Finding]:
        """Findings of a loop that hands the last state of a pass over the window to the next pass."""
        fresh = {t.id for s in loop.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)}
        for node in walk(loop):
            if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and len(node.targets) == 1):
                continue
            target, call = node.targets[0], node.value
            if not (isinstance(target, ast.Tuple) and len(target.elts) == 2):
                continue
            given = [a.id if isinstance(a, ast.Name) else "" for a in (*call.args, *(k.value for k in call.keywords))]
            whole, state = (t.id if isinstance(t, ast.Name) else "" for t in target.elts)
            if not whole or whole not in given or not state or state not in given or state in fresh:
                continue
            last = next((f for f in passes(module, call) if hands_on(f)), None)
            if last is not None:
                message = f"the state at the end of one pass over the window starts the next: {state}"
                steps = (
                    Step(module.file, last.lineno, module.excerpt(last.lineno), "goes over the whole window", "step"),
                    Step(module.file, node.lineno, module.excerpt(node.lineno), message, "sink"),
                )
                yield self.place(case, module.file, node.lineno, message, path=steps)


def walked(module: Module, called: set[ast.AST]) -> Iterator[ast.FunctionDef]:
    """Yield the methods that the program calls of classes that have a ``forward``."""
    for node in module.nodes(ast.ClassDef):
        methods = [s for s in node.body if isinstance(s, ast.FunctionDef)]
        if any(m.name == "forward" for m in methods):
            yield from (m for m in methods if m in called)


def unmasked(call: ast.Call) -> bool:
    """Say whether a call attends to all positions, later ones included."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name != "scaled_dot_product_attention" and name not in _KERNELS:
        return False
    named = {k.arg: k.value for k in call.keywords}
    if None in named:
        return False
    if name == "scaled_dot_product_attention":
        causal = named.get("is_causal")
        off = causal is None or (isinstance(causal, ast.Constant) and causal.value is False)
        return off and len(call.args) < 4 and "attn_mask" not in named
    causal = named.get("causal")
    return (causal is None and len(call.args) < 6) or (isinstance(causal, ast.Constant) and causal.value is False)


def passes(module: Module, call: ast.Call, depth: int = 3) -> Iterator[ast.FunctionDef]:
    """Yield the functions that a call may run: those of its name, and ``forward`` of what ``self.name`` is made of."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    made: set[str] = set()
    for function in module.nodes(ast.FunctionDef):
        if function.name == name:
            yield function
            for inner in function.body[-1:] if depth else ():  # a helper that only passes on
                if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Call):
                    yield from passes(module, inner.value, depth - 1)
    for node in module.nodes(ast.Assign):
        if any(isinstance(t, ast.Attribute) and t.attr == name for t in node.targets):
            made |= {n.id for n in walk(node.value) if isinstance(n, ast.Name)}
    for function in module.nodes(ast.FunctionDef) if made else ():
        if function.name in made and isinstance(function.body[-1], ast.Return):
            made |= {n.id for n in walk(function.body[-1]) if isinstance(n, ast.Name)}
    for cls in module.nodes(ast.ClassDef):
        if cls.name in made:
            yield from (s for s in cls.body if isinstance(s, ast.FunctionDef) and s.name == "forward")


def hands_on(function: ast.FunctionDef) -> bool:
    """Say whether a function gives back, beside its result, a state that it took in and moved on over the positions."""
    parameters = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
    returned = {
        n.id
        for r in walk(function)
        if isinstance(r, ast.Return) and isinstance(r.value, ast.Tuple)
        for e in r.value.elts[1:]
        for n in walk(e)
        if isinstance(n, ast.Name)
    }
    for node in walk(function):
        if isinstance(node, ast.Call):
            named = {k.arg for k in node.keywords}
            if "initial_state" in named and "output_final_state" in named:
                return True
    states = {name for name in returned if name in parameters} | {
        t.id
        for node in walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in parameters
        for t in node.targets
        if isinstance(t, ast.Name) and t.id in returned
    }
    for loop in walk(function):
        if not isinstance(loop, ast.For) or not states:
            continue
        for node in walk(loop):
            if isinstance(node, ast.Assign | ast.AugAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(t, ast.Name) and t.id in states for t in targets):
                    return True
    return False
