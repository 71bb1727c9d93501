"""Turns a run command, the author's or the user's, into the arguments and variables that are executed."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from reproduce.errors import InputError
from reproduce.run_command import RunCommand

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_NPROC = re.compile(r"--nproc[-_]per[-_]node(=|$)")
# Variables that act on programs before any sandbox is up; an author has no reason to set them.
_LOADER = re.compile(r"LD_.*|DYLD_.*|PATH|BASH_ENV|ENV|GOLFPROOF_RUN")


@dataclass(frozen=True)
class Launch:
    """``argv`` as written (not yet resolved), the variables set in front of it, and remarks on how it was read."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One shell line that means the same."""
        return " ".join([*(f"{k}={shlex.quote(v)}" for k, v in self.env.items()), shlex.join(self.argv)])


def parse_launch(text: str) -> Launch:
    """Read ``A=1 B=2 torchrun ... train_gpt.py``, as --command gives it; anything but one command raises InputError."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError as error:
        raise InputError("--command", "a shell command", f"{text!r} ({error})") from error
    if any(set(word) <= set("|&;<>") for word in words):
        raise InputError("--command", "one command without pipes or redirections (the log is kept anyway)", repr(text))
    env: dict[str, str] = {}
    while words and _ASSIGNMENT.match(words[0]):
        name, value = words.pop(0).split("=", 1)
        env[name] = value
    if not words:
        raise InputError("--command", "a command such as 'python train_gpt.py'", repr(text))
    return Launch(tuple(words), {name: value for name, value in env.items() if name != "SEED"})


def author_launch(written: RunCommand | None, trainer: Path, folder: Path) -> Launch:
    """What an entry's own README starts, else ``python <trainer>``.

    Only python and torchrun are taken from a stranger's text; relative paths in its variables are made absolute where
    they lead to something that exists, because the run happens in a copy of the folder.
    """
    script = trainer.relative_to(folder).as_posix()
    plain = ("python", script)
    if written is None:
        return Launch(plain, notes=(f"no run command found: python {script}",))
    env = {
        name: _absolute(value, folder)
        for name, value in written.environment.items()
        if name != "SEED" and not _LOADER.fullmatch(name)  # SEED is ours to set
    }
    program = Path(written.program).name
    if written.script_name != trainer.name or not (_PYTHON.fullmatch(program) or program == "torchrun"):
        note = f"the run command of {written.file} starts {program} {written.script_name}: python {script} instead"
        return Launch(plain, env, (note,))
    return Launch((program, *written.launcher_arguments, written.script, *written.arguments), env)


def resolve(
    launch: Launch, folder: Path, *, python: str | None = None, processes: int | None = None
) -> tuple[str, ...]:
    """The arguments to execute in ``folder``: this interpreter for python and torchrun, and the script there.

    ``processes`` replaces torchrun's ``--nproc_per_node``. Raises InputError where the script is not in the folder.
    """
    python = python or sys.executable
    program, *rest = launch.argv
    name = Path(program).name
    if _PYTHON.fullmatch(name):
        argv = [python, *rest]
    elif name == "torchrun":
        argv = [python, "-m", "torch.distributed.run", *rest]
    else:
        argv = [program, *rest]
    if processes is not None:
        argv = _with_processes(argv, processes)
    for index, word in enumerate(argv[1:], start=1):
        if word.endswith(".py") and not word.startswith("-"):
            argv[index] = _script_here(word, folder)
            break
    return tuple(argv)


def requested_processes(launch: Launch) -> int | None:
    """How many processes a node the command asks torchrun for; None where it does not say."""
    argv = list(launch.argv)
    for index, word in enumerate(argv):
        if _NPROC.match(word):
            value = word.split("=", 1)[1] if "=" in word else (argv[index + 1] if index + 1 < len(argv) else "")
            return int(value) if value.isdigit() else None
    return None


def _script_here(word: str, folder: Path) -> str:
    """A script as it lies in ``folder``: authors name it from the contest's root, ``records/<track>/<entry>/...``."""
    parts = PurePosixPath(word).parts
    for start in range(len(parts)):
        here = PurePosixPath(*parts[start:])
        if not here.is_absolute() and ".." not in here.parts and (folder / here).is_file():
            return here.as_posix()
    raise InputError(folder, f"the script {word!r} that the run command names", "none")


def _with_processes(argv: list[str], processes: int) -> list[str]:
    result: list[str] = []
    skip = False
    for word in argv:
        if skip:
            skip = False
            continue
        if _NPROC.match(word):
            skip = "=" not in word
            result.append(f"--nproc_per_node={processes}")
        else:
            result.append(word)
    return result


def _absolute(value: str, folder: Path) -> str:
    if value.startswith(("./", "../")) and (folder / value).exists():
        return str((folder / value).resolve())
    return value
