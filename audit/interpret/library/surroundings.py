"""What a program asks of the machine around it: settings, clock, ranks, network, other processes and scripts."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import append_anywhere, union
from audit.interpret.definitions import load_module
from audit.interpret.heap import External, Instance, Mapping, ModuleThing, Parser, Sequence, constant
from audit.interpret.library.invocation import Handler, Invocation
from audit.interpret.library.native import LIBRARY
from audit.interpret.texts import setting, text_bits, text_of, texts_in
from audit.provenance import CLOCK, NOTHING, RANK, UNKNOWN, Value

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter

ENVIRONMENT = ("os.environ", "environ", "posix.environ")


def environment_variable(interp: Interpreter, name: Value, default: Value | None, node: ast.AST) -> Value:
    """Return what the submitted configuration has for an environment variable."""
    key = name.const
    if not isinstance(key, str):
        return Value()
    if key in ("RANK", "LOCAL_RANK"):
        return Value(RANK)
    if key in interp.environment:
        text = interp.environment[key]
        interp.timeline.settings[key] = (text, "run")
        return Value(text_bits(text), text)
    if key == "WORLD_SIZE":
        return constant("8")
    if default is None:
        return NOTHING if isinstance(node, ast.Call) else Value()
    if default.const is not UNKNOWN:
        interp.timeline.settings.setdefault(key, (str(default.const), "default"))
    return default


def _getenv(interp: Interpreter, call: Invocation) -> Value:
    default = call.given[1] if len(call.given) > 1 else call.named.get("default")
    return environment_variable(interp, call.given[0], default, call.node) if call.given else Value()


def _parser(interp: Interpreter, call: Invocation) -> Value:
    return Value(thing=Parser())


def parser_method(
    interp: Interpreter, thing: Parser, name: str, given: list[Value], named: dict[str, Value], node: ast.AST
) -> Value:
    if name == "add_argument" and given and isinstance(given[-1].const, str):
        flag = next((g.const for g in given if isinstance(g.const, str) and g.const.startswith("--")), given[0].const)
        key = str(named["dest"].const) if "dest" in named else flag.lstrip("-").replace("-", "_")
        default = named.get("default")
        action = named.get("action")
        if default is None:
            default = constant({"store_true": False, "store_false": True}.get(str(action.const) if action else ""))
        if key in interp.arguments:
            default = setting(interp.arguments[key])
        thing.defaults[key] = default
        return Value()
    if name == "set_defaults":
        thing.defaults.update(named)
        return Value()
    if name in ("parse_args", "parse_known_args"):
        instance = Instance(None, node)
        interp.made(instance, node)
        instance.attributes.update(thing.defaults)
        value = Value(thing=instance)
        return value if name == "parse_args" else Value(items=(value, Value()))
    return Value(thing=thing)


def _clock(interp: Interpreter, call: Invocation) -> Value:
    return Value(CLOCK)


def _rank(interp: Interpreter, call: Invocation) -> Value:
    return Value(RANK)


def _world(interp: Interpreter, call: Invocation) -> Value:
    text = interp.environment.get("WORLD_SIZE", "8")
    return constant(int(text)) if text.isdigit() else constant(8)


def _native(interp: Interpreter, call: Invocation) -> Value:
    """``ctypes.CDLL(path)``, ``cpp_extension.load(sources=[...])``: native code is loaded from files."""
    given = [*call.given, *call.named.values()]
    interp.emit("native", call.node, union(given), text=" ".join(t for v in given for t in texts_in(v))[:300])
    return Value(thing=External(LIBRARY))


def _import_module(interp: Interpreter, call: Invocation) -> Value:
    name = call.given[0].const if call.given else UNKNOWN
    if isinstance(name, str):
        local = interp.modules.get(name)
        if local is not None:
            load_module(interp, local, name, call.node)
            return Value(thing=local)
        return Value(thing=External(name))
    return Value()


def _spec_of_file(interp: Interpreter, call: Invocation) -> Value:
    """``spec_from_file_location(name, path)``: the module of that file, as its loader is to run it."""
    path = call.given[1] if len(call.given) > 1 else call.named.get("location", call.named.get("path", Value()))
    local = _module_at(interp, path)
    if local is None:
        return Value()
    load_module(interp, local, local.module.file, call.node)
    return Value(thing=local)


def _module_at(interp: Interpreter, path: Value) -> ModuleThing | None:
    """Return the module of the submission's own that a path names."""
    name = (text_of(path) or "").replace("\0", "/").rsplit("/", 1)[-1]
    return interp.modules.get(name.removesuffix(".py")) if name.endswith(".py") else None


def _module_of_spec(interp: Interpreter, call: Invocation) -> Value:
    return call.given[0] if call.given else Value()


def _run_path(interp: Interpreter, call: Invocation) -> Value:
    """``runpy.run_path("other.py", run_name="__main__")`` runs a script of the folder."""
    text = text_of(call.given[0]) if call.given else None
    if text is not None:
        name = text.rsplit("/", 1)[-1].rsplit("\0", 1)[-1].removesuffix(".py")
        local = interp.modules.get(name)
        if local is not None:
            load_module(interp, local, "__main__", call.node)
    return Value()


def _module_type(interp: Interpreter, call: Invocation) -> Value:
    """``types.ModuleType(name)``: an empty module, which some text is to fill."""
    instance = Instance(None, call.node)
    interp.made(instance, call.node)
    if call.given:
        instance.attributes["__name__"] = call.given[0]
    return Value(thing=instance)


def _exec(interp: Interpreter, call: Invocation) -> Value:
    """``exec(text, module.__dict__)`` fills a module, which can then be imported."""
    text = text_of(call.given[0]) or "" if call.given else ""
    interp.emit("exec", call.node, union(call.given), text=text)
    thing = interp.texts.get(text)
    names = call.given[1].thing if len(call.given) > 1 else None
    if thing is not None and isinstance(names, Mapping) and "__name__" in names.entries:
        name = names.entries["__name__"].const
        if isinstance(name, str) and name != "__main__":
            interp.modules[name] = thing
            interp.run_module(thing, name)
    return NOTHING


def _network(interp: Interpreter, call: Invocation) -> Value:
    texts = [t for v in (*call.given, *call.named.values()) for t in texts_in(v)]
    interp.emit("outside", call.node, union(call.given), text=" ".join(texts)[:300], how=call.name)
    return Value(union(call.given).bits)


def _all_gather(interp: Interpreter, call: Invocation) -> Value:
    """``all_gather(parts, part)``: what every rank has goes into the list."""
    parts = call.given[0] if call.given else call.named.get("tensor_list", call.named.get("object_list", Value()))
    part = call.given[1] if len(call.given) > 1 else call.named.get("tensor", call.named.get("obj", Value()))
    if isinstance(parts.thing, Sequence):
        append_anywhere(interp, parts.thing, part)
    return NOTHING


def _exec_process(interp: Interpreter, call: Invocation) -> Value:
    """A process that replaces itself: by its own script, if it names it, under the environment that is given."""
    environment: dict[str, str] = {}
    for value in (*call.given, *call.named.values()):
        if isinstance(value.thing, Mapping):
            for key, entry in value.thing.entries.items():
                if isinstance(key, str) and (text := text_of(entry)) is not None:
                    environment[key] = text
    if _runs_python(call.given) and environment not in interp.becomes:
        interp.becomes.append(environment)
    else:
        interp.emit(
            "outside",
            call.node,
            union(call.given),
            text=" ".join(t for v in call.given for t in texts_in(v))[:300],
            how=call.name,
        )
    return Value(union(call.given).bits)


def _runs_python(given: list[Value]) -> bool:
    """Say whether the program that is started is this Python, and not another one of the machine's."""
    first = given[0].thing if given else None
    return isinstance(first, External) and first.name == "sys.executable"


FUNCTIONS: dict[str, Handler] = {
    "builtins.exec": _exec,
    "builtins.eval": _exec,
    "types.ModuleType": _module_type,
    "import_module": _import_module,
    "spec_from_file_location": _spec_of_file,
    "SourceFileLoader": _spec_of_file,
    "module_from_spec": _module_of_spec,
    "run_path": _run_path,
    "run_module": _run_path,
    "time.time": _clock,
    "perf_counter": _clock,
    "monotonic": _clock,
    "os.getenv": _getenv,
    "os.environ.get": _getenv,
    "environ.get": _getenv,
    "os.environ.setdefault": _getenv,
    "get_rank": _rank,
    "get_world_size": _world,
    "device_count": _world,
    "ArgumentParser": _parser,
    "urlopen": _network,
    "urlretrieve": _network,
    "requests.get": _network,
    "requests.post": _network,
    "hf_hub_download": _network,
    "snapshot_download": _network,
    "from_pretrained": _network,
    "load_dataset": _network,
    "subprocess.run": _network,
    "subprocess.check_call": _network,
    "subprocess.check_output": _network,
    "subprocess.Popen": _network,
    "subprocess.call": _network,
    "os.system": _network,
    "all_gather": _all_gather,
    "all_gather_object": _all_gather,
    "os.execv": _exec_process,
    "os.execve": _exec_process,
    "os.execvp": _exec_process,
    "os.execvpe": _exec_process,
    "load_inline": _network,
    "CDLL": _native,
    "PyDLL": _native,
    "LoadLibrary": _native,
    "load_library": _native,
    "torch.utils.cpp_extension.load": _native,
    "cpp_extension.load": _native,
}
