"""Runs a command in the sandbox with its output on our own, so that the harness watches it like any other run.

As a program: ``python confine.py SPEC`` with a JSON object: argv, writable, cwd (a folder in it), environment,
read_only, memory_bytes, gpu. It ends with the exit code of the command, or 125 where a limit of the sandbox ended it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ENDED_BY_SANDBOX = 125
TRIED = "sandbox: it tried:"


def confined(
    argv: tuple[str, ...], *, writable: Path, cwd: Path, environment: dict[str, str], data: Mapping[str, str], gpu: bool
) -> tuple[str, ...]:
    """The command that runs ``argv`` in ``cwd``: only ``writable`` can be written, there is no network.

    ``data`` maps what is shown, read only, to its place below ``cwd``.
    """
    inside = Path("/sandbox") / cwd.relative_to(writable)
    spec = {
        "argv": list(argv),
        "writable": str(writable.resolve()),
        "cwd": cwd.relative_to(writable).as_posix(),
        "environment": environment,
        "read_only": {outside: str(inside / place) for outside, place in data.items()},
        "memory_bytes": _memory(),
        "gpu": gpu,
    }
    return (sys.executable, "-I", __file__, json.dumps(spec))


def visible_data(data: Path, *, hide_training: bool) -> dict[str, str]:
    """What of the folder ``data`` is shown as ``data``: all of it, or only the files without "train" in their name."""
    data = data.resolve()
    if not hide_training:
        return {str(data): "data"}
    files = [path for path in sorted(data.rglob("*")) if path.is_file()]
    shown = [path for path in files if "train" not in path.relative_to(data).as_posix().lower()]
    return {str(path): f"data/{path.relative_to(data).as_posix()}" for path in shown}


def require_readable(data: Path) -> None:
    """Raise InputError for data that the sandbox cannot show: it runs as nobody when we are root."""
    from reproduce.errors import InputError  # this file is a program too, which finds the package only in main

    if os.geteuid() != 0:
        return
    for path in (data, *sorted(data.rglob("*"))):
        wanted = 0o5 if path.is_dir() else 0o4
        if path.stat().st_mode & wanted != wanted:
            raise InputError(
                path, "data that everybody may read, as the sandbox is nobody", "one only you may read; chmod -R o+rX"
            )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4


def _open_files() -> int:
    return min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def main() -> None:
    """Run the command that the specification names; see the module."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    spec = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="names-") as folder:
        # torchrun's processes find each other by name; of the machine's own names and resolvers nothing is shown.
        hosts, switch = Path(folder, "hosts"), Path(folder, "nsswitch.conf")
        hosts.write_text("127.0.0.1 localhost sandbox\n::1 localhost\n")
        switch.write_text("hosts: files\n")
        code = _run(spec, {hosts: Path("/etc/hosts"), switch: Path("/etc/nsswitch.conf")})
    sys.exit(code)


def _run(spec: dict[str, Any], names: dict[Path, Path]) -> int:
    from reproduce.sandbox import GIB, Limits, Sandbox

    box = Sandbox(
        Path(spec["writable"]),
        read_only={
            **names,
            **{Path(outside): Path(inside) for outside, inside in spec["read_only"].items()},
        },
        # Time is the harness's to limit. Trainers fork compilers and load workers by the hundred.
        limits=Limits(
            wall_seconds=30 * 24 * 3600.0, memory_bytes=spec["memory_bytes"], processes=2048, folder_bytes=64 * GIB,
            file_bytes=16 * GIB, output_bytes=256 << 20, open_files=_open_files(),
        ),
        gpu=spec["gpu"],
    )  # fmt: skip
    go = ("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", spec["cwd"], *spec["argv"])
    result = box.run(go, spec["environment"], on_output=_pass_on)
    for attempt in result.attempts:
        _pass_on(f"{TRIED} {attempt}\n".encode())
    if result.ended_by is not None:
        _pass_on(f"sandbox: ended by its limit on {result.ended_by}\n".encode())
        return ENDED_BY_SANDBOX
    return result.returncode if result.returncode >= 0 else 128 - result.returncode


def _pass_on(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
