"""What each part of the lawful preset is worth: a small network of its shape, scored with and without each part.

    python benchmarks/lawful_parts.py TOKENS.u16.xz TOKENIZER.model [--val 32768] [--steps 240]

TOKENS are little-endian uint16, xz-compressed. The last ``--val`` of them are scored, those before are trained on. The
network is `legal` with every feature on at a size that a CPU trains. A mixture without an expert never gives it weight.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import lzma
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from submission.artifact import Artifact
from submission.config import Config, load_config
from submission.data import byte_table, shard_paths, write_shard
from submission.distributed import World
from submission.evaluate.ledger import Score, ScoreLedger
from submission.evaluate.mixer import NormalisedMixer
from submission.evaluate.run import sliding_windows
from submission.evaluate.sliding import Pass, run_pass
from submission.evaluate.ttt import Adapter
from submission.model import GPT
from submission.model.state import model_state
from submission.quantize.plan import prune, quantise
from submission.train import begin, calibrate, train

SHAPE = {"num_layers": 4, "model_dim": 160, "num_heads": 4, "num_kv_heads": 2, "mlp_mult": 3.0, "xsa_last_n": 4}
FEATURES = {"value_embed_layers": (2, 3), "value_embed_dim": 64, "bigram_vocab_size": 4096, "bigram_dim": 64}
LENGTHS = {
    "train_seq_len": 512,
    "train_batch_tokens": 4096,
    "micro_batches": 1,
    "eval_seq_len": 512,
    "rope_train_len": 512,
}
RUN = {"warmup_steps": 0, "max_wallclock_seconds": 0.0, "train_reserve_seconds": 0.0, "val_loss_every": 0}
MUON = {"muon_momentum": 0.95, "muon_momentum_warmup_start": 0.85, "muon_momentum_warmup_steps": 100, "ema_decay": 0.98}
SCORE = {
    "eval_stride": 128,
    "eval_batch_seqs": 32,
    "mixer_min_tokens": 2000,
    "ttt_chunk_tokens": 2048,
    "ttt_batch_seqs": 4,
}
ALONE = World(0, 1, torch.device("cpu"))
EXPERTS = ("network", "unigram", "bigram", "trigram", "bigram over network", "trigram over network")


class Remembering:
    """A network whose features of a batch are computed once: it does not change between the mixtures compared."""

    def __init__(self, model: GPT) -> None:
        self.model, self.held = model, {}  # type: ignore[var-annotated]
        self.head = model.head

    def eval(self) -> None:
        self.model.eval()

    def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        key = tokens.numpy().tobytes()
        if key not in self.held:
            self.held[key] = self.model.hidden(tokens)
        return self.held[key]  # type: ignore[no-any-return]


def without(config: Config, left_out: Sequence[str]) -> NormalisedMixer:
    """The mixture with the log-weight of some experts so low that they stay at nothing."""
    mixer = NormalisedMixer(config.vocab_size, config.mixer_eta, ALONE.device)
    for name in left_out:
        mixer.log_weights[:, EXPERTS.index(name)] = -1e9
    return mixer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokens", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--val", type=int, default=32_768)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1337)
    arguments = parser.parse_args()
    show = sys.stdout.write
    data = np.frombuffer(lzma.decompress(arguments.tokens.read_bytes()), dtype="<u2")
    settings = SHAPE | FEATURES | LENGTHS | RUN | MUON | SCORE
    settings |= {"iterations": arguments.steps, "warmdown_iters": arguments.steps // 2, "seed": arguments.seed}
    config = dataclasses.replace(load_config("legal", {}), **settings)
    table = byte_table(arguments.tokenizer, config.vocab_size)
    val = data[-arguments.val - 1 :].astype(np.uint16)
    began = time.process_time()

    def log(line: str) -> None:
        sys.stderr.write(f"{time.process_time() - began:7.1f}s {line}\n")

    with tempfile.TemporaryDirectory() as folder:
        write_shard(Path(folder) / "fineweb_train_000000.bin", data[: -arguments.val])
        paths = shard_paths(Path(folder), "train")
        training = begin(config, paths, ALONE)
        model = train(
            config, training, ALONE, log, checkpoint=None, data="", validate=lambda _: (float("nan"), float("nan"))
        )
        trained = copy.deepcopy(model)
        weights = quantise(
            config, prune(model_state(model), config.prune_fraction), calibrate(config, model, paths, ALONE)
        )
    network = Artifact(config, weights, table).model()
    show(f"{sum(p.numel() for p in model.parameters())} parameters, {arguments.steps} steps of ")
    show(
        f"{config.train_batch_tokens} tokens, {len(val) - 1} scored\n\n| evaluation | val_bpb | gain |\n|---|---|---|\n"
    )

    windows = sliding_windows(config, len(val) - 1)

    def scored(model: GPT | Remembering, mixer: NormalisedMixer | None, adapter: Adapter | None = None) -> Score:
        ledger = ScoreLedger(val, table)
        run_pass(Pass(model, ledger, config, ALONE, mixer, adapter), windows)  # type: ignore[arg-type]
        return ledger.score()

    base = float("nan")

    def row(name: str, score: Score) -> float:
        gain = "" if np.isnan(base) else f"{base - score.val_bpb:+.4f}"
        show(f"| {name} | {score.val_bpb:.4f} | {gain} |\n")
        sys.stdout.flush()
        log(name)
        return score.val_bpb

    row("before rounding, network alone", scored(trained, None))
    fixed = Remembering(network)
    base = row("artifact, network alone", scored(fixed, None))
    row("mixture of all experts", scored(fixed, without(config, ())))
    for expert in EXPERTS:
        row(f"mixture without the {expert}", scored(fixed, without(config, (expert,))))
    row("mixture of network, unigram, bigram and trigram alone", scored(fixed, without(config, EXPERTS[4:])))
    for name, mixer in (("adaptation", None), ("adaptation and mixture (`legal`)", without(config, ()))):
        adapted = copy.deepcopy(network)
        row(name, scored(adapted, mixer, Adapter(adapted, config, ALONE)))
    for change in ({"ttt_polyak_warmup": False}, {"ttt_polyak": 0.0}, {"ttt_lr": 3e-4}, {"ttt_lr": 1e-3}):
        adapted, other = copy.deepcopy(network), dataclasses.replace(config, **change)  # type: ignore[arg-type]
        ledger = ScoreLedger(val, table)
        run_pass(Pass(adapted, ledger, other, ALONE, None, Adapter(adapted, other, ALONE)), windows)
        row("adaptation with " + ", ".join(f"{name} {value}" for name, value in change.items()), ledger.score())


if __name__ == "__main__":
    main()
