"""Torch modules, containers of layers, and tokenizers."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.assignment import store_attribute
from audit.interpret.containers import append, deep_bits, union
from audit.interpret.heap import Array, Instance, Mapping, Parameters, Sequence
from audit.interpret.library.invocation import Handler, Invocation
from audit.interpret.library.tables import class_of
from audit.interpret.models import inside_model, is_model
from audit.provenance import EVENTS, LEAF, NLL, NOTHING, PARAM, TEXT, TOKEN, Value
from audit.words import words

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


SAME_MODEL = words("to cuda train eval float half bfloat16 double type cpu compile")


def model_method(
    interp: Interpreter,
    receiver: Value,
    thing: Instance,
    name: str,
    given: list[Value],
    node: ast.AST,
) -> Value | None:
    """Methods that every torch module has."""
    if not is_model(thing):
        return tokenizer_method(interp, receiver, name, given, node) if thing.bits & TEXT else None
    root = thing.root()
    if name in ("parameters", "named_parameters", "buffers", "named_buffers"):
        value = Value(PARAM | root.weights, thing=Parameters([root], []))
        if name.startswith("named"):
            sequence = Sequence(kind="named")
            interp.made(sequence, node)
            append(sequence, Value(items=(Value(), value)))
            return Value(thing=sequence)
        return value
    if name == "state_dict":
        mapping = Mapping()
        interp.made(mapping, node)
        mapping.element = Value(PARAM | root.weights, thing=Parameters([root], []))
        mapping.bits = PARAM | root.weights
        return Value(PARAM | root.weights, thing=mapping)
    if name == "load_state_dict" and given:
        bits = deep_bits(given[0]) & EVENTS | interp.guard_choice
        if interp.may_write(root):
            strong = interp.maybe + len(interp.loops) <= root.depth
            root.weights = bits if strong else root.weights & ~undone(interp, bits) | bits
        return Value()
    if name in ("modules", "children", "named_modules", "named_children"):
        sequence = Sequence(kind="modules")
        interp.made(sequence, node)
        inner = Value(PARAM, thing=root)
        append(sequence, Value(items=(Value(), inner)) if name.startswith("named") else inner)
        return Value(thing=sequence)
    if name in ("register_buffer", "register_parameter") and len(given) > 1 and isinstance(given[0].const, str):
        store_attribute(interp, receiver, given[0].const, given[1], node)
        return NOTHING
    if name == "apply" and given:
        return receiver
    if name in ("register_forward_hook", "register_forward_pre_hook"):
        return None
    if name in ("forward", "__call__"):
        return union(given)
    if name in ("zero_grad", "__init__", "requires_grad_"):
        return receiver if name == "requires_grad_" else NOTHING
    return receiver if not given or name in SAME_MODEL else None


def undone(interp: Interpreter, bits: int) -> int:
    """Return the steps of this round of a loop that weights put back do not rest on, unless a loss decides it."""
    here = tuple(loop.bit for loop in interp.loops)
    if not here or interp.guard_data & NLL:
        return 0
    steps = 0
    for step, loops in interp.step_loops.items():
        if not step & bits and loops[: len(here)] == here:
            steps |= step
    return steps


def _module_list(interp: Interpreter, call: Invocation) -> Value:
    thing = Sequence(kind="modules")
    interp.made(thing, call.node)
    values = call.given if call.name == "Sequential" else [*call.given[:1]]
    for value in values:
        if call.name == "Sequential":
            append(thing, value)
        elif isinstance(value.thing, Sequence):
            for member in value.thing.members:
                append(thing, member)
            if value.thing.element is not None and not value.thing.members:
                append(thing, value.thing.element)
        elif isinstance(value.thing, Mapping):
            for member in value.thing.entries.values():
                append(thing, member)
            if value.thing.element is not None:
                append(thing, value.thing.element)
    return Value(PARAM, thing=thing)


def _parameter(interp: Interpreter, call: Invocation) -> Value:
    """``nn.Parameter(t)``: a weight inside a model, a fresh tensor outside."""
    if inside_model(interp):
        return Value(PARAM)
    thing = Array(call.node)
    interp.made(thing, call.node)
    thing.leaf = True
    return Value(LEAF | (union(call.given).bits & EVENTS), thing=thing)


def _sentencepiece(interp: Interpreter, call: Invocation) -> Value:
    instance = Instance(None, call.node)
    interp.made(instance, call.node)
    instance.bits = TEXT
    return Value(TEXT, thing=instance)


TEXT_OF_TOKENIZER = words(
    """
    id_to_piece IdToPiece id_to_token decode piece_to_id encode encode_as_ids is_byte IsByte
    is_control is_unknown is_unused vocab_size get_piece_size GetPieceSize decode_ids DecodeIds
    """
)


def tokenizer_method(interp: Interpreter, receiver: Value, name: str, given: list[Value], node: ast.AST) -> Value:
    """Methods of a tokenizer, and ``bytes.decode`` and ``str.encode`` by their names."""
    if name in ("vocab_size", "get_piece_size", "GetPieceSize", "load", "Load"):
        return Value()
    if name == "encode" and not receiver.bits & TEXT:
        return Value(receiver.bits | union(given).bits)
    if name == "encode" and isinstance(receiver.thing, Instance):
        return Value(union(given).bits | TOKEN)
    if name.startswith(("is_", "Is")):
        return Value(0)
    told = union(given).bits
    bits = (receiver.bits | told) & ~TOKEN | (TEXT if receiver.bits & TEXT else 0)
    return Value(bits | (class_of(receiver.bits, told) if told & TOKEN else 0))


FUNCTIONS: dict[str, Handler] = {
    "ModuleList": _module_list,
    "ModuleDict": _module_list,
    "ParameterList": _module_list,
    "Sequential": _module_list,
    "nn.Parameter": _parameter,
    "Parameter": _parameter,
    "SentencePieceProcessor": _sentencepiece,
}
