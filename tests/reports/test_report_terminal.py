"""A submission's text reaches the terminal as text: no escape sequence, no bidi control, no markup of rich's."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import replace
from importlib import import_module  # in the package, the commands stand where their modules would
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from rich.console import Console, RenderableType
from test_report_escape import HOSTILE, texts
from test_report_html import poisoned

from audit.evidence.check import Check, Status
from audit.probe.experiments import Experiment as ProbeExperiment
from audit.probe.experiments import Status as ProbeStatus
from audit.probe.probe import ProbeResult
from golfproof import app as front_door
from golfproof.commands.corpus import _Bar
from reports import reproduction_terminal, terminal, watch_terminal
from reports.escape import plain
from reports.report import Experiment, Report
from reports.seed_progress import SeedBars
from reproduce.compare import Difference, Reproduction, Verdict
from reproduce.determinism import Determinism, Divergence
from reproduce.errors import InputError
from reproduce.live import Phase, Progress
from reproduce.rundir import Plan, SeedRun, State
from reproduce.snapshot import SeedView, Snapshot
from reproduce.table import SeedTable

MARKUP = "[bold red]loud[/] [link=https://x.example]here[/link] [/] [@click=app.bell]ring[/]"
ALL = [*HOSTILE, MARKUP, "\x9b2J\x07\x08\r over", "\x1b]0;title\x07\x1b[2J\x1b[1;1Hclean"]


def printed(renderable: RenderableType, width: int = 4000) -> str:
    """What a real terminal would get, save our own colours."""
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=True, color_system=None, highlight=False).print(renderable)
    return stream.getvalue()


def harmless(output: str) -> None:
    strange = {c for c in output if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}}
    assert not strange, ascii(output)


def told(output: str, text: str) -> None:
    """``text`` can be read in the output, letter by letter."""
    wanted = "".join(plain(text).split())
    assert wanted in "".join(output.split()), ascii(output)


@pytest.mark.parametrize("text", ALL)
def test_report_on_the_terminal(report: Report, text: str) -> None:
    hostile = replace(poisoned(report, text), experiments=(Experiment(text, text, text, text),))
    output = printed(terminal.render(hostile))
    harmless(output)
    told(output, text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(text=texts)
def test_report_on_the_terminal_whatever_the_text(report: Report, text: str) -> None:
    harmless(printed(terminal.render(poisoned(report, text)), width=120))


@pytest.mark.parametrize("text", ALL)
def test_table_of_seeds_with_a_hostile_stage(text: str) -> None:
    output = printed(terminal.seeds(SeedTable((), text, None, (text,))))
    harmless(output)
    assert "".join(output.split()).count("".join(plain(text).split())) == 2


@pytest.mark.parametrize("text", ALL)
def test_comparison_and_determinism(text: str) -> None:
    row = Difference(text, 1, 1.1, 1.2, 0.002, Verdict.WORSE)
    result = Reproduction(text, text, (row,), (replace(row, seed=None),), None, (text,))
    for shown in (
        reproduction_terminal.reproduction(result),
        reproduction_terminal.determinism(Determinism(1, 3, Divergence(text, text, text), (text,))),
    ):
        output = printed(shown)
        harmless(output)
        told(output, text)


@pytest.mark.parametrize("text", ALL)
def test_watched_run(text: str) -> None:
    plan = Plan(text, text, text, {}, (), (1, 2))
    views = (
        SeedView(SeedRun(1, State.RUNNING), Progress(phase=Phase.EVAL, stage=text)),
        SeedView(SeedRun(2, State.FAILED, why=text)),
    )
    output = printed(watch_terminal.render(Snapshot(Path("run"), plan, views)))
    harmless(output)
    told(output, text)


@pytest.mark.parametrize("text", ALL)
def test_progress_of_seeds(text: str) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=400, force_terminal=True, color_system=None)
    bars = SeedBars([1, 2], console)
    bars(1, Progress(phase=Phase.DONE, state="failed", note=text))
    bars(2, Progress(phase=Phase.EVAL, stage=text))
    console.print(bars._bars.get_renderable())
    harmless(stream.getvalue())
    told(stream.getvalue(), text[:40])


@pytest.mark.parametrize("text", ALL)
def test_progress_of_a_corpus(text: str) -> None:
    bar = _Bar()
    bar.advance(1, 2, {"submission": text, "verdict": "clean"})
    output = printed(bar._progress.get_renderable(), width=400)
    harmless(output)
    told(output, text[:40])


@pytest.mark.parametrize("text", ALL)
def test_lines_of_the_gate(text: str) -> None:
    output = import_module("golfproof.commands.gate").text(text, [Check(text, text, text, Status.FAIL, text)], False)
    harmless(output)
    assert [line[:6].strip() for line in output.splitlines()] == ["STATUS", "FAIL", "FAIL:"]


@pytest.mark.parametrize("text", ALL)
def test_lines_of_a_probe(text: str) -> None:
    run: dict[str, object] = {
        **dict.fromkeys(("run", "source", "failure", "changed"), text),
        "attempts": [text],
        "training_shards_removed": True,
        "seconds": 1,
        "cpu_seconds": 1,
    }
    experiment = ProbeExperiment(text, text, ProbeStatus.BREACH, text)
    result = ProbeResult(text, text, "breach", (text,), (experiment,), (), (run,), text, 1, 1.0)
    for line in import_module("golfproof.commands.probe").text(result):
        harmless(line)


@pytest.mark.parametrize("text", ALL)
def test_one_line_of_unusable_input(text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def refuse() -> None:
        raise InputError(text, text, text)

    monkeypatch.setattr(front_door, "app", refuse)
    with pytest.raises(SystemExit) as ended:
        front_door.main()
    said = capsys.readouterr().err
    harmless(said)
    assert ended.value.code == 2 and said.count("\n") == 1
