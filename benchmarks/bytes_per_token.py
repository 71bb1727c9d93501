"""The bytes per token that the logs of a corpus imply, by tokenizer: the measurement behind audit/evidence/splits.toml.

python benchmarks/bytes_per_token.py CORPUS
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

from audit.evidence.splits import ratio, split_of
from reproduce.errors import InputError
from reproduce.logs import read_runs


def main() -> None:
    """Print, for each published split and for all other logs, the commonest ratios and token counts."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("corpus", type=Path)
    root = cli.parse_args().corpus
    ratios: dict[str, Counter[float]] = defaultdict(Counter)
    tokens: dict[str, Counter[int | None]] = defaultdict(Counter)
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".log", ".txt", ".out") and p.is_file()):
        try:
            runs = read_runs(path)
        except InputError:
            continue
        for run in runs:
            value = ratio(run.headline) if run.headline else None
            if value is not None:
                split = split_of(run)
                name = split.name if split else "unknown"
                ratios[name][round(value, 3)] += 1
                tokens[name][run.val_tokens] += 1
    for name in sorted(ratios):
        shown = ", ".join(f"{value} ({count})" for value, count in ratios[name].most_common(8))
        print(f"{name}: {ratios[name].total()} runs: {shown}")
        print("    tokens " + ", ".join(f"{value} ({count})" for value, count in tokens[name].most_common(5)))


if __name__ == "__main__":
    main()
