"""A run directory is shown while somebody else's harness works in it: on the terminal and as a page."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent.parent / "reproduce"))
from fake_entry import expected_bpb, write_entry

from reports import watch_page, watch_terminal
from reports.braille import curves
from reports.seed_progress import SeedBars
from reproduce.errors import InputError
from reproduce.live import Phase, Progress
from reproduce.rundir import RunDirectory, SeedRun, State
from reproduce.runner import run_seeds
from reproduce.snapshot import Watcher


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seed 1 finished, seed 2 at step 3 with a hostile name of a stage, seed 3 failed."""
    folder = tmp_path_factory.mktemp("watch")
    out = folder / "run"
    run_seeds(write_entry(folder / "entry"), [1, 3], out=out, env={"BAD": "crash", "BAD_SEED": "3"})
    directory = RunDirectory(out)
    plan = json.loads((out / "plan.json").read_text())
    (out / "plan.json").write_text(json.dumps({**plan, "seeds": [1, 2, 3]}))
    directory.write(SeedRun(2, State.RUNNING, attempt=1))
    directory.log(2).write_text(
        "train_batch_tokens:1000 x\n"
        + "".join(f"step:{i}/9 train_loss:{5 - i} train_time:{i * 1000}ms\n" for i in range(4))
    )
    return out


def shown(run: Path) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120).print(watch_terminal.render(Watcher(run).look()))
    return stream.getvalue()


def test_terminal_shows_every_seed_with_its_state(run: Path) -> None:
    lines = {line.split()[0]: line for line in shown(run).splitlines() if line.strip()[:1].isdigit()}
    assert "finished" in lines["1"] and f"{expected_bpb(1):.4f}" in lines["1"]
    assert "train" in lines["2"] and "3/9" in lines["2"] and "1,000" in lines["2"]
    assert "failed" in lines["3"]


def test_a_log_that_grows_is_read_on(run: Path) -> None:
    watcher = Watcher(run)
    assert watcher.look().seeds[1].progress.step == 3
    with RunDirectory(run).log(2).open("a") as file:
        file.write("step:4/9 train_loss:0.5 train_time:4000ms\n")
    assert watcher.look().seeds[1].progress.step == 4


def test_run_is_over_when_nothing_runs_or_waits(run: Path) -> None:
    assert not Watcher(run).look().over


def test_folder_that_is_no_run_directory_is_unusable_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run directory"):
        Watcher(tmp_path)


@pytest.fixture
def address(run: Path) -> Iterator[str]:
    with watch_page.serve(run) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_page_and_its_data_are_served(address: str) -> None:
    page = urlopen(address + "/").read().decode()
    data = json.load(urlopen(address + "/state.json"))
    assert "/state.json" in page and "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert [seed["state"] for seed in data["seeds"]] == ["finished", "running", "failed"]
    assert data["seeds"][0]["val_bpb"] == expected_bpb(1)
    assert data["seeds"][1]["train"][0] == [0, 5.0]


def test_other_paths_are_not_served(address: str) -> None:
    with pytest.raises(HTTPError, match="404"):
        urlopen(address + "/../plan.json")


def test_other_names_of_this_machine_are_refused(address: str) -> None:
    with pytest.raises(HTTPError, match="403"):
        urlopen(Request(address + "/state.json", headers={"Host": "evil.example:80"}))


def test_curve_falls_from_the_upper_left_to_the_lower_right() -> None:
    rows = curves([("a", [(0, 2.0), (10, 1.0)])], width=30, height=8).plain.splitlines()
    dots = [(row, column) for row, line in enumerate(rows) for column, c in enumerate(line) if "⠀" < c <= "⣿"]
    assert min(dots)[1] < max(dots)[1] and min(dots)[0] == 0
    assert rows[0].startswith(" 2.000") and "1.000" in rows[5]


@pytest.mark.parametrize("points", [[], [(1, float("nan"))], [(1, 1.0)], [(1, 1.0), (1, 1.0)]])
def test_curves_of_few_points_are_drawn(points: list[tuple[float, float]]) -> None:
    assert curves([("a", points)]).plain


def test_bars_fit_a_narrow_terminal() -> None:
    stream = io.StringIO()
    state = Progress(phase=Phase.TRAIN, step=12_000, steps=20_000, train_loss=2.5, val_bpb=1.2, seconds_left=300.0)
    with SeedBars([1337], Console(file=stream, width=60, force_terminal=True)) as bars:
        bars(1337, state)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", stream.getvalue())]
    assert any("5:00 left" in line for line in lines) and max(map(len, lines)) <= 60


def test_bars_say_nothing_when_piped() -> None:
    stream = io.StringIO()
    with SeedBars([1], Console(file=stream)) as bars:
        bars(1, Progress(phase=Phase.TRAIN, step=1))
    assert stream.getvalue() == ""
