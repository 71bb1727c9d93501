"""Gradients and optimiser steps."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import deep_bits, union
from audit.interpret.heap import Array, Function, Instance, Optimizer
from audit.interpret.library.invocation import Handler, Invocation
from audit.interpret.models import parameters_of
from audit.provenance import GRADIENT, LEAF, NLL, NOTHING, PARAM, TARGET, TOKEN, VAL, Value

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def make_optimizer(interp: Interpreter, name: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """An optimiser over its first argument."""
    thing = Optimizer(node, name)
    interp.made(thing, node)
    parameters = given[0] if given else named.get("params", Value())
    for value in (parameters, *given[1:2]):
        models, leaves = parameters_of(value)
        thing.models += models
        thing.leaves += leaves
    thing.bits = deep_bits(parameters)
    return Value(bits=0, thing=thing)


def optimizer_method(interp: Interpreter, thing: Optimizer, name: str, given: list[Value], node: ast.AST) -> Value:
    if name != "step":
        if name == "add_param_group" and given:
            models, leaves = parameters_of(given[0])
            thing.models += models
            thing.leaves += leaves
        return Value(thing=None) if name != "param_groups" else Value(PARAM)
    if given and isinstance(given[0].thing, Function):  # a closure computes the loss
        interp.call(given[0], [], {}, node)
    step_weights(interp, node, thing.models, thing.leaves, interp.last_loss or Value())
    return NOTHING


def _backward_grad(interp: Interpreter, call: Invocation) -> Value:
    loss = call.given[0] if call.given else Value()
    interp.last_loss = loss
    interp.emit("backward", call.node, loss)
    bits = loss.bits & ~(NLL | TOKEN)
    wanted = union(call.given[1:2])
    return Value(bits | GRADIENT | (wanted.bits & (PARAM | LEAF)), loops=loss.loops, trail=loss.trail)


def step_weights(interp: Interpreter, node: ast.AST, models: list[Instance], leaves: list[Array], loss: Value) -> None:
    """Record that weights moved along the gradient of a loss."""
    bit = interp.emit(
        "step", node, loss, models=tuple(id(m) for m in models), leaf=bool(leaves) and not models, leaves=leaves
    )
    interp.step_bits |= bit
    interp.step_loops[bit] = tuple(loop.bit for loop in interp.loops)
    carried = bit | (loss.bits & interp.step_bits)  # weights rest on earlier steps, not on the losses of training
    for model in models:
        if interp.may_write(model):
            model.root().weights |= carried
    for leaf in leaves:
        if interp.may_write(leaf):
            leaf.bits |= carried | (loss.bits & (VAL | TARGET))  # fitted to training data is a weight like others


def step_if_gradient(interp: Interpreter, node: ast.AST, left: Value, right: Value) -> None:
    """``p -= lr * p.grad`` is an optimiser step written by hand."""
    if right.bits & GRADIENT and left.bits & (PARAM | LEAF):
        models, leaves = parameters_of(left)
        step_weights(interp, node, models, leaves, right)


FUNCTIONS: dict[str, Handler] = {
    "torch.autograd.grad": _backward_grad,
    "autograd.grad": _backward_grad,
    "grad": _backward_grad,
}
