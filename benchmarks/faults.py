"""Injects faults into runs of three seeds and checks that every final table equals the undisturbed one.

    python benchmarks/faults.py --faults 200 --ray 6 --seed 1

Kinds: the harness killed or terminated at a random moment, its trainer killed, a full disk (a small tmpfs, where this
user may mount one), records and logs damaged or made unreadable, the entry's own files unreadable for a while, a wall
clock that jumps by days, and (--ray) a machine of a local Ray cluster lost in the middle. Where root starts it, the
harness runs without root's right to read everything. After each fault the same command is given again. Only
faults that struck count: a kill after the end is none. Prints a line a kind, and the time from kill -9 to a
trainer that runs again; ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "reproduce")]

from fake_entry import write_entry  # noqa: E402

from reproduce.rundir import RunDirectory, State  # noqa: E402
from reproduce.runner import run_seeds, table_of  # noqa: E402

SEEDS = (1, 2, 3)
TRAINER_ENV = {"PAUSE": "0.1", "ITERATIONS": "8"}
# Root may read what nobody may; without these two capabilities it is a user like others.
AS_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--") if os.geteuid() == 0 else ()
# A harness that imports this sees a wall clock which jumps back and forth by up to ten days at every look.
JUMPING_CLOCK = (
    "import random, time\n_true = time.time\ntime.time = lambda: _true() + random.uniform(-864000, 864000)\n"
)


class Run:
    """One run directory that is disturbed until it has had enough."""

    def __init__(self, entry: Path, place: Path, chance: random.Random) -> None:
        self.entry, self.place, self.chance = entry, place, chance
        self.directory = RunDirectory(place / "run")
        self.restarts: list[float] = []

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        words = ["reproduce", str(self.entry), "--trust", "--out", str(self.directory.path)]
        words += ["--seeds", ",".join(map(str, SEEDS)), *(f"--env={key}={value}" for key, value in TRAINER_ENV.items())]
        return subprocess.Popen(
            [*AS_OTHERS, sys.executable, "-m", "golfproof", *words],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait_a_random_while(self) -> None:
        time.sleep(self.chance.uniform(0.0, 2.5))

    def running(self) -> int | None:
        """The process id of the trainer that runs now, if any."""
        for seed in SEEDS:
            run = self.directory.read(seed)
            if run.state is State.RUNNING and run.pid is not None:
                return run.pid
        return None

    def finished(self) -> dict[int, str]:
        """The finished seeds with what identifies the run that finished them, as the harness must see them.

        It may read less than this process does where root starts it.
        """
        found = [seed for seed in SEEDS if self.directory.finished(seed)]
        files = {seed: (self.directory.seed_folder(seed) / "run.json", self.directory.log(seed)) for seed in found}
        readable = [seed for seed in found if all(path.stat().st_mode & 0o400 for path in files[seed])]
        return {seed: self.directory.read(seed).token for seed in readable}


def kill_harness(run: Run) -> bool:
    harness = run.start()
    run.wait_a_random_while()
    struck = harness.poll() is None
    harness.kill()
    harness.wait()
    return struck


def kill_harness_and_time_the_restart(run: Run) -> bool:
    harness = run.start()
    deadline = time.monotonic() + 10
    while run.running() is None and harness.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    before = {run.directory.read(seed).token for seed in SEEDS}
    struck, killed = harness.poll() is None, time.monotonic()
    harness.kill()
    harness.wait()
    again = run.start()
    while again.poll() is None:
        now = [run.directory.read(seed) for seed in SEEDS]
        if any(one.state is State.RUNNING and one.pid and one.token not in before for one in now):
            run.restarts.append(time.monotonic() - killed)
            break
        time.sleep(0.005)
    again.kill()
    again.wait()
    return struck


def terminate_harness(run: Run) -> bool:
    harness = run.start()
    run.wait_a_random_while()
    struck = harness.poll() is None
    harness.send_signal(run.chance.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
    harness.wait()
    return struck


def kill_trainer(run: Run) -> bool:
    harness = run.start()
    run.wait_a_random_while()
    if (pid := run.running()) is not None:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    harness.wait()
    return pid is not None


def jump_the_clock(run: Run) -> bool:
    folder = run.place / "clock"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(JUMPING_CLOCK)
    harness = run.start(PYTHONPATH=os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    run.wait_a_random_while()
    if run.chance.random() < 0.5:
        harness.kill()
    harness.wait()
    return True


def damage_record(run: Run) -> bool:
    path = run.directory.seed_folder(run.chance.choice(SEEDS)) / "run.json"
    return _damage(path, run.chance)


def damage_log(run: Run) -> bool:
    return _damage(run.directory.log(run.chance.choice(SEEDS)), run.chance)


def hide_entry(run: Run) -> bool:
    """Nothing can start without its entry: the harness must refuse in one line, and leave what is there as it is."""
    trainer = run.entry / "train_gpt.py"
    trainer.chmod(0)
    try:
        return run.start().wait() == 2
    finally:
        trainer.chmod(0o644)


def fill_the_disk(run: Run) -> bool:
    harness = run.start()
    run.wait_a_random_while()
    struck = harness.poll() is None
    left = run.chance.choice([0, 0, 4096, 8192, 16384])
    filler = run.place / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        free = os.statvfs(run.place)
        file.write(b"x" * max(0, free.f_bavail * free.f_frsize - left))
    harness.wait()
    filler.unlink(missing_ok=True)
    return struck


def _damage(path: Path, chance: random.Random) -> bool:
    if not path.is_file():
        return False
    data = path.read_bytes()
    kind = chance.randrange(6)
    if kind == 0:
        path.write_bytes(data[: chance.randrange(len(data) + 1)])  # cut, as by a lost power supply
    elif kind == 1:
        path.write_bytes(bytes(chance.randrange(256) for _ in range(len(data))))
    elif kind == 2:
        path.unlink()
    elif kind == 3:
        path.unlink()
        path.mkdir()  # unreadable even for root
    elif kind == 4:
        path.chmod(0)
    elif data:
        at = chance.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])  # one bit
    return True


# A damaged file may cost the seed it belongs to a new run; every other fault must leave finished seeds as they are.
HARMLESS: tuple[Callable[[Run], bool], ...] = (
    kill_harness,
    kill_harness_and_time_the_restart,
    terminate_harness,
    kill_trainer,
    jump_the_clock,
    fill_the_disk,
    hide_entry,
)
DAMAGING: tuple[Callable[[Run], bool], ...] = (damage_record, damage_log)
WEIGHTS = (5, 3, 3, 3, 3, 3, 1, 3, 3)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A tmpfs of 1 MiB at ``folder``; False where this user may not mount one."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def scores(directory: RunDirectory) -> str:
    """The table in full, so that equality means every figure of it."""
    table = table_of(directory)
    runs = [(run.seed, run.headline, run.steps, run.curve, run.total_bytes) for run in table.runs]
    artifacts = [run.artifact.sha256 if run.artifact else None for run in directory.seeds()]
    return repr((runs, table.stage, table.summary, artifacts))


def disturb(run: Run, faults: int, undisturbed: str, told: Counter[str], can_fill: bool) -> list[str]:
    """Inject up to ``faults`` faults while a seed is missing, then let the run end; what was lost, in words."""
    problems = []
    struck = 0
    while struck < faults and (struck == 0 or len(run.finished()) < len(SEEDS)):
        (fault,) = run.chance.choices((*HARMLESS, *DAMAGING), WEIGHTS)
        if fault is fill_the_disk and not can_fill:
            continue
        before = run.finished()
        if fault(run):
            struck += 1
            told[fault.__name__] += 1
        after = run.finished()
        if fault in HARMLESS and any(after.get(seed) != token for seed, token in before.items()):
            problems.append(f"{fault.__name__}: a finished seed was lost or run again")
    for _ in range(4):  # a trainer that was killed as the last fault leaves a failed seed: the command goes on from it
        if run.start().wait() == 0:
            break
    else:
        problems.append("the run did not come to its end")
    if scores(run.directory) != undisturbed:
        problems.append("the final table differs from the undisturbed one")
    return problems


def ray_rounds(rounds: int, entry: Path, place: Path, undisturbed: str) -> list[str]:
    """Runs on a local cluster whose second machine is lost while it trains."""
    from test_ray_cluster import end_machine, free_port, start_machine

    from reproduce.executors import RayExecutor
    from reproduce.runner import Options

    problems = []
    port = free_port()
    words = ("--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--node-ip-address=127.0.0.1")
    head = start_machine(place, *words)
    try:
        for number in range(rounds):
            second = [start_machine(place, f"--address=127.0.0.1:{port}", "--num-cpus=1")]
            directory = RunDirectory(place / f"ray-{number}")
            seen: set[int] = set()

            def lose(
                seed: int, state: object, seen: set[int] = seen, second: list[subprocess.Popen[str]] = second
            ) -> None:
                if getattr(state, "step", 0) >= 1:
                    seen.add(seed)
                if len(seen) == 2 and second:
                    end_machine(second.pop())

            run_seeds(
                entry,
                SEEDS,
                out=directory.path,
                env={**TRAINER_ENV, "PAUSE": "0.5"},
                progress=lose,
                options=Options(cluster=RayExecutor(f"127.0.0.1:{port}")),
            )
            if second:
                problems.append("ray: the machine was not lost in time")
                end_machine(second.pop())
            if scores(directory) != undisturbed:
                problems.append("ray: the final table differs from the undisturbed one")
    finally:
        import ray

        ray.shutdown()
        end_machine(head)
    return problems


def main() -> None:
    """Run the benchmark; see the module."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--faults", type=int, default=200)
    options.add_argument("--ray", type=int, default=0, help="machines to lose, of the faults")
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    chance, told, problems, restarts = random.Random(asked.seed), Counter[str](), [], []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        entry = write_entry(Path(folder) / "entry")
        run_seeds(entry, SEEDS, out=Path(folder) / "undisturbed", env=TRAINER_ENV)
        undisturbed = scores(RunDirectory(Path(folder) / "undisturbed"))
        number = 0
        while (left := asked.faults - asked.ray - told.total()) > 0:
            place = Path(folder) / f"round-{number}"
            place.mkdir()
            with small_disk(place) as can_fill:
                if not can_fill and number == 0:
                    print("no small disk can be mounted here: fill_the_disk is left out")
                run = Run(entry, place, chance)
                count = min(left, chance.randint(3, 8))
                problems += [
                    f"round {number}: {problem}" for problem in disturb(run, count, undisturbed, told, can_fill)
                ]
                restarts += run.restarts
            number += 1
        if asked.ray:
            problems += ray_rounds(asked.ray, entry, Path(folder), undisturbed)
            told["lose_a_ray_machine"] += asked.ray
    for kind, count in sorted(told.items()):
        print(f"{kind}: {count}")
    print(f"{sum(told.values())} faults in {number} runs and {asked.ray} on a cluster; {len(problems)} problems")
    if restarts:
        print(
            f"from kill -9 to a trainer that runs again: median {statistics.median(restarts):.2f} s, "
            f"longest {max(restarts):.2f} s, {len(restarts)} times"
        )
    print(json.dumps(problems, indent=2) if problems else "every final table equals the undisturbed one")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
