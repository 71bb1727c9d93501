"""Hostile trainers: none succeeds, the result says which limit ended them or what they tried, the host is unharmed."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from reproduce import sandbox
from reproduce.errors import InputError
from reproduce.sandbox import GIB, MIB, Limits, Sandbox, SandboxResult, SandboxUnavailable

# With them CI installs bubblewrap; a developer without it sees the skip and its reason.
walls = pytest.mark.skipif(sandbox.refusal() is not None, reason=str(sandbox.refusal()))
SMALL = Limits(wall_seconds=15, memory_bytes=GIB // 2, processes=24, file_bytes=8 * MIB, folder_bytes=16 * MIB,
               output_bytes=MIB)  # fmt: skip


def run(folder: Path, source: str, limits: Limits = SMALL, **options: object) -> SandboxResult:
    (folder / "train_gpt.py").write_text(source)
    return Sandbox(folder, limits=limits, **options).run([sys.executable, "train_gpt.py"])  # type: ignore[arg-type]


@walls
def test_a_plain_program_runs_and_its_output_comes_back(tmp_path: Path) -> None:
    result = run(
        tmp_path, "import sys; print('val_loss:1.5'); print('late', file=sys.stderr); open('out','w').write('x')"
    )
    assert result.ok and "val_loss:1.5" in result.output and "late" in result.output
    assert (tmp_path / "out").read_text() == "x" and result.sandboxed and result.attempts == ()


@walls
def test_password_file_and_homes_cannot_be_read(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "import os\n"
        "for path in ('/etc/shadow', '/etc/passwd', os.path.expanduser('~root') + '/.bashrc', '/home'):\n"
        "    try: print('READ', open(path).read() if path != '/home' else os.listdir(path))\n"
        "    except OSError as error: print('refused', path, type(error).__name__)\n",
    )
    assert "READ" not in result.output and result.output.count("refused") == 4
    assert "opened for reading: /etc/shadow" in result.attempts


@walls
def test_files_of_the_caller_are_out_of_sight(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("token")
    (tmp_path / "work").mkdir()
    result = run(
        tmp_path / "work",
        f"import os; print(os.path.exists({str(secret)!r}), os.listdir('/root') if os.path.isdir('/root') else [])",
    )
    assert result.output.startswith("False") and ".ssh" not in result.output and ".bash" not in result.output


@walls
def test_nothing_outside_the_writable_folder_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    target = tmp_path / "escaped"
    result = run(
        tmp_path / "work",
        f"for path in ({str(target)!r}, '/usr/lib/x', '/etc/x', '/x', '/dev/x', '../x'):\n"
        "    try: open(path, 'w').write('x'); print('WROTE', path)\n"
        "    except OSError: print('refused')\n",
    )
    assert "WROTE" not in result.output and result.output.count("refused") == 6
    assert not target.exists() and not (tmp_path / "x").exists()
    assert {"opened for writing: /etc/x", "opened for writing: /x"} <= set(result.attempts)


@walls
def test_temporary_files_can_be_made_and_are_gone_afterwards(tmp_path: Path) -> None:
    source = (
        "import tempfile; from pathlib import Path; print(tempfile.mkstemp()[1]); Path('/dev/shm/x').write_text('x')"
    )
    result = run(tmp_path, source)
    assert result.ok and result.attempts == () and not Path(result.output.strip()).exists()
    assert not Path("/dev/shm/x").exists()


@walls
def test_a_shared_folder_can_be_read_but_not_written(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "data" / "shard").write_text("tokens")
    result = run(
        tmp_path / "work",
        "print(open('/data/shard').read())\ntry: open('/data/shard', 'w')\nexcept OSError: print('refused')\n",
        read_only={tmp_path / "data": Path("/data")},
    )
    assert "tokens" in result.output and "refused" in result.output


@walls
def test_the_environment_is_empty_but_for_what_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "hunter2")
    (tmp_path / "t.py").write_text("import os; print(dict(os.environ))")
    result = Sandbox(tmp_path, limits=SMALL).run([sys.executable, "t.py"], {"SEED": "1337"})
    assert "'SEED': '1337'" in result.output and "hunter2" not in result.output and "API_TOKEN" not in result.output


@walls
def test_there_is_no_network(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "import socket\n"
        "for address in (('1.1.1.1', 80), ('192.0.2.1', 443)):\n"
        "    try: socket.create_connection(address, 1); print('CONNECTED')\n"
        "    except OSError: print('refused')\n",
    )
    assert "CONNECTED" not in result.output and result.output.count("refused") == 2
    assert any(attempt.startswith("connected to: ('1.1.1.1'") for attempt in result.attempts)


@walls
def test_processes_of_the_host_are_neither_seen_nor_signalled(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        f"import os\ntry: os.kill({os.getpid()}, 0); print('REACHED')\nexcept OSError: print('refused')\n"
        "print(len([name for name in os.listdir('/proc') if name.isdigit()]) < 5)",
    )
    assert "refused" in result.output and "True" in result.output


@walls
def test_a_fork_bomb_is_ended_and_leaves_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(0.1)\n")
    assert result.ended_by == "processes" and not _left_over(tmp_path)


@walls
def test_a_disk_filler_is_ended(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "import time\nfor number in range(10**6):\n"
        "    open(f'f{number}', 'wb').write(bytes(2 << 20)); time.sleep(0.005)\n",
    )
    assert result.ended_by == "disk"


@walls
def test_one_file_cannot_outgrow_its_limit(tmp_path: Path) -> None:
    result = run(
        tmp_path, "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nopen('f','wb').write(bytes(64 << 20))"
    )
    assert result.ended_by == "file size" and (tmp_path / "f").stat().st_size <= SMALL.file_bytes


@walls
def test_memory_beyond_the_limit_is_refused_or_ends_the_run(tmp_path: Path) -> None:
    result = run(tmp_path, "kept = []\nwhile True: kept.append(bytearray(32 << 20))\n")
    assert not result.ok and (result.ended_by == "memory" or "MemoryError" in result.output)
    assert result.peak_memory_bytes < 2 * SMALL.memory_bytes


@walls
def test_memory_is_counted_over_all_processes(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n"
        "        kept = bytearray(os.urandom(1 << 20)) * 150\n"
        "        time.sleep(60)\ntime.sleep(60)\n",
    )
    assert result.ended_by == "memory"


@walls
def test_one_that_sleeps_for_ever_and_ignores_sigterm_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    result = run(
        tmp_path,
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('up', flush=True)\ntime.sleep(3600)\n",
        Limits(wall_seconds=0.8),
    )
    assert result.ended_by == "wall time" and "up" in result.output and time.monotonic() - started < 30
    assert not _left_over(tmp_path)


@walls
def test_a_daemon_dies_with_the_run(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        time.sleep(3600)\n    os._exit(0)\n"
        "print('parent done')\n",
    )
    assert "parent done" in result.output and not _left_over(tmp_path)


@walls
def test_endless_output_is_cut_and_ended(tmp_path: Path) -> None:
    result = run(tmp_path, "import sys\nfor _ in range(10**4): sys.stdout.write('x' * (1 << 20))\n")
    assert result.ended_by == "output" and len(result.output) <= SMALL.output_bytes


@walls
def test_what_it_started_is_told(tmp_path: Path) -> None:
    result = run(tmp_path, "import subprocess; subprocess.run(['id', '-u'])")
    assert "65534" in result.output or os.geteuid() != 0
    assert any(attempt.startswith("started: id -u") for attempt in result.attempts)


@walls
def test_output_is_streamed(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    (tmp_path / "t.py").write_text("print('step:1', flush=True)\nprint('step:2', flush=True)")
    Sandbox(tmp_path, limits=SMALL).run([sys.executable, "t.py"], on_output=pieces.append)
    assert b"".join(pieces).split() == [b"step:1", b"step:2"]


def test_without_bubblewrap_it_refuses_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "refusal", lambda: "bwrap is not on the PATH: " + sandbox.INSTALL)
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap"):
        run(tmp_path, "open('ran', 'w')")
    assert not (tmp_path / "ran").exists()


def test_the_unsafe_way_is_loud_and_keeps_the_limits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = run(
        tmp_path, "import time; print('up', flush=True); time.sleep(3600)", Limits(wall_seconds=0.8), unsafe=True
    )
    assert not result.sandboxed and result.ended_by == "wall time" and "NO SANDBOX" in caplog.text


def test_a_missing_folder_is_unusable_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder the sandbox may write in"):
        Sandbox(tmp_path / "absent").run(["true"])


def _left_over(folder: Path) -> list[str]:
    """Processes that still work in ``folder``; a killed one may need a moment to be reaped."""
    deadline = time.monotonic() + 5
    while (found := _working_in(folder)) and time.monotonic() < deadline:
        pass
    return found


def _working_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if f"{folder.name}" in str((process / "mountinfo").read_text()) and process.name != str(os.getpid()):
                    found.append(process.name)
            except OSError:
                continue
    return found
