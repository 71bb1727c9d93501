"""Runs a submission once, at toy size, on a stream of ours, in the sandbox."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import audit
from audit.probe.noise import Stream, write_shard
from audit.probe.shrink import Toy
from audit.probe.tokenizer import byte_counts, sentencepiece_model
from reproduce.folder import SubmissionFolder
from reproduce.sandbox import GIB, MIB, Limits, Sandbox, SandboxResult

if TYPE_CHECKING:
    import numpy as np

VALIDATION_TOKENS = 16385  # 16,384 targets: whole sequences and chunks, and more than mixers wait for (10,000)
TRAIN_TOKENS = 131_072
TRAIN_SHARDS = 2
DATA_INSIDE = "/data"
PACKAGE_INSIDE = Path("/golfproof")
PROBE_LIMITS = Limits(
    wall_seconds=600,
    cpu_seconds=180,
    memory_bytes=6 * GIB,
    processes=48,
    file_bytes=GIB,
    folder_bytes=2 * GIB,
    output_bytes=32 * MIB,
)
# One rank, one thread, the same hashes every time; Triton, where it is installed, interprets its kernels.
FIXED = {
    "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "TRITON_INTERPRET": "1", "USER": "probe",
    "RUN_ID": "probe",
}  # fmt: skip


@dataclass(frozen=True)
class Launch:
    """How to run: ``environment`` is the submitted configuration, on which the toy sizes are laid."""

    toy: Toy = field(default_factory=Toy)
    seed: int = 1337
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    limits: Limits = PROBE_LIMITS
    unsafe: bool = False
    gpu: bool = False


@dataclass(frozen=True)
class Ran:
    """One run: what the sandbox saw, the log's text and where the tape lies (None where the run left none)."""

    result: SandboxResult
    log: Path
    tape: Path | None


def write_data(folder: Path, validation: np.ndarray, train: Stream, vocabulary: int) -> None:
    """Shards (``validation`` is their tokens), byte sidecar and tokenizer, under the names that trainers look for."""
    folder.mkdir(parents=True, exist_ok=True)
    size = len(train.tokens) // TRAIN_SHARDS
    for shard in range(TRAIN_SHARDS):
        tokens = train.tokens[shard * size : (shard + 1) * size]
        write_shard(folder / f"fineweb_train_{shard:06d}.bin", tokens)
    write_shard(folder / "fineweb_val_000000.bin", validation)
    import numpy as np

    counts = np.concatenate([[0], byte_counts(validation, vocabulary)])
    write_shard(folder / "fineweb_val_bytes_000000.bin", counts)
    for size in {vocabulary, 1024, 2048, 4096, 8192}:
        (folder / f"{size}.model").write_bytes(sentencepiece_model(size))


def launch(folder: SubmissionFolder, data: Path, workspace: Path, plan: Launch) -> Ran:
    """Run the trainer of ``folder`` on the shards in ``data``; ``workspace`` is made and holds all it writes."""
    workspace = workspace.resolve()
    work = workspace / "work"
    shutil.rmtree(workspace, ignore_errors=True)
    _copy(folder, work)
    tape = work / ".golfproof-tape.npz"
    inside = (lambda path: str(path)) if plan.unsafe else (lambda path: str(Path("/sandbox") / path.relative_to(work)))
    data_inside = str(data.resolve()) if plan.unsafe else DATA_INSIDE
    note = {
        "trainer": inside(work / _relative(folder)),
        "arguments": list(plan.arguments),
        "data": data_inside,
        "toy": asdict(plan.toy),
        "tape": inside(tape),
        "gpu": plan.gpu,
    }
    (work / ".golfproof-plan.json").write_text(json.dumps(note))
    package = Path(audit.__file__).resolve().parent
    environment = {
        **plan.environment,
        **FIXED,
        "SEED": str(plan.seed),
        "PYTHONPATH": str(package.parent if plan.unsafe else PACKAGE_INSIDE),
    }
    sandbox = Sandbox(
        work,
        read_only={} if plan.unsafe else {data: Path(DATA_INSIDE), package: PACKAGE_INSIDE / "audit"},
        limits=plan.limits,
        unsafe=plan.unsafe,
        gpu=plan.gpu,
    )
    result = sandbox.run(
        [sys.executable, "-P", "-m", "audit.probe.child.run", inside(work / ".golfproof-plan.json")], environment
    )
    log = workspace / "probe.log"
    log.write_text(result.output)
    return Ran(result, log, tape if tape.is_file() and not tape.is_symlink() else None)


def _relative(folder: SubmissionFolder) -> Path:
    assert folder.trainer is not None
    return folder.trainer.resolve().relative_to(Path(folder.path).resolve())


def _copy(folder: SubmissionFolder, work: Path) -> None:
    """The submission without its logs and artifacts, which a run must not lean on; links are left out."""
    root = Path(folder.path).resolve()

    def ignored(parent: str, names: list[str]) -> list[str]:
        skip = []
        for name in names:
            path = Path(parent) / name
            heavy = path.is_file() and path.stat().st_size > 8 * MIB
            if path.is_symlink() or heavy or name.endswith((".log", ".ptz", ".pt", ".png")) or name == ".git":
                skip.append(name)
        return skip

    shutil.copytree(root, work, ignore=ignored, symlinks=True)
    for path in [work, *work.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
