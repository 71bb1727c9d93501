"""Runs a submission once, at toy size, on a stream of ours, in the sandbox."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import audit
from audit.probe.child.run import MARKER, PLAN, SWEPT, TAPE
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
MAX_PROGRAMS = 32  # that a trainer starts and whose tapes are read
WATCH_SECONDS = 0.02
DATA_INSIDE = "/data"
ENTRY = Path("records/track/entry")  # as deep in the writable folder as a submission lies in the contest's repository
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
ONE_RANK = {
    "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}  # fmt: skip
FIXED = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "TRITON_INTERPRET": "1", "USER": "probe",
    "RUN_ID": "probe",
}  # fmt: skip


@dataclass(frozen=True)
class Launch:
    """How to run: ``environment`` is the submitted configuration, on which the user's own ``extra`` and the toy sizes
    are laid.

    ``ranks`` gives the variables that torchrun sets. ``evaluation`` says when the training shards are taken away, as
    audit/probe/isolation.py writes it; None leaves them.
    """

    toy: Toy = field(default_factory=Toy)
    seed: int = 1337
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    limits: Limits = PROBE_LIMITS
    unsafe: bool = False
    gpu: bool = False
    ranks: bool = True
    evaluation: Mapping[str, object] | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ran:
    """One run: what the sandbox saw, the log's text, the tapes of its processes in the order in which they began, and
    whether the training shards were taken away."""

    result: SandboxResult
    log: Path
    tapes: tuple[Path, ...]
    removed: bool = False
    swept: Mapping[int, Path] = field(default_factory=dict)  # token -> tape of the run with it as the last


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
    """Run the trainer of ``folder`` on the shards in ``data``, from which a plan with ``evaluation`` takes the training
    shards; ``workspace`` is made and holds all it writes."""
    workspace = workspace.resolve()
    work = workspace / "work"
    shutil.rmtree(workspace, ignore_errors=True)
    work.mkdir(parents=True)
    _copy(folder, work / ENTRY)
    inside = (lambda path: str(path)) if plan.unsafe else (lambda path: str(Path("/sandbox") / path.relative_to(work)))
    data_inside = str(data.resolve()) if plan.unsafe else DATA_INSIDE
    note = {
        "trainer": inside(work / ENTRY / _relative(folder)),
        "arguments": list(plan.arguments),
        "data": data_inside,
        "toy": asdict(plan.toy),
        "gpu": plan.gpu,
        "evaluation": plan.evaluation,
    }
    first = work / PLAN.format(0)
    first.write_text(json.dumps(note))
    package = Path(audit.__file__).resolve().parent
    environment = {
        **plan.environment,
        **plan.extra,
        **FIXED,
        **(ONE_RANK if plan.ranks else {}),
        "SEED": str(plan.seed),
        "PYTHONPATH": str(package.parent if plan.unsafe else PACKAGE_INSIDE),
    }
    shown = {data: Path(DATA_INSIDE), package: PACKAGE_INSIDE / "audit"}
    sandbox = Sandbox(
        work, read_only={} if plan.unsafe else shown, limits=plan.limits, unsafe=plan.unsafe, gpu=plan.gpu
    )
    with _without_training(work / MARKER, data) as removed:
        result = sandbox.run([sys.executable, "-P", "-m", "audit.probe.child.run", inside(first)], environment)
    log = workspace / "probe.log"
    log.write_text(result.output)
    found = (work / TAPE.format(number) for number in range(MAX_PROGRAMS))
    tapes = tuple(path for path in found if path.is_file() and not path.is_symlink())
    swept = {
        token: path
        for token in range(plan.toy.vocabulary)
        if (path := work / SWEPT.format(token)).is_file() and not path.is_symlink()
    }
    return Ran(result, log, tapes, removed.is_set(), swept)


@contextmanager
def _without_training(marker: Path, data: Path) -> Iterator[threading.Event]:
    """Takes the training shards out of ``data`` once ``marker`` is there; the event says whether that came to pass."""
    over, removed = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            if marker.exists():
                for shard in data.glob("fineweb_train_*"):
                    shard.unlink()
                removed.set()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield removed
    finally:
        over.set()
        watcher.join()


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
