"""Writes small entries of our own that behave like a contest trainer, well or badly, without learning anything."""

from __future__ import annotations

from pathlib import Path

TRAINER = """
import os, random, sys, time

seed, steps = int(os.environ["SEED"]), int(os.environ.get("ITERATIONS", "4"))
rng = random.Random(seed)
print("train_batch_tokens:8192 train_seq_len:128 max_wallclock_seconds:600.000")
print(f"seed:{seed}")
if "LAUNCHES" in os.environ:
    with open(os.environ["LAUNCHES"], "a") as file:
        file.write(f"{seed} {os.environ.get('RESUME', '')} {os.path.exists('checkpoint')}\\n")
bad = os.environ.get("BAD_SEED") == str(seed)
for step in range(1, steps + 1):
    if os.environ.get("PAUSE"):
        time.sleep(float(os.environ["PAUSE"]))
    loss = "nan" if bad and os.environ["BAD"] == "nan" and step == 2 else f"{7 - 3 * step / steps:.4f}"
    print(f"step:{step}/{steps} train_loss:{loss} train_time:{step * 10}ms step_avg:10.00ms")
    open("checkpoint", "w").write(str(step))
    if bad and step == 2:
        if os.environ["BAD"] == "crash":
            raise RuntimeError("out of luck")
        if os.environ["BAD"] == "once" and not os.path.exists(os.environ["ONCE"]):
            open(os.environ["ONCE"], "w").close()
            sys.exit(3)
        if os.environ["BAD"] == "hang":
            time.sleep(600)
        if os.environ["BAD"] == "silent exit":
            sys.exit(0)
with open("final_model.int8.ptz", "wb") as file:
    file.write(rng.randbytes(5000))
print("Serialized model int8+zlib: 5000 bytes")
print("Total submission size int8+zlib: 7000 bytes")
bpb = 1.2 + rng.random() / 100
print(f"final_int8_zlib_roundtrip_exact val_loss:{1.6885 * bpb:.8f} val_bpb:{bpb:.8f}")
"""


def write_entry(folder: Path, trainer: str = TRAINER, readme: str = "A trial entry.\n") -> Path:
    """A submission folder with ``trainer`` as its train_gpt.py."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train_gpt.py").write_text(trainer)
    (folder / "README.md").write_text(readme)
    return folder


def expected_bpb(seed: int) -> float:
    """What the fake trainer reports for ``seed``, to the eight decimals it prints."""
    import random

    rng = random.Random(seed)
    rng.randbytes(5000)
    return round(1.2 + rng.random() / 100, 8)
