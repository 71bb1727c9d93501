"""Small submissions of our own, from which the rules build their VALID and INVALID examples."""

from __future__ import annotations

_HEAD = '''"""A tiny entry."""
import glob
import io
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, vocab, width):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.head = nn.Linear(width, vocab)

    def forward(self, ids):
        return self.head(self.embed(ids))


def read(pattern):
    parts = [np.fromfile(name, dtype=np.uint16) for name in sorted(glob.glob(pattern))]
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))

'''

_EVALUATE = """
def evaluate(model, held, sizes):
    total, count, size = 0.0, 0, 0
{tables}
    for start in range(0, len(held) - 1, 128):
        piece = held[start:start + 129]
        x, y = piece[:-1], piece[1:]
        with torch.no_grad():
            logits = model(x)
            losses = F.cross_entropy(logits, y, reduction="none")
{score}
        count += y.numel()
        size += int(sizes[y].sum())
{after}
    return total / count, total / math.log(2) / size
"""

_MAIN = """

def main():
    data = os.environ.get("DATA_PATH", "./data")
    learn = read(os.path.join(data, "fineweb_train_*.bin"))
    held = read(os.path.join(data, "fineweb_val_*.bin"))
    sizes = torch.ones(64)
    model = Net(64, 8)
    trainer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(100):
        piece = learn[step * 128:step * 128 + 129]
        loss = F.cross_entropy(model(piece[:-1]), piece[1:])
        trainer.zero_grad()
        loss.backward()
        trainer.step()
{before_save}
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    with open("model.bin", "wb") as out:
        out.write(buffer.getvalue())
{before_load}
    restored = Net(64, 8)
    restored.load_state_dict(torch.load(open("model.bin", "rb")))
{before_score}
    val_loss, val_bpb = evaluate(restored, held, sizes)
    print(f"final_exact val_loss:{{val_loss:.8f}} val_bpb:{{val_bpb:.8f}}")


if __name__ == "__main__":
    main()
"""

PLAIN_SCORE = "            total += float(losses.sum())\n"


def submission(
    *,
    tables: str = "",
    score: str = PLAIN_SCORE,
    after: str = "",
    before_save: str = "",
    before_load: str = "",
    before_score: str = "",
    functions: str = "",
) -> str:
    """Return a whole trainer: it trains, writes the artifact, reads it back and scores the validation tokens."""
    evaluate = _EVALUATE.format(tables=tables.strip("\n"), score=score.strip("\n"), after=after.strip("\n"))
    main = _MAIN.format(before_save=before_save, before_load=before_load, before_score=before_score)
    return _HEAD + functions + evaluate + main


def evaluator(tables: str = "", score: str = PLAIN_SCORE, after: str = "") -> str:
    """Return a trainer whose evaluation keeps tables, scores and updates as given."""
    return submission(tables=tables, score=score, after=after)


def trainer(before_save: str = "", before_load: str = "", before_score: str = "", functions: str = "") -> str:
    """Return a trainer that does something between training, artifact and evaluation."""
    return submission(before_save=before_save, before_load=before_load, before_score=before_score, functions=functions)


EVALUATION = submission()
