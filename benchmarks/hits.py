"""How many submissions each rule hits, and how the hits that were read by hand turned out: the table in docs/corpus.md.

golfproof audit --corpus CORPUS --format jsonl > results.jsonl
python benchmarks/hits.py results.jsonl
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter, defaultdict
from pathlib import Path

READ = Path(__file__).with_name("hits_read.csv")


def hits(results: Path) -> tuple[Counter[str], Counter[str]]:
    """Return how many submissions each rule hits, and how many got each verdict.

    A rule's errors count; its warnings do where it gives nothing else.
    """
    errors: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    with results.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            verdicts[record["verdict"]] += 1
            active = [finding for finding in record["findings"] if finding["active"]]
            errors.update({finding["rule"] for finding in active if finding["severity"] == "error"})
            warnings.update({finding["rule"] for finding in active if finding["severity"] != "error"})
    return Counter({**warnings, **errors}), verdicts


def judged() -> dict[str, Counter[str]]:
    """Return, for each rule, how many hits were read, right, arguable, wrong, and wrong but mended since."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with READ.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            counts[row["rule"]].update(["read", row["judged"], *([row["state"]] if row["state"] else [])])
    return counts


def main() -> None:
    """Print the table."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("results", type=Path, help="what `golfproof audit --corpus ... --format jsonl` wrote")
    found, verdicts = hits(cli.parse_args().results)
    read = judged()
    total = sum(verdicts.values())
    print(f"{total} submissions: " + ", ".join(f"{name} {count}" for name, count in verdicts.most_common()) + ".\n")
    columns = ("read", "right", "arguable", "wrong", "mended")
    print(f"| rule | hits | {' | '.join(columns)} |")
    print("|---|--:|" + "--:|" * len(columns))
    for rule in sorted(read):
        print(f"| {rule} | {found[rule]} | " + " | ".join(str(read[rule][name]) for name in columns) + " |")
    sums = [sum(counts[name] for counts in read.values()) for name in columns]
    print("| all | | " + " | ".join(map(str, sums)) + " |")


if __name__ == "__main__":
    main()
