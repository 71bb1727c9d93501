"""What runs beside a trainer in the sandbox: newer grammar, programs it starts, and a GPU left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from audit.probe.child import scans
from audit.probe.child.cuda import Listen, Redirect
from audit.probe.child.programs import script_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("command", "script"),
    [
        (["/usr/bin/python3", "eval.py", "--x", "1"], ["eval.py", "--x", "1"]),
        ([sys.executable, "-u", "-W", "ignore", "eval.py"], ["eval.py"]),
        (["torchrun", "--standalone", "--nproc_per_node=8", "train_gpt.py", "a"], ["train_gpt.py", "a"]),
        (["python", "-m", "torch.distributed.run", "--nproc_per_node", "8", "t.py"], ["t.py"]),
        (["python", "-c", "print(1)"], None),
        (["python", "-m", "pip", "install"], None),
        (["nvidia-smi"], None),
        ([], None),
    ],
)
def test_the_script_of_a_command_line_is_found(command: list[str], script: list[str] | None) -> None:
    assert script_of(command) == script


def run_python(source: str, *arguments: str) -> str:
    """What a program prints, in a process of its own: installing patches the interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_newer_python_runs_as_a_script_as_a_module_and_from_a_text(tmp_path: Path) -> None:
    newer = "def first[T](xs: list[T]) -> T:\n    return xs[0]\nprint(f'{first([f\"{'a'}b\"])}')\n"
    (tmp_path / "newer_module.py").write_text(newer)
    source = (
        "import sys, runpy; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n"
        "from audit.probe.child import grammar; grammar.install()\n"
        "runpy.run_path(sys.argv[1] + '/newer_module.py'); import newer_module\n"
        "def here():\n    seen = 3\n    exec(open(sys.argv[1] + '/newer_module.py').read() + 'print(seen)')\n"
        "here()\n"
    )
    assert run_python(source, str(tmp_path)).split() == ["ab", "ab", "ab", "3"]


def test_what_is_python_of_no_version_still_is_a_syntax_error() -> None:
    source = (
        "from audit.probe.child import grammar; grammar.install()\n"
        "try:\n    exec('def f(:\\n  pass')\nexcept SyntaxError:\n    print('refused')\n"
    )
    assert run_python(source) == "refused\n"


def test_where_there_is_a_gpu_a_device_stays_what_it_is() -> None:
    heard = []

    def listener(function: object, args: object, kwargs: dict[str, object], result: object) -> object:
        heard.append((getattr(function, "__name__", ""), kwargs.get("device")))
        return result

    with Listen(listener):
        torch.zeros(2, device="meta").sum()
    assert ("zeros", "meta") in heard and any(name == "sum" for name, _ in heard)
    with Redirect():
        assert torch.zeros(2, device="cuda").device.type == "cpu"


def test_an_optimiser_asks_no_accelerator_of_a_build_whose_driver_is_missing() -> None:
    source = (
        "import torch\ncuda = torch.device('cuda')\n"
        "torch.accelerator.current_accelerator = lambda check_available=False: cuda\n"
        "from audit.probe.child.cuda import Redirect, install\ninstall()\n"
        "weight = torch.nn.Parameter(torch.zeros(2))\noptimizer = torch.optim.Adam([weight])\n"
        "with Redirect():\n    weight.sum().backward()\n    optimizer.step()\nprint('stepped')\n"
    )
    assert run_python(source) == "stepped\n"


@pytest.mark.slow
def test_with_a_gpu_nothing_is_put_in_place_of_cuda(tmp_path: Path) -> None:
    """A stand-in says that there is a GPU; the trainer prints whether torch is still torch."""
    from audit.probe.launch import write_data
    from audit.probe.noise import Source
    from audit.probe.shrink import Toy

    stream = Source("spike").draw(3000, 1)
    write_data(tmp_path / "data", stream.tokens, stream, 1024)
    (tmp_path / "train_gpt.py").write_text(
        "import torch\nprint(torch.device.__module__, torch.bfloat16, torch.inference_mode.__module__)\n"
    )
    note = {
        "trainer": str(tmp_path / "train_gpt.py"), "arguments": [], "data": str(tmp_path / "data"),
        "toy": Toy().__dict__, "gpu": True, "evaluation": None,
    }  # fmt: skip
    (tmp_path / ".golfproof-plan-0.json").write_text(json.dumps(note))
    source = (
        "import sys, torch\ntorch.cuda.is_available = lambda: True\n"
        "from audit.probe.child.run import main\nmain(sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, str(tmp_path / ".golfproof-plan-0.json")],
        capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "torch torch.bfloat16 torch.autograd.grad_mode"


def test_code_is_counted_and_data_are_got_without_the_programs_and_the_network_for_it(tmp_path: Path) -> None:
    """A module of the hub's name stands for it: its downloads fail, as they do without a network."""
    (tmp_path / "huggingface_hub.py").write_text(
        "def snapshot_download(**asked):\n    raise OSError('no network')\nhf_hub_download = snapshot_download\n"
    )
    data = tmp_path / "data"
    data.mkdir()
    for name in ("fineweb_train_000000.bin", "1024.model"):
        (data / name).write_bytes(b"")
    source = (
        "import sys, shutil, subprocess; from pathlib import Path\n"
        "from audit.probe.child import standins; from audit.probe.child.files import DataFiles\n"
        "standins.install(nvidia_smi=False); DataFiles(Path(sys.argv[1]) / 'data', 1024).install()\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "shutil.which = lambda name: None\n"
        "print(subprocess.run(['pyminify', '-'], input=b'x = 1', capture_output=True, check=True).stdout)\n"
        "from huggingface_hub import snapshot_download, hf_hub_download\n"
        "print(snapshot_download(repo_id='a/b', local_dir=sys.argv[1] + '/asked')[-5:])\n"
        "print(hf_hub_download(repo_id='a/b', filename='fineweb_1024_bpe.model')[-10:])\n"
        "try:\n    hf_hub_download(repo_id='a/b', filename='weights.pt')\nexcept OSError as error:\n    print(error)\n"
    )
    assert run_python(source, str(tmp_path)).splitlines() == ["b'x = 1'", "asked", "1024.model", "no network"]


def test_the_scans_of_state_space_layers_agree_with_each_other_and_see_no_later_token() -> None:
    torch.manual_seed(0)
    x, dt = torch.randn(2, 9, 3, 4), torch.rand(2, 9, 3)
    a, b, c = -torch.rand(3), torch.randn(2, 9, 1, 5), torch.randn(2, 9, 1, 5)
    y = scans.mamba_chunk_scan_combined(x, dt, a, b, c)
    wide = lambda t: t.repeat_interleave(4, -1).transpose(1, 2)  # noqa: E731 - a head is four channels alike
    other = scans.selective_scan_fn(
        x.reshape(2, 9, 12).transpose(1, 2), wide(dt), a.repeat_interleave(4)[:, None].expand(12, 5),
        b[:, :, 0].transpose(1, 2), c[:, :, 0].transpose(1, 2),
    )  # fmt: skip
    assert torch.allclose(y.reshape(2, 9, 12), other.transpose(1, 2), atol=1e-5)
    changed = x.clone()
    changed[:, 6:] += 1
    assert torch.equal(scans.mamba_chunk_scan_combined(changed, dt, a, b, c)[:, :6], y[:, :6])


def test_a_causal_convolution_is_that_of_the_last_tokens() -> None:
    x, weight = torch.arange(12.0).reshape(1, 2, 6), torch.tensor([[1.0, 10.0], [0.0, 1.0]])
    assert scans.causal_conv1d_fn(x, weight).tolist() == [[[0, 10, 21, 32, 43, 54], [6, 7, 8, 9, 10, 11]]]
