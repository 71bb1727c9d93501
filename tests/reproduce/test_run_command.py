"""Commands are read out of prose and scripts as a shell would read them, and no shell is started."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce.run_command import commands_in_markdown, commands_in_script


def only(text, read=None):
    (command,) = commands_in_markdown(text, "README.md", read)
    return command


def test_assignments_on_continued_lines_reach_the_program():
    command = only(
        "```bash\nA=1 \\\nB='two words' \\\n  torchrun --standalone --nproc_per_node=8 x/train_gpt.py --flag 2\n```\n"
    )
    assert command.environment == {"A": "1", "B": "two words"}
    assert command.environment_lines == {"A": 2, "B": 3}
    assert (command.program, command.script_name, command.processes) == ("torchrun", "train_gpt.py", 8)
    assert command.arguments == ("--flag", "2")


def test_exports_reach_later_commands():
    command = only("```\nexport A=1 B=2\n```\nthen\n```\nC=3 python3 train_gpt.py\n```\n")
    assert command.environment == {"A": "1", "B": "2", "C": "3"}


def test_env_and_wrappers_are_seen_through():
    command = only(
        "```\nnohup env A=1 python -m torch.distributed.run --nproc_per_node 4 train_gpt.py > a.log 2>&1 &\n```\n"
    )
    assert command.environment == {"A": "1"} and command.processes == 4 and command.arguments == ()


def test_a_loop_over_seeds_gives_its_first():
    command = only(
        "```\nfor SEED in 42 7; do\n  SEED=$SEED RUN_ID=s${SEED} torchrun train_gpt.py | tee a.log\ndone\n```\n"
    )
    assert command.environment == {"SEED": "42", "RUN_ID": "s42"}


def test_a_default_of_an_unset_variable_is_its_value():
    command = only("```\nA=${A:-5} B=${B} python train_gpt.py\n```\n")
    assert command.environment == {"A": "5"} and command.open_values == ("B",)


def test_a_placeholder_is_left_open():
    assert only("```\nSEED=<seed> python train_gpt.py\n```\n").open_values == ("SEED",)


def test_words_before_the_launcher_are_passed_over():
    command = only("```\ncaffeinate -i -m taskset -c 0-7 python3 train_gpt.py\n```\n")
    assert (command.program, command.script) == ("python3", "train_gpt.py")


def test_a_command_outside_any_code_block_is_read_where_no_block_holds_one():
    assert only("Run it:\n\nA=1 torchrun --nproc_per_node=8 train_gpt.py\n").environment == {"A": "1"}


def test_a_variable_that_holds_several_assignments_is_split():
    command = only('```\nCOMMON="A=1 B=2"\nenv $COMMON C=3 python train_gpt.py\n```\n')
    assert {key: command.environment[key] for key in "ABC"} == {"A": "1", "B": "2", "C": "3"}


def test_markdown_escapes_are_undone():
    command = only("```\nRUN\\_ID=a \\\\\nX\\_Y=2 \\\\\ntorchrun train\\_gpt.py\n```\n")
    assert command.environment == {"RUN_ID": "a", "X_Y": "2"} and command.script == "train_gpt.py"


def test_windows_assignments_are_read():
    text = '```\n$env:A="1"\nset B=2\npython train_gpt.py\n```\n'
    assert only(text).environment == {"A": "1", "B": "2"}


def test_a_shell_script_is_followed_with_the_callers_environment():
    script = 'export A="${A:-1}"\nB=2 torchrun --nproc_per_node=8 train_gpt.py\n'
    command = only("```\nA=9 bash run.sh\n```\n", {"run.sh": script}.get)
    assert command.environment == {"A": "9", "B": "2"} and command.file == "run.sh"


def test_a_sourced_file_sets_the_environment():
    command = only("```\nsource env.sh\npython train_gpt.py\n```\n", {"env.sh": "export A=3\n"}.get)
    assert command.environment == {"A": "3"}


def test_a_script_that_starts_itself_ends():
    assert commands_in_script("bash run.sh\n", "run.sh", {"run.sh": "bash run.sh\n"}.get) == []


def test_inline_code_and_indented_blocks_are_read():
    text = "Run `A=1 python train_gpt.py` or\n\n    B=2 python train_gpt.py\n"
    assert [dict(command.environment) for command in commands_in_markdown(text, "README.md")] == [
        {"B": "2"},
        {"A": "1"},
    ]


def test_prose_and_installs_are_no_commands():
    text = "```\npip install torch\n# python train_gpt.py\npython -c 'print(1)' x.py\nls train_gpt.py\n```\n"
    assert commands_in_markdown(text, "README.md") == []


@settings(deadline=None)
@given(st.text(alphabet="AB=12 \\\n'\"`$#{}()|&;<>~:-.py torchun\t", max_size=300))
def test_no_text_breaks_the_reader(text):
    commands_in_markdown(f"```\n{text}\n```\n{text}", "README.md", lambda name: text)
