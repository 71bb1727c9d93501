"""What the harness costs over running the script directly.

    python benchmarks/overhead.py --seconds 120 --repeat 2

Runs a trainer that logs ten lines a second, directly and through ``golfproof reproduce``, in turn. Prints the wall time
of each, their difference in percent, the part of it before and after the trainer (which a busy machine does not blur),
and the processor time of everything that is not the trainer.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "reproduce")]

from fake_entry import write_entry  # noqa: E402

from reproduce.rundir import RunDirectory  # noqa: E402


def wall(argv: list[str], cwd: Path, **environment: str) -> tuple[float, float]:
    """Seconds of wall time and of processor time that a command takes, its children included."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}")
    taken, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--seconds", type=float, default=120.0)
    options.add_argument("--repeat", type=int, default=2)
    asked = options.parse_args()
    env = {"PAUSE": "0.1", "ITERATIONS": str(round(asked.seconds * 10))}
    direct, through, outside = [], [], []
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        entry = write_entry(Path(folder) / "entry")
        for number in range(asked.repeat):
            copy = write_entry(Path(folder) / f"direct-{number}")
            direct.append(wall([sys.executable, "train_gpt.py"], copy, SEED="1", PYTHONUNBUFFERED="1", **env))
            words = ["reproduce", str(entry), "--trust", "--seeds", "1", "--out", str(Path(folder) / f"run-{number}")]
            words += [f"--env={name}={value}" for name, value in env.items()]
            through.append(wall([sys.executable, "-m", "golfproof", *words], ROOT))
            run = RunDirectory(Path(folder) / f"run-{number}").read(1)
            outside.append(through[-1][0] - (run.seconds or 0.0))
            print(
                f"direct {direct[-1][0]:.2f} s, through golfproof reproduce {through[-1][0]:.2f} s, "
                f"of which {outside[-1]:.2f} s before and after the trainer",
                flush=True,
            )
    plain, harness = (statistics.median(one[0] for one in many) for many in (direct, through))
    cpu = statistics.median(one[1] for one in through) - statistics.median(one[1] for one in direct)
    print(f"overhead {harness - plain:.2f} s of {plain:.1f} s: {100 * (harness / plain - 1):.2f}%")
    before = statistics.median(outside)
    print(f"before and after the trainer: {before:.2f} s, {100 * before / harness:.2f}%")
    print(f"processor time of the harness: {cpu:.2f} s, {100 * cpu / harness:.2f}% of one core")


if __name__ == "__main__":
    main()
