"""Runs one trainer in this process, inside the sandbox: ``python -P -m audit.probe.child.run PLAN.json``."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

TAPE = ".golfproof-tape-{}.npz"  # one a process, in the order in which they began
SWEPT = ".golfproof-swept-{}.npz"  # one a token that the last was replaced by
PLAN = ".golfproof-plan-{}.json"
MARKER = ".golfproof-evaluating"


class _Lines:
    """Standard output that tells the tape each metric line."""

    def __init__(self, stream: Any, tape: Any) -> None:
        self._stream, self._tape = stream, tape

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._tape.mark(line)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def main(plan_path: str) -> None:
    """Install the redirection, the toy settings, the clock and the tape; run; save the tape whatever happens."""
    plan = json.loads(Path(plan_path).read_text())
    process = int(Path(plan_path).stem.rsplit("-", 1)[-1])
    folder = Path(plan_path).parent
    import numpy as np
    import torch

    from audit.probe.child import constants, cuda, grammar, standins
    from audit.probe.child.arguments import Arguments
    from audit.probe.child.clock import Clock
    from audit.probe.child.environment import Environment
    from audit.probe.child.evaluation import Evaluation
    from audit.probe.child.files import DataFiles
    from audit.probe.child.programs import Programs
    from audit.probe.child.sweep import fork_each, replace_last, write_changed
    from audit.probe.child.tape import Alignment, Tape
    from audit.probe.shrink import Toy, fixed_value, toy_value

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # vanishing numbers cost a CPU a hundred times as much
    toy, data = Toy(**plan["toy"]), Path(plan["data"])
    files = DataFiles(data, toy.vocabulary)

    def given(name: str, value: str | None) -> str | None:
        return files.value(name, value) or toy_value(name, value, toy)

    environment, options = Environment(os.environ, given), Arguments(given)
    fixed: dict[str, tuple[str, str]] = {}  # sizes of the code itself
    stream = np.fromfile(data / "fineweb_val_000000.bin", dtype="<u2")[512:]
    saved = folder / TAPE.format(process)

    def sweep(tokens: list[int]) -> None:
        """Go on once for each token in the place of the last; each copy's tape bears the token in its name."""
        nonlocal saved
        token = fork_each(tokens)
        if token is not None:
            saved = folder / SWEPT.format(token)
            replace_last(stream, token)
            shard = data / "fineweb_val_000000.bin"
            files.changed[shard.name] = str(write_changed(shard, folder / ".golfproof-swept", token))
            tape.change_last(token)

    evaluation = Evaluation(plan["evaluation"], process, folder / MARKER, data, sweep)
    tape = Tape(Alignment(stream), evaluation.heard)
    files.moment, files.listener = tape.moment, evaluation.opened

    failure = ""

    def save() -> None:
        asked = {**fixed, **options.asked, **environment.asked}
        tape.save(saved, asked=asked, opened=files.opened, failure=failure)

    def prepare(script: str, arguments: list[str]) -> list[str]:
        number = process + 1
        while (folder / PLAN.format(number)).exists():
            number += 1
        path = folder / PLAN.format(number)
        path.write_text(json.dumps({**plan, "trainer": script, "arguments": arguments}))
        return [sys.executable, "-P", "-m", "audit.probe.child.run", str(path)]

    redirected = not (plan["gpu"] and torch.cuda.is_available())
    Programs(prepare, save).install()
    standins.install(nvidia_smi=redirected)
    if redirected:
        cuda.install()

    def change(tree: ast.Module) -> None:
        def anywhere(name: str, value: str | None) -> str | None:
            return fixed_value(name, value, toy)

        fixed.update(constants.smaller(tree, given if toy.constants else anywhere, anywhere))

    grammar.install(change if toy.fixed else None)
    Clock(toy.steps).install()
    files.install()
    environment.install()
    options.install()
    sys.stdout = _Lines(sys.stdout, tape)
    sys.argv = [plan["trainer"], *plan["arguments"]]
    sys.path.insert(0, str(Path(plan["trainer"]).resolve().parent))
    if process == 0:
        os.chdir(Path(plan["trainer"]).parent)

    def stopped(*_: Any) -> None:
        raise SystemExit("stopped by the probe")

    signal.signal(signal.SIGTERM, stopped)
    mode: contextlib.AbstractContextManager[Any] = cuda.Redirect(tape.heard) if redirected else cuda.Listen(tape.heard)
    try:
        with mode:
            runpy.run_path(plan["trainer"], run_name="__main__")
    except SystemExit as error:
        if error.code not in (None, 0):
            failure = f"SystemExit: {error.code}"
    except BaseException as error:
        failure = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    finally:
        save()
    sys.exit(1 if failure else 0)


if __name__ == "__main__":
    main(sys.argv[1])
