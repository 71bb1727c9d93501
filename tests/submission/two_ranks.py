"""What test_submission_distributed.py runs on each rank: a short training and every stage, losses on rank 0."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch

from submission.config import load_config
from submission.data import ByteTable, read_split, shard_paths
from submission.distributed import join_world, leave_world, total
from submission.evaluate.ledger import ScoreLedger
from submission.evaluate.mixer import make_mixer
from submission.evaluate.run import sliding_windows
from submission.evaluate.sliding import Pass, run_pass
from submission.evaluate.ttt import Adapter
from submission.model import GPT
from submission.model.state import load_state, model_state
from submission.train import begin, micro_batches, train

folder = Path(sys.argv[1])
shape = {"NUM_LAYERS": "3", "RECUR_LAYERS": "1", "MODEL_DIM": "32", "ROPE_DIMS": "4", "VALUE_EMBED_LAYERS": "2"}
run = {"TRAIN_SEQ_LEN": "16", "TRAIN_BATCH_TOKENS": "128", "ITERATIONS": "6", "EVAL_SEQ_LEN": "16", "EVAL_STRIDE": "8"}
more = {"VOCAB_SIZE": "64", "EVAL_BATCH_SEQS": "5", "MIXER_MIN_TOKENS": "20", "TTT_CHUNK_TOKENS": "64"}
config = load_config("tiny", {**shape, **run, **more, "TTT_BATCH_SEQS": "3", "TTT_LR": "0.01", "CHECKPOINT_EVERY": "0"})
world = join_world()
lines: list[str] = []
training = begin(config, shard_paths(folder, "train"), world)
model = train(config, training, world, lines.append, checkpoint=None, data="", validate=lambda _: (0.0, 0.0))
with torch.no_grad():  # the loss of the trained network on the next global batch, meaned over ranks as training does
    batch = list(micro_batches(training.stream, config, world))
    start_loss = float(total(sum(model(x, y) for x, y in batch) / config.micro_batches, world))
weights = {name: weight.clone() for name, weight in model_state(model).items()}
table = ByteTable(np.full(64, 2, np.int16), np.zeros(64, np.bool_), np.arange(64) == 1)
tokens = read_split(folder, "val")
losses = {}
for stage in ("sliding", "ttt", "mixer", "ttt_mixer", "hedge-5"):
    chosen = dataclasses.replace(config, mixer="hedge-5", mixer_update="window") if stage == "hedge-5" else config
    model = GPT(config)
    load_state(model, weights)
    ledger = ScoreLedger(tokens, table)
    mixer = make_mixer(chosen, world.device) if "mixer" in stage or stage == "hedge-5" else None
    adapter = Adapter(model, chosen, world) if "ttt" in stage else None
    run_pass(Pass(model, ledger, chosen, world, mixer, adapter), sliding_windows(chosen, ledger.total))
    losses[stage] = ledger.score().val_loss
losses["weights"] = float(
    sum(w.double().abs().sum() for w in weights.values()) / sum(w.numel() for w in weights.values())
)
losses["train"] = start_loss
if world.main:
    for name, value in losses.items():
        sys.stdout.write(f"{name} {value:.9f}\n")
leave_world()
