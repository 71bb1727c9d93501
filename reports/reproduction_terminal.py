"""A rerun beside the claim it was to reproduce, and two runs of one seed beside each other, for the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from reports.escape import plain
from reproduce.compare import Difference, Reproduction, Verdict, bound_of
from reproduce.determinism import Determinism

_STYLE = {Verdict.REPRODUCED: "green", Verdict.UNCHECKED: "magenta"}


def reproduction(result: Reproduction) -> RenderableType:
    """A table an evaluation: a row a seed with the bound it is held to, the mean; then the verdict in a sentence."""
    parts: list[RenderableType] = [Text(f"Against {plain(result.against)}", style="bold")]
    for mean in result.means:
        bound = bound_of(mean.stage)
        table = Table(
            title=Text(f"{plain(mean.stage)}: {bound.kind}, {bound.per_seed:g} bits per byte a seed"),
            title_justify="left",
            box=box.SIMPLE_HEAD,
        )
        for name in ("seed", "claimed", "rerun", "difference", "bound", "verdict"):
            table.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
        for row in [row for row in result.rows if row.stage == mean.stage]:
            table.add_row(*_cells(row))
        table.add_section()
        table.add_row(*_cells(mean), style="bold")
        parts.append(table)
    bounds = {bound_of(mean.stage) for mean in result.means}
    remarks = [f"{bound.kind}: {bound.basis}" for bound in sorted(bounds, key=lambda one: one.per_seed)]
    if result.worse is not None:
        told = f"p = {result.worse.p:.3g}" if result.worse.p is not None else result.worse.why
        remarks.append(f"one-sided {result.worse.kind} test that the rerun is worse than the claim: {told}")
    remarks += result.notes
    said = {Verdict.WORSE: "not reproduced, worse", Verdict.BETTER: "not reproduced, better"}
    stage = plain(result.stage) or "no evaluation in common"
    alone = sum(row.stage == result.stage and row.verdict is Verdict.UNCHECKED for row in result.rows)
    left = f" ({alone} seeds have a figure on one side only)" if alone else ""
    verdict = Text(f"{stage}: {said.get(result.verdict, result.verdict)}{left}", style="bold")
    return Group(*parts, *(Text(f"- {plain(remark)}", style="dim") for remark in remarks), verdict)


def determinism(result: Determinism) -> RenderableType:
    """Where two runs of one seed first differ, or that they do not."""
    if result.divergence is None:
        lines = [Text(f"seed {result.seed}: both runs agree in all {result.compared} figures", style="green")]
    else:
        told = result.divergence
        lines = [
            Text(f"seed {result.seed}: the runs first differ at {plain(told.where)}", style="yellow"),
            Text(f"  first run   {plain(told.first)}"),
            Text(f"  second run  {plain(told.second)}"),
        ]
    return Group(*lines, *(Text(f"- {plain(note)}", style="dim") for note in result.notes))


def _cells(row: Difference) -> list[Text | str]:
    return [
        "mean" if row.seed is None else str(row.seed),
        "-" if row.claimed is None else f"{row.claimed:.4f}",
        "-" if row.ours is None else f"{row.ours:.4f}",
        "-" if row.difference is None else f"{row.difference:+.4f}",
        f"{row.bound:.4f}",
        Text(row.verdict, style=_STYLE.get(row.verdict, "red")),
    ]
