"""The order of learning and scoring: which updates a counted loss rests on that saw its own tokens first."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.events import Event, Loop, Timeline, common_loops
from audit.headline import Headline
from audit.provenance import RANK, VAL


@dataclass(frozen=True)
class Breach:
    """``update`` took in tokens that ``loss`` scores later.

    ``how``: before (all updates precede the scoring), same round (inside one round of a loop, update first),
    again (a loop that does not move on to other tokens holds both), own (fresh tensors fitted to the scored window).
    """

    update: Event
    loss: Event
    how: str
    loop: Loop | None = None


def breaches(headline: Headline, updates: list[Event], readings: list[Event]) -> list[Breach]:
    """Return the updates on validation tokens that come before a reading of what they changed.

    ``updates`` are optimiser steps or table increments; ``readings`` the losses or look-ups the headline rests on.
    """
    found: list[Breach] = []
    for update in updates:
        if not update.active or not update.value.bits & VAL:
            continue
        for reading in readings:
            if not reading.value.bits & update.bit:
                continue
            breach = judge(update, reading)
            if breach is not None:
                found.append(breach)
                break
    return found


def judge(update: Event, reading: Event) -> Breach | None:
    """Say whether an update that a reading rests on may have seen the tokens read."""
    shared = common_loops(update, reading)
    if not shared:
        if update.order > reading.order or is_prefix(update):
            return None
        return Breach(update, reading, "before")
    for loop in shared:
        if loop.times != 1 and not reading.value.loops & loop.bit:
            if loop.over == "while":
                continue  # what moves such a loop on may be hidden in a call
            return Breach(update, reading, "again", loop)
    if update.order < reading.order and update.value.loops & shared[-1].bit:
        if leaves_round(update, reading, shared[-1]):
            return None
        return Breach(update, reading, "same round", shared[-1])
    return None


def leaves_round(update: Event, reading: Event, loop: Loop) -> bool:
    """Say whether an update stands in a branch that ends its round before the reading is reached."""
    blocks = list(_blocks(getattr(loop.node, "body", ())))
    for block in blocks:
        if isinstance(block[-1], ast.Continue | ast.Break | ast.Return | ast.Raise):
            inside = {node for statement in block for node in ast.walk(statement)}
            if _stands_in(update, inside) and not _stands_in(reading, inside):
                return True
    return False


def _blocks(statements: Sequence[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """The sides of every ``if`` among a loop's statements, those in loops of their own left out."""
    for statement in statements:
        if isinstance(statement, ast.If):
            for side in (statement.body, statement.orelse):
                if side:
                    yield side
                    yield from _blocks(side)
        elif isinstance(statement, ast.With | ast.Try):
            yield from _blocks(statement.body)


def _stands_in(event: Event, nodes: set[ast.AST]) -> bool:
    return event.node in nodes or any(call.node in nodes for call in event.calls)


def is_prefix(update: Event) -> bool:
    """A process may fill its table with what lies before its own first window: earlier processes score that."""
    return bool(update.value.bits & RANK) and update.kind == "count"


def late_updates(timeline: Timeline, headline: Headline) -> Iterator[Event]:
    """Yield switched-off optimiser steps that would train on validation tokens before the headline's losses."""
    first = min((loss.order for loss in headline.losses), default=0)
    for update in timeline.of("step"):
        if not update.active and update.value.bits & VAL and not update.data.get("leaf") and update.order < first:
            yield update
