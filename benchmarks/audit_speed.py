"""Times the audit of real trainers against bandit, semgrep with one taint rule, and parsing alone.

    python benchmarks/audit_speed.py CORPUS [--files 100] [--tools VENV]

CORPUS holds submission folders; VENV is a virtual environment with bandit and semgrep in it (without it they are left
out). Every tool gets the same unpacked trainers, one after another on one core, in one run. Figures are CPU seconds
(user and system) a file: other work on the machine then moves them little. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

RULE = """
rules:
  - id: validation-tokens-reach-backward
    languages: [python]
    severity: ERROR
    message: validation tokens reach a loss that is trained on
    mode: taint
    pattern-sources:
      - pattern: $VAL
      - pattern: load_validation_tokens(...)
    pattern-sinks:
      - pattern: $LOSS.backward(...)
      - pattern: $MODEL($X, ...)
""".replace("      - pattern: $VAL\n", "      - pattern: val_tokens\n")

BANDIT = """
import json, sys, time
from bandit.core import config, manager
found = []
for path in sys.argv[1:]:
    begun = time.process_time()
    run = manager.BanditManager(config.BanditConfig(), "file")
    run.discover_files([path])
    run.run_tests()
    found.append(time.process_time() - begun)
print(json.dumps(found))
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--tools", type=Path, help="a virtual environment with bandit and semgrep")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)

    with tempfile.TemporaryDirectory() as scratch:
        folders, files = _sample(options.corpus, options.files, Path(scratch))
        lines = [path.read_text(encoding="utf-8").count("\n") for path in files]
        print(f"{len(files)} trainers, {statistics.mean(lines):.0f} lines on average\n")
        rows: dict[str, list[float]] = {
            "ast.parse": [_timed(lambda path=path: ast.parse(path.read_bytes())) for path in files],
            "libcst.parse_module": _libcst(files),
        }
        rows["read, unpack, parse, resolve settings"] = [_timed(lambda path=path: _read(path)) for path in folders]
        rows["golfproof audit (whole folder)"] = [_timed(lambda path=path: _audit(path)) for path in folders]
        if options.tools:
            rows["bandit"] = _bandit(options.tools, files)
            rows["semgrep, one taint rule"] = _semgrep(options.tools, files, Path(scratch))
        ours = statistics.median(rows["golfproof audit (whole folder)"])
        print("| tool | median s a file | mean | slowest | our median as a multiple |")
        print("|---|---|---|---|---|")
        for name, seconds in rows.items():
            middle = statistics.median(seconds)
            print(
                f"| {name} | {middle:.3f} | {statistics.mean(seconds):.3f} | {max(seconds):.3f} | {ours / middle:.2f} |"
            )
        print(f"\nfrom process start to verdict, one folder of median size: {_from_start(folders, files):.2f} s")


def _sample(corpus: Path, count: int, scratch: Path) -> tuple[list[Path], list[Path]]:
    """Submission folders that every tool can read, and their trainers unpacked into plain files."""
    import libcst

    from audit.source import read_sources
    from reproduce.errors import InputError
    from reproduce.folder import find_submissions, open_folder

    found = list(find_submissions(corpus))
    random.shuffle(found)
    folders: list[Path] = []
    files: list[Path] = []
    for path in found:
        if len(files) == count:
            break
        try:
            folder = open_folder(path, strict=False)
            trainer = read_sources(folder)[0]
            ast.parse(trainer.text)
            libcst.parse_module(trainer.text)  # it refuses a few that Python takes
        except (InputError, SyntaxError, libcst.ParserSyntaxError):
            continue
        target = scratch / f"trainer_{len(files):03}.py"
        target.write_text(trainer.text, encoding="utf-8")
        folders.append(path)
        files.append(target)
    return folders, files


def _timed(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _libcst(files: list[Path]) -> list[float]:
    import libcst

    return [_timed(lambda path=path: libcst.parse_module(path.read_bytes())) for path in files]


def _read(path: Path) -> None:
    from audit.settings import resolve
    from audit.source import read_sources
    from reproduce.folder import open_folder

    folder = open_folder(path, strict=False)
    resolve(folder, read_sources(folder))


def _audit(path: Path) -> None:
    from audit.run import audit_folder
    from reproduce.folder import open_folder

    audit_folder(open_folder(path, strict=False))


def _bandit(tools: Path, files: list[Path]) -> list[float]:
    command = [str(tools / "bin" / "python"), "-c", BANDIT, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def _semgrep(tools: Path, files: list[Path], scratch: Path) -> list[float]:
    """CPU seconds of the whole run, spread over the files: it reports no times a file that include its parsing."""
    rule = scratch / "rule.yml"
    rule.write_text(RULE, encoding="utf-8")
    folder = scratch / "targets"
    folder.mkdir()
    for path in files:
        shutil.copy(path, folder)
    command = [str(tools / "bin" / "semgrep"), "scan", "--config", str(rule), "--metrics", "off", "--jobs", "1"]
    command += ["--disable-version-check", "--no-git-ignore", "--timeout", "120", "--quiet", str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, text=True, check=True, env=_with_path(tools))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [spent / len(files)] * len(files)


def _with_path(tools: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PATH": f"{tools / 'bin'}:{os.environ['PATH']}"}


def _from_start(folders: list[Path], files: list[Path]) -> float:
    """CPU seconds of ``golfproof audit`` on the trainer of median length, in a process of its own."""
    order = sorted(range(len(files)), key=lambda index: files[index].stat().st_size)
    chosen = folders[order[len(order) // 2]]
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "golfproof", "audit", str(chosen)], capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
