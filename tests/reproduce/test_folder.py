"""What a stranger's folder gives: trainer, command, logs; and a one-line error for what is not a submission."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reproduce.errors import InputError
from reproduce.folder import find_submissions, open_folder

TRAINER = "import torch\noptimizer = torch.optim.SGD([], lr=0.1)\n"


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_a_plain_folder_gives_all_its_parts(tmp_path):
    write(
        tmp_path / "entry",
        {
            "train_gpt.py": TRAINER,
            "ngram.py": "x = 1\n",
            "README.md": "# Run\n```bash\nSEED=7 torchrun --standalone --nproc_per_node=8 train_gpt.py\n```\n",
            "submission.json": json.dumps({"name": "An entry", "val_bpb": 1.2}),
            "train_seed42.log": "step:1/2 train_loss:3\n",
            "train_seed7.log": "step:1/2 train_loss:3\n",
            "requirements.txt": "torch\n",
        },
    )
    folder = open_folder(tmp_path / "entry")
    assert folder.trainer == tmp_path / "entry" / "train_gpt.py"
    assert [helper.name for helper in folder.helpers] == ["ngram.py"]
    assert folder.name == "An entry" and folder.metadata["val_bpb"] == 1.2
    assert [log.name for log in folder.logs] == ["train_seed7.log", "train_seed42.log"]
    assert folder.run_command and folder.run_command.environment == {"SEED": "7"} and folder.run_command.line == 3
    assert folder.requirements and folder.requirements.name == "requirements.txt"


def test_the_run_command_names_the_trainer_among_several(tmp_path):
    write(
        tmp_path,
        {
            "train_gpt_a.py": TRAINER,
            "train_gpt_b.py": TRAINER,
            "README.md": "```\ntorchrun --nproc_per_node=8 train_gpt_b.py\n```\n",
        },
    )
    folder = open_folder(tmp_path)
    assert folder.trainer and folder.trainer.name == "train_gpt_b.py"
    assert "README.md line 2 runs it" in folder.trainer_why and "not train_gpt_a.py" in folder.trainer_why


def test_the_code_size_in_a_log_names_the_trainer_among_several(tmp_path):
    other = TRAINER + "# longer\n" * 20
    write(
        tmp_path,
        {"train_a.py": TRAINER, "train_b.py": other, "train.log": f"Code size: {len(other)} bytes\nval_bpb:1.2\n"},
    )
    folder = open_folder(tmp_path)
    assert folder.trainer and folder.trainer.name == "train_b.py" and "logs its size" in folder.trainer_why


def test_the_source_a_log_prints_names_the_trainer_among_several(tmp_path):
    body = "".join(f"learning_rate_of_group_{i} = compute_it({i}, 'b')\n" for i in range(20))
    write(tmp_path, {"train_a.py": TRAINER + "y = 2\n", "train_b.py": TRAINER + body, "run.log": TRAINER + body})
    folder = open_folder(tmp_path)
    assert folder.trainer and folder.trainer.name == "train_b.py" and "prints its source" in folder.trainer_why


def test_a_readable_copy_beside_the_packed_trainer_is_not_the_trainer(tmp_path):
    packed = 'import lzma,base64\nexec(lzma.decompress(base64.b85decode("x")))\n'
    write(tmp_path, {"train_gpt.py": packed, "train_gpt_human.py": TRAINER})
    folder = open_folder(tmp_path)
    assert folder.trainer and folder.trainer.name == "train_gpt.py"
    assert [other.name for other in folder.others] == ["train_gpt_human.py"]


def test_a_trainer_under_any_name_is_found_by_what_it_does(tmp_path):
    write(tmp_path, {"golf.py": TRAINER, "plot.py": "x = 1\n"})
    folder = open_folder(tmp_path)
    assert folder.trainer and folder.trainer.name == "golf.py"


def test_logs_without_a_trainer_still_open(tmp_path):
    write(tmp_path, {"submission.json": "{}", "train.log": "val_bpb:1.2\n"})
    folder = open_folder(tmp_path)
    assert folder.trainer is None and folder.trainer_why == "no Python file" and len(folder.logs) == 1


def test_text_files_count_as_logs_only_where_they_read_like_one(tmp_path):
    write(tmp_path, {"train_gpt.py": TRAINER, "seed7.txt": "step:3 val_bpb:1.1\n", "notes.txt": "hello\n"})
    assert [log.name for log in open_folder(tmp_path).logs] == ["seed7.txt"]


def test_a_trainer_file_is_a_path_as_good_as_its_folder(tmp_path):
    write(tmp_path, {"a_train.py": TRAINER, "train_gpt.py": TRAINER, "README.md": "x"})
    folder = open_folder(tmp_path / "a_train.py")
    assert folder.trainer == tmp_path / "a_train.py" and folder.path == tmp_path


def test_a_folder_around_one_submission_opens_it(tmp_path):
    write(tmp_path, {"records/track/entry/train_gpt.py": TRAINER, "records/track/entry/submission.json": "{}"})
    assert open_folder(tmp_path).path == tmp_path / "records" / "track" / "entry"


def test_a_folder_of_several_submissions_says_so(tmp_path):
    for name in ("one", "two"):
        write(tmp_path, {f"{name}/train_gpt.py": TRAINER, f"{name}/submission.json": "{}"})
    with pytest.raises(InputError, match=r"expected one submission folder, found 2 of them \(one, two\)"):
        open_folder(tmp_path)
    assert [path.name for path in find_submissions(tmp_path)] == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"{not json", "line 1"),
        (b"[1, 2]", "a JSON list"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\x00", ""),
    ],
)
def test_a_submission_json_that_is_none_is_one_line(tmp_path, content, found):
    write(tmp_path, {"train_gpt.py": TRAINER, "submission.json": content})
    with pytest.raises(InputError, match=r"submission\.json: expected .*JSON.*" + found) as caught:
        open_folder(tmp_path)
    assert "\n" not in str(caught.value)
    lenient = open_folder(tmp_path, strict=False)
    assert lenient.metadata == {} and "submission.json" in lenient.notes[0]


def test_a_missing_path_is_one_line(tmp_path):
    with pytest.raises(InputError, match="nothing there"):
        open_folder(tmp_path / "nowhere")


def test_an_empty_folder_is_one_line(tmp_path):
    with pytest.raises(InputError, match="an empty folder"):
        open_folder(tmp_path)


@pytest.mark.parametrize("beside", ["entry/README.md", "other/README.md"])
def test_a_trainer_that_links_out_of_its_folder_is_refused(tmp_path, beside):
    write(tmp_path, {"outside.py": TRAINER, beside: "x"})
    (tmp_path / "entry").mkdir(exist_ok=True)
    (tmp_path / "entry" / "train_gpt.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(InputError, match="a link out of its folder"):
        open_folder(tmp_path / "entry")


def test_a_helper_that_links_out_of_its_folder_is_left_out_and_noted(tmp_path):
    write(tmp_path, {"outside.py": TRAINER, "entry/train_gpt.py": TRAINER})
    (tmp_path / "entry" / "more.py").symlink_to(tmp_path / "outside.py")
    folder = open_folder(tmp_path / "entry")
    assert folder.helpers == () and "more.py" in folder.notes[0]


def test_a_folder_that_links_to_itself_ends(tmp_path):
    write(tmp_path, {"train_gpt.py": TRAINER})
    (tmp_path / "loop").symlink_to(tmp_path)
    assert open_folder(tmp_path).helpers == ()


def test_the_eight_process_command_of_the_run_section_wins_over_a_smoke_test(tmp_path):
    readme = (
        "## Smoke test\n```\nITERATIONS=5 python train_gpt.py\n```\n"
        "## Reproduce\n```\nITERATIONS=9000 torchrun --nproc_per_node=8 train_gpt.py\n```\n"
    )
    write(tmp_path, {"train_gpt.py": TRAINER, "README.md": readme})
    folder = open_folder(tmp_path)
    assert folder.run_command and folder.run_command.environment["ITERATIONS"] == "9000"
    assert "of 2 commands" in folder.run_command_why


def test_a_trainer_that_was_run_under_another_name_keeps_its_command(tmp_path):
    readme = "```\nORDER=7 torchrun --nproc_per_node=8 train_gpt_v7.py\n```\n"
    write(tmp_path, {"train_gpt.py": TRAINER, "README.md": readme})
    folder = open_folder(tmp_path)
    assert folder.run_command and folder.run_command.environment == {"ORDER": "7"}
    assert "taken for train_gpt.py" in folder.run_command_why
