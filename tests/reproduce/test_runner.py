"""Seeds are rerun, kept, retried and reported one by one, whatever happens to a run or to the harness."""

from __future__ import annotations

import json
import os
import select
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from fake_entry import expected_bpb, write_entry

from reproduce.errors import InputError
from reproduce.live import Phase, Progress
from reproduce.process import Limits
from reproduce.rundir import RunDirectory, State
from reproduce.runner import Options, run_seeds


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    return write_entry(tmp_path / "entry")


def launches(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_table_has_a_score_a_seed_with_mean_and_sample_std(entry: Path, tmp_path: Path) -> None:
    table = run_seeds(entry, [1337, 42, 7], out=tmp_path / "run")
    values = [expected_bpb(seed) for seed in (1337, 42, 7)]
    assert [run.seed for run in table.runs] == [1337, 42, 7]
    assert table.summary is not None
    assert table.summary.mean == pytest.approx(statistics.mean(values), abs=1e-12)
    assert table.summary.std == pytest.approx(statistics.stdev(values), abs=1e-12)


def test_record_holds_hashes_versions_and_times(entry: Path, tmp_path: Path) -> None:
    run_seeds(entry, [5], out=tmp_path / "run")
    directory = RunDirectory(tmp_path / "run")
    run = directory.read(5)
    assert run.state is State.FINISHED and run.exit_code == 0 and run.seconds is not None
    assert run.artifact is not None and run.artifact.bytes == 5000
    assert (directory.seed_folder(5) / run.artifact.path).stat().st_size == 5000
    assert {file.path for file in directory.plan().inputs} == {"train_gpt.py", "README.md"}
    assert run.machine["python"] and run.environment["SEED"] == "5"
    assert run.peak_memory_bytes is not None and run.peak_memory_bytes > 1 << 20


def test_finished_seeds_are_not_run_again(entry: Path, tmp_path: Path) -> None:
    env = {"LAUNCHES": str(tmp_path / "launches")}
    first = run_seeds(entry, [1, 2], out=tmp_path / "run", env=env)
    again = run_seeds(entry, [1, 2, 3], out=tmp_path / "run", env=env)
    assert len(launches(tmp_path / "launches")) == 3
    assert again.runs[:2] == first.runs


def test_seed_whose_log_was_altered_is_run_again(entry: Path, tmp_path: Path) -> None:
    undisturbed = run_seeds(entry, [1], out=tmp_path / "run")
    log = RunDirectory(tmp_path / "run").log(1)
    log.write_text(log.read_text().replace("val_bpb:1.2", "val_bpb:1.1"))
    again = run_seeds(entry, [1], out=tmp_path / "run")
    assert again.summary == undisturbed.summary


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"state": "finished"}', '{"state": "no such state", "seed": 1}'])
def test_seed_whose_record_is_damaged_is_run_again(entry: Path, tmp_path: Path, damage: str) -> None:
    undisturbed = run_seeds(entry, [1], out=tmp_path / "run")
    (tmp_path / "run" / "1" / "run.json").write_text(damage)
    assert run_seeds(entry, [1], out=tmp_path / "run").summary == undisturbed.summary


@pytest.mark.parametrize(
    ("bad", "state", "why"),
    [
        ("crash", State.FAILED, "out of luck"),
        ("nan", State.NOT_A_NUMBER, "nan"),
        ("silent exit", State.FAILED, "without a val_bpb"),
    ],
)
def test_bad_seed_is_named_and_spoils_no_other(entry: Path, tmp_path: Path, bad: str, state: State, why: str) -> None:
    table = run_seeds(entry, [1, 2, 3], out=tmp_path / "run", env={"BAD": bad, "BAD_SEED": "2"})
    run = RunDirectory(tmp_path / "run").read(2)
    assert run.state is state and why in run.why
    assert [found.seed for found in table.runs] == [1, 3]
    assert any(note.startswith("seed 2:") for note in table.notes)


def test_hanging_seed_is_ended_at_its_limit(entry: Path, tmp_path: Path) -> None:
    options = Options(limits=Limits(silence=1.0))
    run_seeds(entry, [2], out=tmp_path / "run", env={"BAD": "hang", "BAD_SEED": "2"}, options=options)
    run = RunDirectory(tmp_path / "run").read(2)
    assert run.state is State.TIMEOUT and "printed nothing" in run.why


def test_retry_finishes_a_seed_and_keeps_the_log_of_the_first_attempt(entry: Path, tmp_path: Path) -> None:
    env = {"BAD": "once", "BAD_SEED": "2", "ONCE": str(tmp_path / "once")}
    table = run_seeds(entry, [2], out=tmp_path / "run", env=env, options=Options(retries=1))
    run = RunDirectory(tmp_path / "run").read(2)
    assert run.state is State.FINISHED and run.attempt == 2
    assert run.earlier[0]["state"] == "failed"
    assert "step:2/4" in (tmp_path / "run" / "2" / "train.1.log").read_text()
    assert any("attempt 2" in note for note in table.notes)


def test_without_retries_a_failure_stands(entry: Path, tmp_path: Path) -> None:
    env = {"BAD": "once", "BAD_SEED": "2", "ONCE": str(tmp_path / "once")}
    table = run_seeds(entry, [2], out=tmp_path / "run", env=env)
    assert table.runs == () and table.summary is None


def test_second_harness_is_kept_out(entry: Path, tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run").held(), pytest.raises(InputError, match=f"one at work .process {os.getpid()}"):
        run_seeds(entry, [1], out=tmp_path / "run")


def test_changed_trainer_is_refused_in_the_old_directory(entry: Path, tmp_path: Path) -> None:
    run_seeds(entry, [1], out=tmp_path / "run")
    before = (tmp_path / "run" / "plan.json").read_bytes()
    (entry / "train_gpt.py").write_text((entry / "train_gpt.py").read_text() + "# better\n")
    with pytest.raises(InputError, match=r"train_gpt\.py changed"):
        run_seeds(entry, [1], out=tmp_path / "run")
    assert (tmp_path / "run" / "plan.json").read_bytes() == before


def test_folder_with_other_things_in_it_is_no_run_directory(entry: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        run_seeds(entry, [1], out=tmp_path / "run")


def test_file_in_place_of_the_run_directory_is_unusable_input(entry: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("precious")
    with pytest.raises(InputError, match="a folder for the run"):
        run_seeds(entry, [1], out=tmp_path / "run")
    assert (tmp_path / "run").read_text() == "precious"


def test_run_command_of_the_readme_is_used(tmp_path: Path) -> None:
    entry = write_entry(tmp_path / "entry", readme="```bash\nSEED=1 ITERATIONS=6 python3 train_gpt.py\n```\n")
    table = run_seeds(entry, [9], out=tmp_path / "run")
    assert table.runs[0].steps == 6 and table.runs[0].seed == 9


def test_credentials_are_neither_passed_nor_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-secret-value")
    text = (entry / "train_gpt.py").read_text()
    (entry / "train_gpt.py").write_text(text + "print('token', os.environ.get('HF_TOKEN'))\n")
    run_seeds(entry, [1], out=tmp_path / "run")
    assert "token None" in RunDirectory(tmp_path / "run").log(1).read_text()
    assert all(b"a-secret-value" not in path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())


def test_progress_is_told_from_the_growing_log(entry: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    run_seeds(entry, [1], out=tmp_path / "run", progress=lambda seed, state: told.append(state))
    assert told[-1].phase is Phase.DONE and told[-1].state == "finished"


def test_stop_at_the_keyboard_is_recorded_and_the_run_ended(entry: Path, tmp_path: Path) -> None:
    def interrupt(seed: int, state: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_seeds(entry, [1], out=tmp_path / "run", env={"PAUSE": "0.2"}, progress=interrupt)
    run = RunDirectory(tmp_path / "run").read(1)
    assert run.state is State.STOPPED
    assert run_seeds(entry, [1], out=tmp_path / "run", env={"PAUSE": "0.2"}).summary is not None


HARNESS = """
import sys
from reproduce.runner import Options, run_seeds
entry, out, launches, resume = sys.argv[1:]
run_seeds(entry, [1, 2], out=out, env={"PAUSE": "0.2", "LAUNCHES": launches},
          options=Options(resume_env={"RESUME": "yes"} if resume else {}),
          progress=lambda seed, state: print(seed, state.step, state.state, flush=True))
"""


def harness(entry: Path, tmp_path: Path, resume: str = "") -> subprocess.Popen[str]:
    words = [str(entry), str(tmp_path / "run"), str(tmp_path / "launches"), resume]
    return subprocess.Popen([sys.executable, "-c", HARNESS, *words], stdout=subprocess.PIPE, text=True)


def kill_during_second_seed(process: subprocess.Popen[str], directory: RunDirectory) -> int:
    """Kill the harness while its second seed trains; gives a handle that becomes readable when the trainer ends."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("2 "):
            break
    pid = directory.read(2).pid
    assert pid is not None
    trainer = os.pidfd_open(pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return trainer


@pytest.mark.slow
def test_killed_harness_leaves_no_process_and_goes_on_where_it_was(entry: Path, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    trainer = kill_during_second_seed(harness(entry, tmp_path), directory)
    ended, _, _ = select.select([trainer], [], [], 20)
    os.close(trainer)
    assert ended, "the trainer outlived its harness"
    assert directory.read(2).state is State.RUNNING
    env = {"PAUSE": "0.2", "LAUNCHES": str(tmp_path / "launches")}
    table = run_seeds(entry, [1, 2], out=tmp_path / "run", env=env)
    assert [line.split()[0] for line in launches(tmp_path / "launches")] == ["1", "2", "2"]
    assert [run.headline.val_bpb for run in table.runs if run.headline] == [expected_bpb(1), expected_bpb(2)]


@pytest.mark.slow
def test_half_run_seed_is_resumed_where_the_trainer_can(entry: Path, tmp_path: Path) -> None:
    os.close(kill_during_second_seed(harness(entry, tmp_path, resume="yes"), RunDirectory(tmp_path / "run")))
    env = {"PAUSE": "0.2", "LAUNCHES": str(tmp_path / "launches")}
    run_seeds(entry, [1, 2], out=tmp_path / "run", env=env, options=Options(resume_env={"RESUME": "yes"}))
    assert launches(tmp_path / "launches")[-1] == "2 yes True"
    run = RunDirectory(tmp_path / "run").read(2)
    assert run.attempt == 2 and run.earlier[0]["state"] == "lost"
    assert RunDirectory(tmp_path / "run").log(2).read_text().count("seed:2\n") == 2  # both parts in one log
    assert [step.step for step in RunDirectory(tmp_path / "run").read_log(run).curve] == [1, 2, 3, 4]


def test_plan_that_is_not_json_is_unusable_input(entry: Path, tmp_path: Path) -> None:
    run_seeds(entry, [1], out=tmp_path / "run")
    (tmp_path / "run" / "plan.json").write_text("not json")
    with pytest.raises(InputError, match=r"plan\.json"):
        run_seeds(entry, [1], out=tmp_path / "run")


def test_plan_without_a_key_is_unusable_input(entry: Path, tmp_path: Path) -> None:
    run_seeds(entry, [1], out=tmp_path / "run")
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    del plan["inputs"]
    (tmp_path / "run" / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(InputError, match="complete run plan"):
        run_seeds(entry, [1], out=tmp_path / "run")


TWO_PHASES = """
import os
from pathlib import Path

phase = os.environ["PHASE"]
print("phase", phase, "sees", sorted(path.name for path in Path("data").rglob("*.bin") if path.stat().st_size))
if phase == "train":
    Path("model.ptz").write_bytes(b"weights")
    print("step:1/1 train_loss:2.0 train_time:5ms")
    print("Serialized model int8+zlib: 7 bytes")
else:
    print("artifact", Path(os.environ["ARTIFACT"]).read_bytes().decode())
    print("final_int8_zlib_roundtrip_exact val_loss:2.0 val_bpb:1.25")
"""


@pytest.mark.slow
def test_evaluator_in_the_sandbox_sees_no_training_shard(tmp_path: Path) -> None:
    from reproduce.sandbox import refusal

    if (reason := refusal()) is not None:
        pytest.skip(reason)
    shards = tmp_path / "shards" / "sp1024"
    shards.mkdir(parents=True)
    for name in ("fineweb_train_000000.bin", "fineweb_val_000000.bin"):
        (shards / name).write_bytes(b"tokens")
    options = Options(sandbox=True, evaluate_apart=True, data=tmp_path / "shards")
    table = run_seeds(write_entry(tmp_path / "entry", TWO_PHASES), [1], out=tmp_path / "run", options=options)
    assert table.summary is not None and table.summary.mean == 1.25
    log = RunDirectory(tmp_path / "run").log(1).read_text()
    assert "phase train sees ['fineweb_train_000000.bin', 'fineweb_val_000000.bin']" in log
    assert "phase evaluate sees ['fineweb_val_000000.bin']" in log and "artifact weights" in log


@pytest.mark.skipif(os.geteuid() != 0, reason="for anybody but root the sandbox reads what its user may read")
def test_data_that_the_sandbox_could_not_read_are_unusable_input(entry: Path, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir(mode=0o700)
    with pytest.raises(InputError, match="everybody may read"):
        run_seeds(entry, [1], out=tmp_path / "run", options=Options(sandbox=True, data=tmp_path / "shards"))
