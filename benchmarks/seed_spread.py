"""How far the seeds of public entries lie apart, by evaluation: the basis of the bounds in reproduce/compare.py.

    python benchmarks/seed_spread.py CORPUS

CORPUS is a folder of submission folders at any depth. Prints the number of evaluations with three seeds or more, with
the median and 95th percentile of their sample standard deviation in bits per byte. Only figures printed with six
decimals or more, between 0.8 and 1.6, count; evaluations of one entry that agree in every seed count once.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from pathlib import Path

from reproduce.compare import bound_of
from reproduce.errors import InputError
from reproduce.folder import find_submissions, open_folder
from reproduce.table import from_logs


def spreads(corpus: Path) -> dict[str, list[float]]:
    """Sample standard deviations over seeds, bits per byte, by kind of evaluation."""
    found: dict[str, list[float]] = defaultdict(list)
    for path in find_submissions(corpus):
        try:
            table = from_logs(open_folder(path, strict=False))
        except InputError:
            continue
        by_stage: dict[str, list[float]] = defaultdict(list)
        for run in table.runs:
            for stage, metric in {metric.stage: metric for metric in run.metrics}.items():
                if metric.val_bpb is not None and 0.8 < metric.val_bpb < 1.6 and metric.digits >= 6:
                    by_stage[stage].append(metric.val_bpb)
        seen = set()
        for stage, values in by_stage.items():
            if len(values) >= 3 and len(values) == len(table.runs) and tuple(values) not in seen:
                seen.add(tuple(values))
                found[bound_of(stage).kind].append(statistics.stdev(values))
    return found


def main() -> None:
    """Print one line a kind."""
    for kind, values in sorted(spreads(Path(sys.argv[1])).items()):
        ordered = sorted(values)
        high = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
        print(f"{kind}: {len(ordered)} evaluations, median std {statistics.median(ordered):.5f}, 95% below {high:.4f}")


if __name__ == "__main__":
    main()
