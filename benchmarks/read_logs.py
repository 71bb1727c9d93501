"""How fast logs are read, and in how much memory.

python benchmarks/read_logs.py FOLDER [--jobs N]     every log below a folder: seconds of wall and CPU time, peak memory
python benchmarks/read_logs.py --endless GIB         one log of that many GiB: 20 million lines a GiB, made on the way
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from reproduce.errors import InputError
from reproduce.logs import read_runs

SUFFIXES = (".log", ".txt", ".out")


def read(path: str) -> tuple[int, bool, int]:
    """``(runs, whether any has a headline, peak KiB of this process)``."""
    try:
        runs = read_runs(path)
    except InputError:
        runs = ()
    return len(runs), any(run.headline for run in runs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def folder(root: Path, jobs: int) -> None:
    """Read every log below a folder and print what it took."""
    paths = [str(p) for p in root.rglob("*") if p.suffix in SUFFIXES and p.is_file() and "requirements" not in p.name]
    size = sum(Path(path).stat().st_size for path in paths)
    started = time.perf_counter()
    with ProcessPoolExecutor(jobs) as pool:
        results = list(pool.map(read, paths, chunksize=16))
    wall = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{len(paths)} files, {size / 1e6:.1f} MB, {jobs} processes")
    print(f"{wall:.1f} s of wall time, {used.ru_utime + used.ru_stime:.1f} s of CPU time")
    print(f"peak memory of a process: {max(peak for _, _, peak in results) / 1024:.0f} MiB")
    print(
        f"{sum(runs for runs, _, _ in results)} runs, {sum(scored for _, scored, _ in results)} files with a headline"
    )


def endless(gib: float) -> None:
    """Read one very long log and print what it took."""
    with tempfile.NamedTemporaryFile("w", suffix=".log") as file:
        file.write("seed:1\n")
        line, written, step = "step:{}/99999999 train_loss:2.1234 train_time:{}ms\n", 0, 0
        while written < gib * (1 << 30):
            block = "".join(line.format(step + i, (step + i) * 80) for i in range(10_000))
            file.write(block)
            written, step = written + len(block), step + 10_000
        file.write("final_exact val_loss:2.00000000 val_bpb:1.18450000\n")
        file.flush()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        (run,) = read_runs(file.name)
        print(f"{written / (1 << 30):.2f} GiB, {step:,} steps, {len(run.curve)} points kept")
        print(f"{time.perf_counter() - started:.1f} s, headline {run.headline.val_bpb if run.headline else None}")
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"peak memory {after / 1024:.0f} MiB, {(after - before) / 1024:.0f} MiB of it for reading")


def main() -> None:
    """Parse the command line."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("folder", type=Path, nargs="?")
    cli.add_argument("--jobs", type=int, default=2)
    cli.add_argument("--endless", type=float, metavar="GIB")
    args = cli.parse_args()
    if args.endless:
        endless(args.endless)
    elif args.folder:
        folder(args.folder, args.jobs)
    else:
        cli.error("a folder, or --endless")


if __name__ == "__main__":
    main()
