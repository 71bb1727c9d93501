"""Paths, files and buffers: what is read is what the name promises, what is written can come back."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import deep_bits, union
from audit.interpret.heap import Array, Buffer, External, Instance, Template, constant
from audit.interpret.library.invocation import Handler, Invocation
from audit.interpret.texts import joined_bits, names_code, text_of
from audit.provenance import ARTIFACT, BYTES, EVENTS, MODEL, NLL, NOTHING, PARAM, TOKEN, TRAIN, UNKNOWN, VAL, Value

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def _open(interp: Interpreter, call: Invocation) -> Value:
    path = call.given[0] if call.given else call.named.get("file", Value())
    mode = call.given[1] if len(call.given) > 1 else call.named.get("mode", constant("r"))
    writes = isinstance(mode.const, str) and any(c in mode.const for c in "wax")
    opened = interp.emit(
        "open", call.node, path, text=text_of(path) or "", mode=mode.const if isinstance(mode.const, str) else "?"
    )
    thing = Buffer(path, not writes)
    thing.bits = 0 if writes else path.bits & (VAL | TRAIN | BYTES) | interp.notes.get(text_of(path) or "", 0)
    if not writes:
        thing.bits |= read_code(interp, path, opened)
    return Value(thing.bits, thing=thing)


def read_code(interp: Interpreter, path: Value, opened: int) -> int:
    """Return the bit by which what is read from a file of code is known again, when it is executed or measured."""
    if not names_code(path):
        return path.bits & interp.source_bits
    interp.source_bits |= opened
    return opened


def _getsize(interp: Interpreter, call: Invocation) -> None:
    if call.given:
        interp.emit("sized", call.node, call.given[0], text=text_of(call.given[0]) or "")


def _stat(interp: Interpreter, call: Invocation) -> Value | None:
    return call.given[0] if call.given else None


def _path(interp: Interpreter, call: Invocation) -> Value:
    """``Path(...)`` and ``os.path.join(...)``: texts joined."""
    texts = [text_of(g) for g in call.given]
    if call.given and all(isinstance(g.const, str) for g in call.given):
        text = "/".join(str(g.const) for g in call.given)
        return Value(joined_bits(union(call.given).bits, text), text)
    if texts and any(texts):
        text = "/".join(t if t is not None else "\0" for t in texts)
        return Value(joined_bits(union(call.given).bits, text), thing=Template(text))
    return Value(
        union(call.given).bits,
        thing=call.given[0].thing if call.given and isinstance(call.given[0].thing, External) else None,
    )


def _text(interp: Interpreter, call: Invocation) -> Value | None:
    """``str(path)``: what is known of the path's text."""
    return call.given[0] if call.given and isinstance(call.given[0].thing, Template) else None


def _glob(interp: Interpreter, call: Invocation) -> Value:
    found = union(call.given).bits & (VAL | TRAIN | BYTES)
    return Value(found | code_found(interp, call.given, call.node))


def code_found(interp: Interpreter, given: list[Value], node: ast.AST) -> int:
    """``root.rglob("*.py")``: return the bit of the files of code that a pattern finds, if it finds any."""
    pattern = given[0] if given else Value()
    if not names_code(pattern):
        return 0
    return read_code(interp, pattern, interp.emit("open", node, pattern, text=text_of(pattern) or "", mode="r"))


def path_method(receiver: Value, name: str, given: list[Value]) -> Value:
    """Methods of a path: the bits of its text go on."""
    texts = [text_of(receiver), *(text_of(g) for g in given)]
    bits = receiver.bits | union(given).bits
    if name in ("resolve", "expanduser", "absolute"):
        return receiver
    if isinstance(receiver.const, str) and given and isinstance(given[0].const, str):
        text = f"{receiver.const}/{given[0].const}"
        return Value(joined_bits(bits, text), text if name == "joinpath" else UNKNOWN)
    for part in texts:
        bits = joined_bits(bits, part) if part else bits
    last = texts[-1] if given and name in ("joinpath", "with_name") else None
    return Value(bits, thing=Template(f"\0/{last}") if last else None)


def _named_beside(interp: Interpreter, call: Invocation) -> Value:
    """``Path(__file__).with_name(...)`` and ``.joinpath(...)``: a file beside the script."""
    return path_method(Value(), call.name, call.given)


def read_bits(interp: Interpreter, bits: int) -> int:
    """What reading a file of that name gives."""
    if bits & BYTES:
        return BYTES
    if bits & (VAL | TRAIN):
        return (bits & (VAL | TRAIN)) | TOKEN
    return ARTIFACT | interp.disk


def note(interp: Interpreter, path: Value, bits: int) -> None:
    """Remember that a score was written to a file: who reads that file reads the score."""
    name = text_of(path)
    if name and bits & NLL and bits & VAL:
        interp.notes[name] = interp.notes.get(name, 0) | bits


def buffer_method(
    interp: Interpreter, receiver: Value, thing: Buffer, name: str, given: list[Value], node: ast.AST
) -> Value:
    if name == "write" and given:
        bits = deep_bits(given[0])
        thing.bits |= bits & (EVENTS | VAL | TRAIN | TOKEN)
        interp.disk |= bits & EVENTS
        note(interp, thing.path, bits)
        if bits & VAL and bits & TOKEN:
            interp.emit("save", node, union(given))
        return NOTHING
    if name in ("read", "getvalue", "getbuffer", "readlines", "read1"):
        if name == "read" and thing.path.bits & (VAL | TRAIN):
            return Value((thing.path.bits & (VAL | TRAIN)) | TOKEN)
        return Value(thing.bits | (read_bits(interp, thing.path.bits) if thing.reads else 0))
    return receiver if name in ("__enter__", "seek") else Value(thing.bits)


def _fromfile(interp: Interpreter, call: Invocation) -> Value:
    """``np.fromfile(path)``, ``np.memmap``, ``np.load``, ``torch.load``: the data that the name promises."""
    source = union(call.given[:1])
    count = call.named.get("count")
    if count is not None and type(count.const) is int and 0 < count.const <= 4096:
        return Value()  # a header
    bits = source.bits & ~(PARAM | MODEL) | (interp.notes.get(text_of(call.given[0]) or "", 0) if call.given else 0)
    if not bits & EVENTS or bits & (VAL | TRAIN):
        bits |= read_bits(interp, bits)
    return Value(bits, loops=source.loops, trail=source.trail)


def _save(interp: Interpreter, call: Invocation) -> Value:
    """``torch.save(x, f)``, ``np.save(f, x)``, ``pickle.dump``: what goes to disk can come back."""
    bits = 0
    for value in (*call.given, *call.named.values()):
        bits |= deep_bits(value)
    for value in call.given:
        if text_of(value):
            note(interp, value, bits)
        if isinstance(value.thing, Buffer | Array | Instance):
            value.thing.bits |= bits & (EVENTS | VAL | TOKEN | PARAM)
        if isinstance(value.thing, Buffer):
            note(interp, value.thing.path, bits)
    interp.disk |= bits & EVENTS
    interp.emit("save", call.node, Value(bits))
    return Value(const=None)


def _move(interp: Interpreter, call: Invocation) -> Value:
    """``os.replace(a, b)``: what is known of the file goes by its new name."""
    names = [text_of(g) for g in call.given[:2]]
    if len(names) == 2 and names[0] and names[1] and names[0] in interp.notes:
        note(interp, call.given[1], interp.notes[names[0]])
    return NOTHING


def _buffer(interp: Interpreter, call: Invocation) -> Value:
    thing = Buffer(Value(), False)
    interp.made(thing, call.node)
    thing.bits = deep_bits(call.given[0]) if call.given else 0
    return Value(thing.bits, thing=thing)


FUNCTIONS: dict[str, Handler] = {
    "builtins.open": _open,
    "io.open": _open,
    "builtins.str": _text,
    "os.fspath": _text,
    "with_name": _named_beside,
    "joinpath": _named_beside,
    "os.path.getsize": _getsize,
    "os.stat": _stat,
    "glob.glob": _glob,
    "glob.iglob": _glob,
    "glob": _glob,
    "rglob": _glob,
    "pathlib.Path": _path,
    "pathlib.PurePath": _path,
    "os.path.join": _path,
    "os.replace": _move,
    "os.rename": _move,
    "shutil.move": _move,
    "shutil.copy": _move,
}


OPERATIONS: dict[str, Handler] = {
    "fromfile": _fromfile,
    "memmap": _fromfile,
    "from_file": _fromfile,
    "frombuffer": _fromfile,
    "load": _fromfile,
    "loads": _fromfile,
    "save": _save,
    "savez": _save,
    "savez_compressed": _save,
    "dump": _save,
    "save_file": _save,
    "tofile": _save,
    "BytesIO": _buffer,
    "StringIO": _buffer,
}
