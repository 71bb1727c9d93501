"""Which function of this package answers for a function or method of a library."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import union
from audit.interpret.folding import call_pure, call_text
from audit.interpret.heap import (
    Array,
    Buffer,
    Columns,
    External,
    Function,
    Instance,
    Layer,
    Mapping,
    Optimizer,
    Parameters,
    Parser,
    Partial,
    Sequence,
    constant,
)
from audit.interpret.library import (
    arithmetic,
    files,
    networks,
    probabilities,
    python,
    surroundings,
    tables,
    training,
)
from audit.interpret.library.container_methods import mapping_method, sequence_method
from audit.interpret.library.files import buffer_method, code_found, note, path_method, read_bits, read_code
from audit.interpret.library.indexing import settled
from audit.interpret.library.invocation import Handler, Invocation
from audit.interpret.library.native import LIBRARY, call_native
from audit.interpret.library.networks import TEXT_OF_TOKENIZER, model_method, tokenizer_method
from audit.interpret.library.surroundings import parser_method
from audit.interpret.library.tensors import VIEWS, of_tensors
from audit.interpret.library.training import make_optimizer, optimizer_method
from audit.interpret.scoring import report
from audit.interpret.texts import text_of
from audit.provenance import EVENTS, MODEL, NOTHING, PARAM, UNKNOWN, Value
from audit.words import words

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter

PASS_FIRST = words(
    """
    compile DataParallel DistributedDataParallel DDP njit jit copy checkpoint no_grad
    inference_mode script disable cast ascontiguousarray asarray sync_module_states unwrap_model
    prepare wraps lru_cache cache c_void_p byref
    """
)
OPTIMIZERS = words(
    """
    Adam AdamW SGD LBFGS Adagrad RMSprop Muon NAdam RAdam Adamax Adafactor ZeroRedundancyOptimizer
    """
)
CALLBACKS = words(
    """
    Thread Process spawn submit map run start_processes launch
    """
)
KEEPS_COLUMNS = VIEWS | words(
    """
    exp exp2 log neg add sub subtract mul multiply div divide clamp clip nan_to_num unbind unstack select stack cat
    concat concatenate all_gather all_gather_object append extend list tuple print log0 size dim len
    """
)
FUNCTIONS: dict[str, Handler] = {
    **python.FUNCTIONS,
    **files.FUNCTIONS,
    **surroundings.FUNCTIONS,
    **networks.FUNCTIONS,
    **training.FUNCTIONS,
}
OPERATIONS: dict[str, Handler] = {
    **probabilities.OPERATIONS,
    **tables.OPERATIONS,
    **arithmetic.OPERATIONS,
    **files.OPERATIONS,
}


def settle(name: str, given: list[Value]) -> list[Value]:
    """Make one value of a stack that goes where nobody takes it apart again, as a sum over it does."""
    if name in KEEPS_COLUMNS or not any(isinstance(value.thing, Columns) for value in given):
        return given
    return [settled(value) if isinstance(value.thing, Columns) else value for value in given]


def operate(interp: Interpreter, call: Invocation) -> Value | None:
    """Return what an operation on data gives, be it called as a function or as a method; None for an unknown one."""
    handler = OPERATIONS.get(call.name)
    return handler(interp, call) if handler is not None else of_tensors(interp, call)


def call_library(interp: Interpreter, name: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """Return what a library function gives."""
    last = name.rsplit(".", 1)[-1]
    if interp.stacks:
        given = settle(last, given)
    this = Invocation(last, given, named, node, name)
    if name.startswith(LIBRARY):
        return call_native(interp, last, [*given, *named.values()], node)
    handler = FUNCTIONS.get(name) or FUNCTIONS.get(last)
    if handler is not None:
        result = handler(interp, this)
        if result is not None:
            return result
    if name.startswith(("builtins.", "math.")):
        consts = [g.const for g in given]
        if given and not named and all(c is not UNKNOWN for c in consts):
            folded = call_pure(last, consts)
            if folded is not UNKNOWN:
                return Value(given[0].bits, folded)
    found = operate(interp, this)
    if found is not None:
        return found
    if "lr_scheduler" in name:
        return Value()
    if last in PASS_FIRST and given:
        return given[0]
    if ".nn." in f".{name}" and last[:1].isupper() and "functional" not in name:
        return Value(PARAM, thing=interp.made(Layer(node, last), node))
    if last[:1].isupper() and ("optim" in name or last in OPTIMIZERS):
        return make_optimizer(interp, last, given, named, node)
    for argument in (*given, *named.values()) if last in CALLBACKS else ():
        if isinstance(argument.thing, Function):
            interp.call(argument, [union(given)], {}, node)
    if last == "Variable" and given and isinstance(given[0].thing, Array):
        return given[0]
    return union([*given, *named.values()])


def call_method(
    interp: Interpreter, receiver: Value, name: str, given: list[Value], named: dict[str, Value], node: ast.AST
) -> Value:
    """Return what a method of a library object gives."""
    if interp.stacks:
        receiver, *given = settle(name, [receiver, *given])
    thing = receiver.thing
    if isinstance(receiver.const, str):
        folded = call_text(receiver.const, name, [g.const for g in given], {k: v.const for k, v in named.items()})
        if folded is not UNKNOWN:
            if isinstance(folded, list):
                return Value(receiver.bits, thing=interp.made(Sequence(items=[constant(f) for f in folded]), node))
            return Value(receiver.bits | union(given).bits, folded)
        if name == "join" and given:
            return Value(union(given).bits)
    if isinstance(thing, Optimizer):
        return optimizer_method(interp, thing, name, given, node)
    if isinstance(thing, Parser):
        return parser_method(interp, thing, name, given, named, node)
    if name == "backward":
        interp.last_loss = receiver
        interp.emit("backward", node, receiver)
        return NOTHING
    if name == "step" and given and isinstance(given[0].thing, Optimizer):  # scaler.step(optimizer)
        return optimizer_method(interp, given[0].thing, name, given[1:], node)
    if name in ("info", "debug", "warning", "write", "print", "log", "error") and given:
        report(interp, given, node)
    if isinstance(thing, Buffer):
        return buffer_method(interp, receiver, thing, name, given, node)
    if isinstance(thing, Instance) and (result := model_method(interp, receiver, thing, name, given, node)) is not None:
        return result
    if (
        isinstance(thing, Mapping)
        and (result := mapping_method(interp, receiver, thing, name, given, node)) is not None
    ):
        return result
    if (
        isinstance(thing, Sequence)
        and (result := sequence_method(interp, receiver, thing, name, given, node)) is not None
    ):
        return result
    if isinstance(thing, Parameters) and name in ("items", "values", "keys"):
        return receiver
    if isinstance(thing, Layer) and name in ("parameters", "named_parameters", "to", "requires_grad_", "float"):
        owner = [thing.owner.root()] if thing.owner is not None else []
        return Value(PARAM, thing=Parameters(owner, [])) if name.endswith("parameters") else receiver
    if name in ("glob", "rglob", "joinpath", "with_suffix", "with_name") or (
        name in ("resolve", "expanduser", "absolute") and not receiver.bits & MODEL
    ):
        path = path_method(receiver, name, given)
        return path.but(bits=path.bits | code_found(interp, given, node)) if "glob" in name else path
    if name in ("read_bytes", "read_text", "read"):
        text = text_of(receiver) or ""
        opened = interp.emit("open", node, receiver, text=text, mode="r", own=isinstance(thing, External))
        bits = read_bits(interp, receiver.bits) | read_code(interp, receiver, opened)
        return Value(bits | interp.notes.get(text, 0))
    if name == "stat" and not isinstance(thing, Instance):
        return receiver  # its ``st_size`` is the file's
    if name in ("write_bytes", "write_text"):
        interp.emit("open", node, receiver, text=text_of(receiver) or "", mode="w")
        written = union(given).bits
        interp.disk |= written & EVENTS
        note(interp, receiver, written)
        return NOTHING
    if name in TEXT_OF_TOKENIZER:
        return tokenizer_method(interp, receiver, name, given, node)
    found = operate(interp, Invocation(name, [receiver, *given], named, node))
    if found is not None:
        return found
    if name == "register_forward_hook" or name == "register_forward_pre_hook":
        interp.emit("hook", node, receiver)
        for argument in given:
            if isinstance(argument.thing, Function | Partial):
                interp.call(argument, [receiver, Value(MODEL | PARAM), Value(MODEL | PARAM)], {}, node)
        return Value()
    return union([receiver, *given, *named.values()])
