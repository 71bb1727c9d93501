"""Follows the Python programs that a trainer starts or turns into, so that the tape hears what they score."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LAUNCHERS = ("torch.distributed.run", "torch.distributed.launch", "accelerate.commands.launch")


def script_of(command: Sequence[str]) -> list[str] | None:
    """The script and its arguments that a command line runs with Python, directly or by torchrun; None for any other.

    ``python [-u ...] file.py ...``, ``python -m torch.distributed.run [options] file.py ...`` and ``torchrun ...``.
    """
    words = list(command)
    if not words:
        return None
    program = words[0].rsplit("/", 1)[-1]
    if program.startswith("python") or words[0] == sys.executable:
        rest = words[1:]
        while rest and rest[0].startswith("-") and rest[0] not in ("-c", "-m"):
            rest = rest[2:] if rest[0] in ("-W", "-X") else rest[1:]
        if rest[:1] == ["-m"] and rest[1:2] and rest[1] in LAUNCHERS:
            return _launched(rest[2:])
        return rest if rest and rest[0].endswith(".py") else None
    return _launched(words[1:]) if program == "torchrun" else None


def _launched(words: list[str]) -> list[str] | None:
    """What stands after a launcher's own options."""
    for index, word in enumerate(words):
        if word.endswith(".py") and not word.startswith("-"):
            return words[index:]
    return None


class Programs:
    """``prepare(script, arguments)`` writes a plan for a program and gives the command line that runs it, or None to
    let it run unheard; ``leave`` is called before this process becomes another."""

    def __init__(self, prepare: Callable[[str, list[str]], list[str] | None], leave: Callable[[], None]) -> None:
        self._prepare, self._leave = prepare, leave

    def _rewritten(self, command: Any, folder: Any = None) -> list[str] | None:
        if not isinstance(command, (list, tuple)):
            return None
        found = script_of([os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in command])
        if found is None:
            return None
        path = Path(os.fspath(folder) if folder is not None else ".") / found[0]
        return self._prepare(str(path.resolve()), found[1:]) if path.is_file() else None

    def install(self) -> None:
        """Patch subprocess.Popen and os.exec*."""
        start, execve = subprocess.Popen.__init__, os.execve

        def started(process: Any, args: Any, *rest: Any, **kwargs: Any) -> None:
            command = None if kwargs.get("shell") else self._rewritten(args, kwargs.get("cwd"))
            if command is not None:
                kwargs["env"] = _shown(kwargs.get("env"))
            start(process, args if command is None else command, *rest, **kwargs)

        def become(path: Any, args: Any, env: Any = None) -> None:
            command = self._rewritten([os.fspath(path), *args[1:]])
            self._leave()
            if command is None:
                execve(path, list(args), dict(os.environ if env is None else env))
            else:
                execve(command[0], command, _shown(env))

        subprocess.Popen.__init__ = started  # type: ignore[method-assign]
        os.execve = os.execvpe = become
        os.execv = os.execvp = become
        os.execl = os.execlp = lambda path, *args: become(path, args)
        os.execle = os.execlpe = lambda path, *args: become(path, args[:-1], args[-1])


def _shown(env: Any) -> dict[str, str]:
    """The environment for a program of ours: with the way to our modules, whatever the trainer leaves out."""
    given = dict(os.environ if env is None else env)
    return {**given, "PYTHONPATH": os.environ["PYTHONPATH"]}
