"""How fast the reference entry is beside the originals: network, mixer, sliding evaluation; medians of paired ratios.

    python benchmarks/entry_speed.py ORIGINALS [--presets pr162,pr1453] [--tokens 512] [--repeats 5]

ORIGINALS holds <pr>/<track>/<folder>/train_gpt.py. These files are imported and run here, with all your rights: give
only files that you trust. Each pair of timings is taken back to back, so that load on the machine falls on both.
Seconds are those that the process computed (one thread: OMP_NUM_THREADS=1), not those it waited for a core.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import inspect
import io
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from submission.config import load_config
from submission.data import ByteTable
from submission.distributed import World
from submission.evaluate.ledger import ScoreLedger
from submission.evaluate.mixer import make_mixer
from submission.evaluate.run import sliding_windows
from submission.evaluate.sliding import MassMeter, Pass, run_pass, score_batch
from submission.evaluate.windows import exact_windows
from submission.model import GPT
from submission.model.state import load_state, unbank

ENVIRONMENT = {"pr1453": {"QUANT_LEVELS": "63", "MLP_QUANT_LEVELS": "16", "MODEL_DIM": "880", "MLP_MULT": "3"}}
SHAPE = "vocab_size num_layers model_dim num_heads num_kv_heads mlp_mult tie_embeddings tied_embed_init_std"
SHAPE += " logit_softcap rope_base qk_gain_init bigram_vocab_size bigram_dim xsa_last_n rope_dims ln_scale dtg"
SHAPE += " ve_enabled ve_dim ve_layers gated_attention value_residual num_repeats num_value_embeds"
VOCAB, SEQ_LEN, STRIDE, BATCH = 1024, 1024, 256, 8
WINDOW, SLIDE, SLIDING = 128, 64, 512  # tokens: a window, the step between windows, and the whole of a sliding pass


def original(folder: Path, preset: str) -> tuple[ModuleType, torch.nn.Module]:
    """An original's module and its network at the preset's shape."""
    path = next((folder / preset.removeprefix("pr")).glob("*/*/train_gpt.py"))
    os.environ.update(ENVIRONMENT.get(preset, {}))
    spec = importlib.util.spec_from_file_location(f"original_{preset}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ENVIRONMENT.get(preset, {}):
        del os.environ[name]
    settings = vars(module.Hyperparameters) | {"dtg": False, "recur_layers": [4, 5] if preset == "pr745" else None}
    accepted = inspect.signature(module.GPT.__init__).parameters
    names = [name for name in [*SHAPE.split(), "recur_layers"] if name in accepted and name in settings]
    return module, module.GPT(**{name: settings[name] for name in names}).float()


def paired(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[float, float, float]:
    """Median CPU seconds of each, and the median of theirs / ours over pairs taken back to back."""
    times = []
    for _ in range(repeats + 1):
        pair = []
        for function in (ours, theirs):
            began = time.process_time()
            function()
            pair.append(time.process_time() - began)
        times.append(pair)
    times = times[1:]  # the first pair warms up
    mine, other = (statistics.median(pair[i] for pair in times) for i in (0, 1))
    return mine, other, statistics.median(pair[1] / pair[0] for pair in times)


def network(folder: Path, preset: str, tokens: int, repeats: int) -> tuple[float, float, float]:
    """Forward and backward on one sequence, float32."""
    config = load_config(preset, {})
    if preset == "pr745":
        config = dataclasses.replace(config, attention_scale=1.0)  # what the original does without flash attention
    _, theirs = original(folder, preset)
    ours = GPT(config)
    load_state(ours, unbank(config, dict(theirs.named_parameters())))
    x = torch.randint(0, VOCAB, (1, tokens + 1))

    def step(model: torch.nn.Module) -> None:
        model(x[:, :-1], x[:, 1:]).backward()
        model.zero_grad(set_to_none=True)

    return paired(lambda: step(ours), lambda: step(theirs), repeats)


class Given(torch.nn.Module):
    """A network that costs nothing, the same logits for every batch, so that the mixer's time is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = 2.5 * torch.randn(BATCH, SEQ_LEN, VOCAB)

    def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.logits[: tokens.size(0), : tokens.size(1)]

    def head(self, features: torch.Tensor) -> torch.Tensor:
        return features

    forward_logits = hidden


def mixing(folder: Path, name: str, repeats: int) -> tuple[float, float, float]:
    """One batch of windows, logits given: mix, sum losses and bytes, teach the weights, count; against PR 1384's mixer.

    Ours measures the mass of the mixture too.
    """
    module, _ = original(folder, "pr1384")
    config = dataclasses.replace(
        load_config("pr1384", {}), eval_tail="exact", eval_batch_seqs=BATCH, mixer_min_tokens=0
    )
    if name == "hedge-normalised":
        config = dataclasses.replace(config, mixer=name, mixer_update="scored")
    generator = np.random.default_rng(0)
    data = generator.integers(0, VOCAB, BATCH * 3 * STRIDE + SEQ_LEN).astype(np.uint16)
    before = torch.from_numpy(generator.integers(0, VOCAB, 20_000))
    zeros = np.zeros(VOCAB, np.bool_)
    table = ByteTable(np.full(VOCAB, 2, np.int16), zeros, zeros)
    ledger = ScoreLedger(data, table)
    windows = exact_windows(ledger.total, SEQ_LEN, STRIDE)[BATCH : 2 * BATCH]
    world, model = World(0, 1, torch.device("cpu")), Given()
    ours, theirs = make_mixer(config, world.device), module.HedgeMixer(VOCAB, "cpu", 0.1)
    ours.tables.add(before)
    theirs.update(before)
    part, meter = Pass(model, ledger, config, world, ours), MassMeter()  # type: ignore[arg-type]
    starts = [w.start for w in windows]
    x = torch.stack([torch.from_numpy(data[s : s + SEQ_LEN].astype(np.int64)) for s in starts])
    y = torch.stack([torch.from_numpy(data[s + 1 : s + 1 + SEQ_LEN].astype(np.int64)) for s in starts])

    base, space, boundary = (torch.from_numpy(column) for column in (table.base, table.space, table.boundary))
    sums, their_sums = [0.0, 0.0], [torch.zeros((), dtype=torch.float64) for _ in range(2)]

    @torch.no_grad()
    def mine() -> None:
        ledger.frontier, ours.tables.tokens = windows[0].first, windows[0].first + 1
        score_batch(part, model.hidden, windows, meter)
        first, stop = windows[0].first, windows[-1].stop
        sums[0] += ledger.nll[first:stop].sum()
        sums[1] += table.count(data[first:stop], data[first + 1 : stop + 1]).sum()

    @torch.inference_mode()
    def original_batch() -> None:
        nll = theirs.mix_and_score(model.logits, x, y, [SEQ_LEN] * BATCH)
        for row in range(BATCH):
            before, targets = x[row, -STRIDE:], y[row, -STRIDE:]
            their_sums[0] += nll[row, -STRIDE:].to(torch.float64).sum()
            lengths = base[targets].to(torch.int16)
            lengths += (space[targets] & ~boundary[before]).to(torch.int16)
            their_sums[1] += lengths.to(torch.float64).sum()
        for row in y:
            theirs.update(row[-STRIDE:])

    return paired(mine, original_batch, repeats)


def sliding(folder: Path, preset: str, tokens: int, repeats: int) -> tuple[float, float, float]:
    """The plain sliding pass over random tokens in short windows, not compiled, the tail as the original has it."""
    config = dataclasses.replace(
        load_config(preset, {}), eval_seq_len=WINDOW, eval_stride=SLIDE, eval_tail="reference", eval_batch_seqs=BATCH
    )
    if preset == "pr745":
        config = dataclasses.replace(config, attention_scale=1.0)  # what the original does without flash attention
    module, theirs = original(folder, preset)
    settings = module.Hyperparameters
    settings.eval_batch_seqs, settings.train_seq_len, settings.eval_seq_len = BATCH, WINDOW, WINDOW
    settings.eval_stride = SLIDE
    data = np.random.default_rng(0).integers(0, VOCAB, tokens + 1).astype(np.uint16)
    zeros = np.zeros(VOCAB, np.bool_)
    table = ByteTable(np.full(VOCAB, 2, np.int16), zeros, zeros)
    world, ours = World(0, 1, torch.device("cpu")), GPT(config)
    load_state(ours, unbank(config, dict(theirs.named_parameters())))
    tables = (torch.from_numpy(table.base), torch.from_numpy(zeros), torch.from_numpy(zeros))
    values = torch.from_numpy(data.astype(np.int64))
    accepted = inspect.signature(module.eval_val_sliding).parameters
    more = {"stride": SLIDE, "batch_seqs": BATCH, "eval_seq_len": WINDOW}
    more = {name: value for name, value in more.items() if name in accepted}
    scores = []

    dummy = torch.zeros(1, WINDOW, dtype=torch.int64)

    def mine() -> None:
        if preset == "pr700":  # the original begins with a step that fills compile caches: the same work here
            ours(dummy, dummy).backward()
            ours.zero_grad(set_to_none=True)
        ledger = ScoreLedger(data, table, allow_tail=True)
        run_pass(Pass(ours, ledger, config, world), sliding_windows(config, ledger.total))
        scores.append(ledger.score().val_loss)

    def others() -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
            loss, _ = module.eval_val_sliding(settings, theirs, 0, 1, world.device, values, *tables, **more)
        scores.append(loss)

    compile_, torch.compile = torch.compile, lambda function, **_: function  # type: ignore[assignment]
    try:
        figures = paired(mine, others, repeats)
    finally:
        torch.compile = compile_
    assert abs(scores[0] - scores[1]) < 1e-4, scores  # the same work
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("--presets", default="pr162,pr700,pr745,pr1384,pr1453")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-network", action="store_true", help="only mixer and sliding pass")
    parser.add_argument("--no-sliding", action="store_true", help="no sliding pass")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    show = sys.stdout.write
    show(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    show("| what | tokens | ours, CPU s | original, CPU s | original / ours |\n|---|---|---|---|---|\n")

    def row(what: str, tokens: int, figures: tuple[float, float, float]) -> None:
        show(f"| {what} | {tokens} | {figures[0]:.4f} | {figures[1]:.4f} | {figures[2]:.2f} |\n")
        sys.stdout.flush()

    for preset in () if arguments.no_network else arguments.presets.split(","):
        figures = network(arguments.originals, preset, arguments.tokens, arguments.repeats)
        row(f"{preset} forward + backward", arguments.tokens, figures)
    for name in ("hedge-5", "hedge-normalised"):
        figures = mixing(arguments.originals, name, 8 * arguments.repeats)
        row(f"{name} against the original's mixer, logits given", BATCH * STRIDE, figures)
    if not arguments.no_sliding:
        for preset in arguments.presets.split(","):
            row(f"{preset} sliding pass", SLIDING, sliding(arguments.originals, preset, SLIDING, arguments.repeats))


if __name__ == "__main__":
    main()
