"""Measures how many of a random sample of public trainers the probe runs to their published figure, at what cost."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from audit.probe.launch import PROBE_LIMITS, Launch
from audit.probe.probe import probe_path
from audit.probe.runs import published_among, published_stages
from reproduce.errors import InputError
from reproduce.folder import find_submissions, open_folder

SECONDS = 180  # what the goal allows a trainer on one core


def sample(corpus: Path, count: int, seed: int, without: Collection[str] = ()) -> list[Path]:
    """``count`` submission folders with a trainer, no two of them with the same trainer text; none of ``without``."""
    found = list(find_submissions(corpus))
    random.Random(seed).shuffle(found)
    chosen: list[Path] = []
    texts: set[bytes] = set()
    for path in found:
        if path.relative_to(corpus).as_posix() in without:
            continue
        folder = open_folder(path, strict=False)
        if folder.trainer is None or (text := folder.trainer.read_bytes()) in texts:
            continue
        texts.add(text)
        chosen.append(path)
        if len(chosen) == count:
            break
    return chosen


def run(path: Path) -> dict[str, object]:
    """The first run on noise: whether it ended by itself with the figure that was published, its cost, why not."""
    plan = Launch(limits=replace(PROBE_LIMITS, cpu_seconds=SECONDS, wall_seconds=6 * SECONDS))
    with tempfile.TemporaryDirectory() as temporary:
        result = probe_path(path, plan=plan, experiments=("floor",), keep=Path(temporary))
        log = Path(temporary) / "first" / "probe.log"
        tail = log.read_text()[-2000:] if log.exists() else ""
    first = result.runs[0]
    stages = [str(figure["stage"]).removesuffix("_exact") for figure in first["figures"]]  # type: ignore[attr-defined]
    published = published_stages(open_folder(path, strict=False))
    reached = published_among(published, stages)
    ended = bool(stages) and not first["failure"]
    return {
        "figure": ended,
        "headline": ended and reached,
        "verdict": result.verdict,
        "reasons": result.reasons,
        "failure": first["failure"] or ("" if reached else "published stage not reached"),
        "changed": first["changed"],
        "published": " or ".join(published),
        "stages": stages,
        "cpu_seconds": float(str(first["cpu_seconds"])) + float(str(first["tried_cpu_seconds"])),
        "seconds": result.seconds,
        "tail": tail,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=20240520)
    parser.add_argument("--out", type=Path, required=True, help="JSONL; trainers that stand in it are not run again")
    parser.add_argument("--again", action="store_true", help="run those that failed once more")
    parser.add_argument("--without", type=Path, help="JSONL of an earlier sample, whose trainers are not drawn again")
    options = parser.parse_args()
    done: dict[str, dict[str, object]] = {}
    if options.out.exists():
        for line in options.out.read_text().splitlines():
            record = json.loads(line)
            done[record["submission"]] = record
    earlier = options.without.read_text().splitlines() if options.without else ()
    without = {json.loads(line)["submission"] for line in earlier}
    paths = sample(options.corpus, options.count, options.seed, without)
    with options.out.open("a") as out:
        for path in paths:
            name = path.relative_to(options.corpus).as_posix()
            if name in done and not (options.again and not done[name]["headline"]):
                continue
            try:
                record = run(path)
            except InputError as error:
                record = {"figure": False, "headline": False, "failure": str(error), "cpu_seconds": 0.0}
            done[name] = {"submission": name, **record}
            out.write(json.dumps(done[name]) + "\n")
            out.flush()
    records = [done[path.relative_to(options.corpus).as_posix()] for path in paths]
    inside = [r for r in records if r["headline"] and float(str(r["cpu_seconds"])) <= SECONDS]
    sys.stdout.write(f"{len(records)} trainers, {sum(bool(r['figure']) for r in records)} printed a figure and ended,")
    sys.stdout.write(f" {len(inside)} reached the published figure in {SECONDS} s of CPU time\n")
    for name, key in (("CPU", "cpu_seconds"), ("wall", "seconds")):
        costs = sorted(float(str(r[key])) for r in inside)
        if costs:
            late = sum(cost > SECONDS for cost in costs)
            sys.stdout.write(f"{name} seconds: median {costs[len(costs) // 2]:.1f}, slowest {costs[-1]:.1f}, ")
            sys.stdout.write(f"{late} over {SECONDS}\n")
    for reason, times in Counter(str(r["failure"])[:100] for r in records if not r["headline"]).most_common():
        sys.stdout.write(f"{times:4}  {reason}\n")


if __name__ == "__main__":
    main()
