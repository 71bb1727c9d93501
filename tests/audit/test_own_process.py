"""A trainer is followed into the process that it becomes, and its losses through what its ranks exchange."""

import textwrap
from pathlib import Path

import pytest

from audit.case import Case
from audit.registry import all_rules
from audit.run import audit_path
from reproduce.folder import open_folder

BECOMES = """
import os, sys
if os.environ.get("PHASE", "train") == "train":
    os.execve({program}, [sys.executable, __file__], {{**os.environ, "PHASE": "evaluate"}})
else:
"""


def findings_of(folder: Path, program: str) -> list[bool]:
    invalid = next(iter(all_rules()["C1-HASHKEY"].INVALID))
    assert isinstance(invalid, str)
    text = BECOMES.format(program=program) + textwrap.indent(textwrap.dedent(invalid), "    ")
    (folder / "train_gpt.py").write_text(text, encoding="utf-8")
    return [finding.active for finding in audit_path(folder).findings if finding.rule == "C1-HASHKEY"]


def test_what_the_process_it_becomes_does_is_judged(tmp_path: Path) -> None:
    assert any(findings_of(tmp_path, "sys.executable"))


@pytest.mark.parametrize("program", ['"/usr/bin/env"'])
def test_a_program_that_is_not_this_python_is_not_taken_for_the_trainer(tmp_path: Path, program: str) -> None:
    assert not any(findings_of(tmp_path, program))


GATHERED = """
import glob, os
import numpy as np, torch, torch.nn.functional as F, torch.distributed as dist
from torch import nn
val = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16).astype(np.int64))
model = nn.Sequential(nn.Embedding(1024, 8), nn.Linear(8, 1024))
with torch.no_grad():
    mine = F.cross_entropy(model(val[:-1]), val[1:], reduction="none")
parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
{gather}
print(f"final_val_loss:{{torch.cat(parts).mean().item()}}")
"""


@pytest.mark.parametrize(
    ("gather", "found"), [("dist.all_gather(parts, mine)", True), ("dist.all_gather(parts, torch.zeros(4))", False)]
)
def test_losses_that_ranks_gather_reach_the_report(gather: str, found: bool, tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text(GATHERED.format(gather=gather), encoding="utf-8")
    assert (Case(open_folder(tmp_path)).headline.report is not None) is found
