"""Runs one trainer in this process, inside the sandbox: ``python -P -m audit.probe.child.run PLAN.json``."""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path
from typing import Any


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
    import numpy as np
    import torch

    from audit.probe.child import cuda, standins
    from audit.probe.child.clock import Clock
    from audit.probe.child.environment import Environment
    from audit.probe.child.files import DataFiles
    from audit.probe.child.tape import Alignment, Tape
    from audit.probe.shrink import Toy, toy_value

    torch.set_num_threads(1)
    toy = Toy(**plan["toy"])
    files = DataFiles(Path(plan["data"]), toy.vocabulary)
    environment = Environment(os.environ, lambda name, value: files.value(name, value) or toy_value(name, value, toy))
    stream = np.fromfile(Path(plan["data"]) / "fineweb_val_000000.bin", dtype="<u2")[512:]
    tape = Tape(Alignment(stream))

    standins.install()
    redirected = not (plan["gpu"] and torch.cuda.is_available())
    if redirected:
        cuda.install()
    Clock(toy.steps).install()
    files.install()
    environment.install()
    sys.stdout = _Lines(sys.stdout, tape)
    sys.argv = [plan["trainer"], *plan["arguments"]]
    sys.path.insert(0, str(Path(plan["trainer"]).resolve().parent))

    failure = ""

    def save() -> None:
        tape.save(Path(plan["tape"]), asked=environment.asked, opened=files.opened[-2000:], failure=failure)

    def stopped(*_: Any) -> None:
        raise SystemExit("stopped by the probe")

    signal.signal(signal.SIGTERM, stopped)
    mode = cuda.Redirect(tape.heard)
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
