"""`golfproof report`: any format from a saved report, and the files a run writes."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.evidence.records import standing
from audit.registry import all_rules
from golfproof import app as front_door
from reports.report import Report, from_json, to_json
from reports.write import write_reports
from reproduce.errors import InputError


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(front_door.app, ["report", *arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def saved(report: Report, tmp_path: Path) -> Path:
    path = tmp_path / "result.json"
    path.write_text(to_json(report))
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("terminal", "C1-HASHKEY"),
        ("markdown", "### Findings"),
        ("html", "<!doctype html>"),
        ("json", '"submission": "Hash of the future"'),
        ("sarif", '"version": "2.1.0"'),
        ("junit", "<testsuites"),
        ("github", "::error file=train_gpt.py"),
    ],
)
def test_each_format_is_made_from_the_saved_report(saved: Path, name: str, expected: str) -> None:
    code, output = run(str(saved), "--format", name)
    assert code == 0
    assert expected in output


def test_it_reads_a_report_from_standard_input(saved: Path) -> None:
    code, output = run("-", "--format", "markdown", stdin=saved.read_text())
    assert code == 0
    assert "Hash of the future" in output


def test_no_excerpts_leaves_the_code_out(saved: Path) -> None:
    assert "context_hash" in run(str(saved), "-f", "json")[1]
    assert "context_hash" not in run(str(saved), "-f", "json", "--no-excerpts")[1]


def test_a_missing_file_is_one_line_and_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "nothing.json"
    monkeypatch.setattr("sys.argv", ["golfproof", "report", str(missing)])
    with pytest.raises(SystemExit) as stopped:
        front_door.main()
    assert stopped.value.code == 2
    assert (
        capsys.readouterr().err
        == f"golfproof: {missing}: expected a submission folder or a saved report, found No such file or directory\n"
    )


def test_an_unusable_report_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, out = tmp_path / "bad.json", tmp_path / "out.html"
    bad.write_text('{"submission": ')
    out.write_text("before")
    monkeypatch.setattr("sys.argv", ["golfproof", "report", str(bad), "-f", "html", "-o", str(out)])
    with pytest.raises(SystemExit) as stopped:
        front_door.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert out.read_text() == "before"


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    """A small entry of our own: a trainer, a log a seed, and its claims."""
    folder = tmp_path / "records" / "ours"
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_text("import torch\n\nprint(torch.zeros(1))\n")
    (folder / "README.md").write_text("# Ours\n\nRun `torchrun train_gpt.py`.\n")
    (folder / "submission.json").write_text('{"name": "Ours", "val_bpb": 1.2, "seeds": [1, 2]}')
    for seed, bpb in ((1, 1.2), (2, 1.21)):
        (folder / f"train_seed{seed}.log").write_text(
            f"seed:{seed}\nstep:1/1 train_loss:2.1 train_time:1000ms step_avg:1000ms\n"
            f"Code size: 50 bytes\nTotal submission size int8+zlib: 1000 bytes\n"
            f"final_int8_zlib_roundtrip_exact val_loss:2.02 val_bpb:{bpb}\n"
        )
    return folder


def test_a_folder_is_reported_without_running_it(submission: Path, tmp_path: Path) -> None:
    code, output = run(str(submission), "--out", str(tmp_path / "made"))
    assert code == 0
    assert output.split() == [str(tmp_path / "made" / f"report.{kind}") for kind in ("html", "md", "json")]
    text = (tmp_path / "made" / "report.md").read_text()
    assert "Mean val_bpb 1.2050" in text
    assert "| artifact" in text or "### Gate" in text
    assert "nothing was rerun" in text


def test_a_probe_s_result_is_added(saved: Path, tmp_path: Path) -> None:
    experiment = {
        "name": "normalisation",
        "stage": "s",
        "status": "breach",
        "message": "sums to 2",
        "data": {"mass": 2.0},
    }
    found = {"rule": "C2-NORM", "message": "m", "severity": "error", "certainty": "high", "basis": "measurement"}
    probe = tmp_path / "probe.json"
    probe.write_text(json.dumps({"experiments": [experiment], "findings": [{**found, "file": "train_gpt.py"}]}))
    assert run(str(saved), "--probe", str(probe), "-o", str(tmp_path / "new.json"))[0] == 0
    added = from_json((tmp_path / "new.json").read_text())
    assert [(one.status, one.mass) for one in added.experiments] == [("breach", 2.0)]
    assert [(one.rule, bool(one.reference)) for one in added.probes] == [("C2-NORM", "C2-NORM" in all_rules())]


def test_an_unusable_probe_s_result_names_the_file(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "probe.json").write_text("{}")
    with pytest.raises(InputError, match=r"probe\.json"):
        run(str(saved), "--probe", str(tmp_path / "probe.json"))


def test_the_record_that_stood_is_compared_with(tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "train_gpt.py").write_text("import torch\n")
    (folder / "submission.json").write_text('{"name": "Ours", "date": "2026-04-09", "val_bpb": 1.08}')
    for seed, bpb in ((1, 1.0799), (2, 1.08), (3, 1.0801)):
        log = f"seed:{seed}\nfinal_exact val_loss:{bpb * 2.5831:.8f} val_bpb:{bpb:.8f}\n"
        (folder / f"train_seed{seed}.log").write_text(log)
    run(str(folder), "-o", str(tmp_path / "made.json"))
    comparison = from_json((tmp_path / "made.json").read_text()).comparison
    assert comparison is not None
    record = standing(date(2026, 4, 9))
    assert record is not None
    assert comparison.record == record.label
    assert comparison.difference == pytest.approx(1.08 - sum(record.val_bpb) / len(record.val_bpb))


def test_every_format_goes_into_a_folder(submission: Path, tmp_path: Path) -> None:
    names = ("sarif", "junit", "github", "terminal")
    code, _ = run(str(submission), "-o", str(tmp_path / "made"), *(part for name in names for part in ("-f", name)))
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "report.annotations.txt",
        "report.junit.xml",
        "report.sarif",
        "report.txt",
    ]


def test_the_format_follows_the_name_of_the_file(saved: Path, tmp_path: Path) -> None:
    run(str(saved), "-o", str(tmp_path / "x.junit.xml"))
    assert (tmp_path / "x.junit.xml").read_text().startswith("<?xml")


def test_three_files_are_written_whole(report: Report, tmp_path: Path) -> None:
    paths = write_reports(report, tmp_path / "new" / "folder")
    assert sorted(paths) == ["html", "json", "md"]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]
    assert paths["html"].read_text().rstrip().endswith("</html>")


def test_a_failing_write_leaves_the_old_file(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.html").write_text("before")
    monkeypatch.setattr("os.fdopen", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_reports(report, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "before"
