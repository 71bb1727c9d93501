"""The phases of a run: train, write the artifact, then evaluate it in a process that never saw the training data."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from submission.accounting import code_hash, measure, require_fit
from submission.artifact import load, pack, save
from submission.config import Config, load_config
from submission.corpus import embedded
from submission.data import ByteTable, Tokens, byte_table, read_split, shard_paths, unigram_entropy
from submission.distributed import World, barrier, free_port, join_world, leave_world
from submission.errors import InputError
from submission.evaluate.ledger import ScoreLedger
from submission.evaluate.roundtrip import roundtrip_windows
from submission.evaluate.run import evaluate, require_scorable, save_results
from submission.evaluate.sliding import Pass, run_pass
from submission.model import GPT
from submission.model.state import model_state
from submission.quantize.plan import prune, quantise
from submission.train import begin, calibrate, train

Log = Callable[[str], None]
ARTIFACT, CHECKPOINT, LOG, RESULTS = "final_model.gpfa", "checkpoint.pt", "train.log", "results.json"
ORIGIN = "origin.json"  # settings, data and code of the run that a folder belongs to


def run(script: Path, phase: str, config: Config) -> None:
    """Train by ``config``; unless ``phase`` is ``train``, go on as the evaluator of the artifact.

    Raises:
        InputError: micro-batches that the ranks cannot share equally, or as ``train_phase``.
    """
    world = join_world()
    if config.micro_batches % world.size:
        raise InputError("setting micro_batches", f"a multiple of {world.size} ranks", str(config.micro_batches))
    train_phase(config, world)
    if phase == "all":
        port = free_port(world) if world.size > 1 else 0
        leave_world()
        _become_evaluator(script, config, world, port)
    leave_world()


def train_phase(config: Config, world: World) -> Path:
    """Train and write the artifact; a finished artifact of the same run is kept as it is.

    Raises:
        InputError: unusable data, the folder of another run, or an entry over the limit of size.
    """
    out = _output_folder(config)
    path, checkpoint = out / ARTIFACT, out / CHECKPOINT
    folder = Path(config.data_path)
    paths = shard_paths(folder, "train")
    table = byte_table(Path(config.tokenizer_path), config.vocab_size)
    val = read_split(folder, "val", config.vocab_size)
    require_scorable(val, config)
    training = begin(config, paths, world)
    data = data_fingerprint(paths)
    claim_folder(out, config, data, world)
    log = logger(out / LOG, world)
    if config.resume and path.exists():
        load(path)  # a damaged one is named now, not after an evaluation was announced
        log(f"resume:{path.name} of this run is complete")
        return path
    _announce(config, training.model, world, table, val, paths, log)

    def validate(model: GPT) -> tuple[float, float]:
        ledger = ScoreLedger(val, table)
        run_pass(Pass(model, ledger, config, world), roundtrip_windows(config, ledger.total))
        score = ledger.score()
        return score.val_loss, score.val_bpb

    model = train(config, training, world, log, checkpoint=checkpoint, data=data, validate=validate)
    began = time.perf_counter()
    hessians = calibrate(config, model, paths, world)
    if hessians:
        log(f"gptq:calibrated {len(hessians)} layers on training data in {time.perf_counter() - began:.1f}s")
    if world.main:
        weights = quantise(config, prune(_on_cpu(model), config.prune_fraction), hessians)
        packed = pack(config, weights, table)
        size = measure(len(packed))
        log(f"Serialized model int+zstd: {size.artifact} bytes")
        log(f"Code size: {size.code} bytes")
        log(f"Code size (one packed file): {size.packed_code} bytes")
        log(f"Total submission size int+zstd: {size.total} bytes")
        require_fit(size, config.size_limit, path)
        save(path, packed)
        checkpoint.unlink(missing_ok=True)
    barrier()
    log(f"artifact:{path.name} export_time:{1000 * (time.perf_counter() - began):.0f}ms")
    return path


def evaluate_phase() -> None:
    """Score the artifact on the validation shards; reads no training data and no tokenizer."""
    world = join_world()
    path = Path(os.environ.get("ARTIFACT", ARTIFACT))
    loaded = load(path)
    loaded = replace(loaded, config=_evaluation_settings(loaded.config))
    data = os.environ.get("DATA_PATH")
    folder = Path(data) if data else embedded(vocab_size=loaded.config.vocab_size).folder
    tokens = read_split(folder, "val", loaded.config.vocab_size)
    log = logger(path.parent / LOG, world)
    log(f"evaluate:{path.name} {path.stat().st_size} bytes world_size:{world.size} val_tokens:{len(tokens) - 1}")
    began = time.perf_counter()
    results = evaluate(loaded, tokens, world, log)
    log(f"total_eval_time:{1000 * (time.perf_counter() - began):.0f}ms")
    if world.main:
        save_results(path.parent / RESULTS, results)
    leave_world()


def claim_folder(out: Path, config: Config, data: str, world: World) -> None:
    """Let ``out`` be this run's: without ``resume`` what an earlier run left there goes, with it another run's stays.

    Raises:
        InputError: with ``resume``, a folder of a run with other settings, data or code.
    """
    mine = {"settings": config.fingerprint(), "data": data, "code": code_hash()}
    path = out / ORIGIN
    if config.resume and path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            changed = [name for name, value in mine.items() if found[name] != value]
        except (OSError, ValueError, KeyError, TypeError):
            changed = ["content"]
        if changed:
            raise InputError(out, "the folder of this run (RESUME=0 starts anew)", f"one with other {changed[0]}")
    elif config.resume and (out / ARTIFACT).exists():
        raise InputError(out, f"the folder of this run (RESUME=0 starts anew), told by {ORIGIN}", "only an artifact")
    barrier()  # all ranks have looked
    if not world.main:
        return
    if not config.resume:
        for name in (ORIGIN, CHECKPOINT, ARTIFACT, RESULTS, LOG):
            (out / name).unlink(missing_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(mine, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def logger(path: Path, world: World) -> Log:
    """A function that appends a line to the log and to standard output, on the main rank only.

    Raises:
        InputError: a log that cannot be written.
    """
    try:
        if world.main:
            path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise InputError(path, "a log that can be written", error.strerror or str(error)) from None

    def log(line: str) -> None:
        if world.main:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    return log


def data_fingerprint(paths: tuple[Path, ...]) -> str:
    """Names and sizes of the training shards: what a checkpoint's data order rests on."""
    return ";".join(f"{path.name}:{path.stat().st_size}" for path in paths)


def _announce(
    config: Config,
    model: torch.nn.Module,
    world: World,
    table: ByteTable,
    val: Tokens,
    paths: tuple[Path, ...],
    log: Log,
) -> None:
    count = int(table.count(val[:-1], val[1:]).sum())
    nats, bits = unigram_entropy(val[1:], count / (len(val) - 1))
    device = torch.cuda.get_device_name() if world.device.type == "cuda" else f"cpu threads:{torch.get_num_threads()}"
    log(f"preset:{config.preset} run_id:{config.run_id} code_sha256:{code_hash()}")
    log(f"Running Python {platform.python_version()} PyTorch {torch.__version__}")
    log(f"val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path={Path(config.tokenizer_path).name}")
    log(f"train_loader:dataset:{paths[0].parent.name} train_shards:{len(paths)}")
    log(f"val_loader:shards pattern=fineweb_val_*.bin tokens:{len(val) - 1}")
    log(f"unigram_entropy:{nats:.4f} nats {bits:.4f} bpb")
    log(f"model_params:{sum(p.numel() for p in model.parameters())}")
    log(f"world_size:{world.size} gpu:{device} grad_accum_steps:{config.micro_batches // world.size}")
    log(
        f"train_batch_tokens:{config.train_batch_tokens} train_seq_len:{config.train_seq_len} "
        f"iterations:{config.iterations} warmup_steps:{config.warmup_steps} "
        f"max_wallclock_seconds:{config.max_wallclock_seconds:.3f}"
    )
    log(f"settings_fingerprint:{config.fingerprint(seed=False)}")
    log(f"seed:{config.seed}")


def _output_folder(config: Config) -> Path:
    out = Path(config.out_dir)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(out, "an output folder that can be written", error.strerror or str(error)) from None
    return out


def _evaluation_settings(config: Config) -> Config:
    """The artifact's configuration with the environment's evaluation settings; the network's shape is not theirs."""
    chosen = {}
    environment = load_config(config.preset)
    for name in config.__dataclass_fields__:
        if name.startswith(("eval_", "mixer", "ttt_", "compile")) and name.upper() in os.environ:
            chosen[name] = getattr(environment, name)
    return replace(config, **chosen)


def _on_cpu(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.float().cpu() for name, weight in model_state(model).items()}


def _become_evaluator(script: Path, config: Config, world: World, port: int) -> None:
    """Replace this process by one that evaluates: nothing of training is left in it."""
    environment = {
        **os.environ,
        "PHASE": "evaluate",
        "ARTIFACT": str(Path(config.out_dir) / ARTIFACT),
        "DATA_PATH": config.data_path,
    }
    if world.size > 1:
        environment["MASTER_PORT"] = str(port)
        environment.pop("TORCHELASTIC_USE_AGENT_STORE", None)
    os.execve(sys.executable, [sys.executable, str(script)], environment)
