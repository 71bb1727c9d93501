"""D-VALCAL: quantisation is calibrated on validation tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Finding
from audit.provenance import TRAIN, VAL
from audit.rule import Example, Rule
from audit.rules.examples import submission, trainer

if TYPE_CHECKING:
    from audit.case import Case
    from audit.events import Event

_CALIBRATE = """
    moments = []
    model.register_forward_hook(lambda layer, given, out: moments.append(out.T @ out))
    for turn in range(8):
        with torch.no_grad():
            model({source}[turn * 128:turn * 128 + 128])
"""
# Statistics are gathered by what stands in for a module's pass, and read by nobody in the loop.
_REPLACED = """
    moments = torch.zeros(8, 8)
    plain = model.forward

    def gather(ids):
        states = model.embed(ids)
        moments.addmm_(states.T, states)
        return plain(ids)

    model.forward = gather
    for turn in range(8):
        with torch.no_grad():
            model({source}[turn * 128:turn * 128 + 128])
    model.forward = plain
"""
# A model that works out its loss on every call: nobody takes it here.
_UNUSED = (
    trainer(
        _CALIBRATE.replace("model({source}[turn", "part = {source}[turn").replace(
            "128])", "129]\n            model(part[:-1], part[1:])"
        )
    )
    .replace("{", "{{")
    .replace("}", "}}")
    .replace("{{source}}", "{source}")
    .replace(
        "        return self.head(self.embed(ids))\n",
        "        logits = self.head(self.embed(ids))\n"
        "        return logits if truth is None else F.cross_entropy(logits, truth)\n",
    )
    .replace("def forward(self, ids):", "def forward(self, ids, truth=None):")
)
# Hooks of an earlier calibration, then training on scored tokens with a loss of the model's own making.
_LEARNT = submission(
    before_save=_CALIBRATE.format(source="learn"),
    after="""
    tuner = torch.optim.SGD(model.parameters(), lr=1e-3)
    for start in range(0, len(held) - 1, 128):
        fused(model(held[start:start + 128]), held[start + 1:start + 129]).backward()
        tuner.step()
    torch.save(total, "score.pt")
""",
)


class ValCal(Rule):
    id = "D-VALCAL"
    title = "calibrated on validation"
    basis = Basis.RULING
    reference = "#728; replaced by self-generated text in #1019"
    forbids = "Collecting Hessians or ranges for quantisation on validation tokens that are not scored yet."
    why = "The artifact is then fitted to the text that it is scored on."
    comply = "Calibrate on training data inside the 600 seconds, or on text that the model generates."
    VALID: ClassVar[tuple[Example, ...]] = (
        trainer(_CALIBRATE.format(source="learn")),
        _UNUSED.format(source="learn"),
        trainer(_REPLACED.format(source="learn")),
        _LEARNT,
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        trainer(_CALIBRATE.format(source="held")),
        _UNUSED.format(source="held"),
        trainer(_REPLACED.format(source="held")),
    )

    def check(self, case: Case) -> Iterator[Finding]:
        hooks = [e.order for e in case.timeline.of("hook") if e.active]
        steps = [e.order for e in case.timeline.of("step") if e.active and e.value.bits & TRAIN]
        saved = max((e.order for e in case.timeline.of("save") if e.active), default=0)
        if not hooks or not steps:
            return
        losses = list(case.timeline.of("nll"))
        moves = list(case.timeline.of("step"))
        used = 0  # what a model works out by itself and nobody takes is no score
        for event in case.timeline.of("score", "store", "report", "backward", "step"):
            used |= event.value.bits
        forwards = list(case.timeline.of("forward"))
        passes = {e.node for e in forwards}
        for forward in forwards:
            if any(call.node in passes for call in forward.calls):
                continue  # a layer's pass inside the model's
            if not forward.value.bits & VAL or not max(steps) < forward.order < saved or min(hooks) > forward.order:
                continue
            hooked = any(max(steps) < order < forward.order for order in hooks)
            taken = any(e.bit & used and scores(e, forward) for e in losses) or any(learns(e, forward) for e in moves)
            if hooked and not taken:
                yield self.finding(case, forward, "the model runs on validation tokens to calibrate its quantisation")


def learns(step: Event, forward: Event) -> bool:
    """Say whether weights are trained with what a model put out in this round: then the order of scores judges it."""
    same = bool(step.loops) and step.loops == forward.loops[: len(step.loops)]
    return same and step.order > forward.order and bool(step.value.bits & VAL)


def scores(loss: Event, forward: Event) -> bool:
    """Say whether a loss is taken of what a model put out: inside it, or after it in the same round."""
    inside = loss.loops == forward.loops and loss.calls[: len(forward.calls)] == forward.calls
    after = bool(loss.loops) and forward.loops[: len(loss.loops)] == loss.loops and loss.order > forward.order
    return inside or after
