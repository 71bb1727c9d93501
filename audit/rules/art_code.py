"""ART-CODE: code outside the counted file is needed; logs tell what was counted, the program what it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from audit.evidence.art_code import ArtCode as LoggedCode
from audit.evidence.evidence import Evidence
from audit.evidence.sizes import Accounting, account, packed_size
from audit.finding import Certainty, Finding
from audit.loaded_code import Loaded, LoadedCode
from audit.rule import Example
from audit.rules.examples import EVALUATION
from reproduce.artifact_sizes import code_size

if TYPE_CHECKING:
    from audit.case import Case

SHOWN = 6  # files that a finding names

_HELPER = '"""Byte sizes."""\n\n\ndef twice(number):\n    return number + number\n'
_LONG_HELPER = _HELPER * 60
_IMPORTS = EVALUATION.replace("import numpy as np\n", "import numpy as np\nimport extra\n")
_READS = EVALUATION.replace("import numpy as np\n", 'import numpy as np\nexec(open("extra.py").read())\n')
_BY_PATH = EVALUATION.replace("import numpy as np\n", "import numpy as np\nimport importlib.util\n").replace(
    "    sizes = torch.ones(64)\n",
    """    sizes = torch.ones(64)
    spec = importlib.util.spec_from_file_location("extra", os.path.join(os.path.dirname(__file__), "extra.py"))
    other = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(other)
""",
)
_STARTS = EVALUATION.replace("import numpy as np\n", "import subprocess\nimport sys\n\nimport numpy as np\n").replace(
    "    sizes = torch.ones(64)\n",
    '    sizes = torch.ones(64)\n    subprocess.run([sys.executable, "extra.py"], check=True)\n',
)
_SOURCE = "double twice(double number) { return number + number; }\n"
_COMPILES = EVALUATION.replace(
    "import numpy as np\n",
    """import ctypes
import subprocess
from pathlib import Path

import numpy as np

LIBRARY = Path("/tmp") / "libextra.so"
CODE = Path(__file__).resolve().parent / "extra.c"
""",
).replace(
    "    sizes = torch.ones(64)\n",
    """    sizes = torch.ones(64)
    subprocess.run(["gcc", "-shared", "-o", str(LIBRARY), str(CODE)], check=True)
    other = ctypes.CDLL(str(LIBRARY))
""",
)
_WRITES = EVALUATION.replace(
    "import numpy as np\n",
    f'import ctypes\nimport subprocess\n\nimport numpy as np\n\nCODE = """{_SOURCE}"""\n',
).replace(
    "    sizes = torch.ones(64)\n",
    """    sizes = torch.ones(64)
    with open("/tmp/extra.c", "w") as out:
        out.write(CODE)
    subprocess.run(["gcc", "-shared", "-o", "/tmp/libextra.so", "/tmp/extra.c"], check=True)
    other = ctypes.CDLL("/tmp/libextra.so")
""",
)
_EXTENSION = EVALUATION.replace(
    "import numpy as np\n", "import numpy as np\nfrom torch.utils.cpp_extension import load\n"
).replace(
    "    sizes = torch.ones(64)\n", '    sizes = torch.ones(64)\n    other = load(name="extra", sources=["extra.cu"])\n'
)
_INLINE = EVALUATION.replace(
    "import numpy as np\n",
    f'import numpy as np\nfrom torch.utils.cpp_extension import load_inline\n\nCODE = """{_SOURCE}"""\n',
).replace(
    "    sizes = torch.ones(64)\n", '    sizes = torch.ones(64)\n    other = load_inline("extra", cpp_sources=[CODE])\n'
)
_OWN_SIZE = EVALUATION.replace(
    "    sizes = torch.ones(64)\n", '    sizes = torch.ones(64)\n    print("Code size:", len(open(__file__).read()))\n'
)
_ALL_SIZES = _IMPORTS.replace(
    "    sizes = torch.ones(64)\n",
    """    sizes = torch.ones(64)
    more = len(open("extra.py").read())
    print("Code size:", len(open(__file__).read()) + more)
""",
)
_EVERY_SIZE = _IMPORTS.replace(
    "    sizes = torch.ones(64)\n",
    """    sizes = torch.ones(64)
    import pathlib
    here = pathlib.Path(__file__).parent
    print("Code size:", sum(len(found.read_bytes()) for found in sorted(here.rglob("*.py"))))
""",
)
_SWITCHED_OFF = EVALUATION.replace(
    "    sizes = torch.ones(64)\n",
    '    sizes = torch.ones(64)\n    if int(os.environ.get("USE_EXTRA", "0")):\n        import extra\n',
)
_LOG = """\
seed:1
Code size: {code} bytes
Serialized model int6+zstd: {model} bytes
Total submission size int6+zstd: {total} bytes
final_exact val_loss:2.00000000 val_bpb:1.18450000
"""


def _logged(trainer: str, helper: str, code: int, model: int) -> dict[str, str]:
    log = _LOG.format(code=code, model=model, total=model + code)
    return {"train_gpt.py": trainer, "extra.py": helper, "train.log": log}


class Code(LoggedCode):
    title = "code outside the counted file"
    version = 2
    forbids = (
        "Code beside the counted train_gpt.py that the score needs (modules, executed files, native sources, other "
        "scripts), and counting less code than is shipped."
    )
    why = (
        "The cap is on all code that is needed: a helper that nobody counts is free room. Reviewers read the log's "
        "total, and have merged both ways of counting."
    )
    comply = "Keep all code in train_gpt.py, or count every file of it; ship the packed script whose size is counted."
    VALID: ClassVar[tuple[Example, ...]] = (
        *LoggedCode.VALID,
        EVALUATION,
        {"train_gpt.py": EVALUATION, "extra.py": _HELPER},
        {"train_gpt.py": _SWITCHED_OFF, "extra.py": _HELPER},
        {"train_gpt.py": _ALL_SIZES, "extra.py": _HELPER},
        {"train_gpt.py": _EVERY_SIZE, "extra.py": _HELPER},
        _logged(_IMPORTS, _LONG_HELPER, len(_IMPORTS) + len(_LONG_HELPER), 15_900_000),
        _OWN_SIZE,
        _WRITES,
        _INLINE,
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        *LoggedCode.INVALID,
        {"train_gpt.py": _IMPORTS, "extra.py": _HELPER},
        {"train_gpt.py": _READS, "extra.py": _HELPER},
        {"train_gpt.py": _BY_PATH, "extra.py": _HELPER},
        {"train_gpt.py": _STARTS, "extra.py": _HELPER},
        {"train_gpt.py": _COMPILES, "extra.c": _SOURCE},
        {"train_gpt.py": _EXTENSION, "extra.cu": _SOURCE},
        {"train_gpt.py": "exec(open('extra.py').read())\n", "extra.py": EVALUATION},
        _logged(_IMPORTS, _LONG_HELPER, len(_IMPORTS), 15_900_000),
        _READS,
    )

    def check(self, case: Case) -> Iterator[Finding]:
        yield from super().check(case)
        yield from self.in_the_code(case)

    def in_the_code(self, case: Case) -> Iterator[Finding]:
        """Files that the program runs beside its trainer, and what they make of the logged total."""
        code = LoadedCode(case)
        needed = [loaded for loaded in code.all() if not code.measures(loaded.name)]
        active = [loaded for loaded in needed if loaded.active]
        if not active:
            for loaded in needed[:1]:
                yield self._told(case, needed, "", active=False, because=loaded.because or "not reached")
            return
        evidence = Evidence.of_case(case)
        known = [(run, account(evidence, run)) for run in evidence.reported]
        if not known:
            yield self._told(case, active, "no log shows what was counted")
            return
        run, sizes = max(known, key=lambda item: item[1].logged or item[1].shipped or 0)
        more = sum(loaded.size or 0 for loaded in active)
        counted = code_size(run.sizes)
        own = case.trainer.path.stat().st_size if case.trainer.path is not None else 0
        # The trainer may have changed a little since its run: which of the two is the count nearer to?
        includes = counted is not None and counted.bytes >= own + more / 2
        texts = [code.files[loaded.name].read_bytes() for loaded in active if loaded.size is not None]
        totals = _totals(sizes, own, more, texts, includes, evidence.limits.total_bytes)
        over = _over(totals, sizes, evidence.limits.total_bytes)
        if includes and over is None and len(texts) == len(active):
            return
        shown = "".join(f"; {total:,} bytes {way}" for way, total in totals.items())
        said = f"the log counts {counted.bytes:,} bytes of code" if counted else "no log shows the size of the code"
        yield self._told(case, active, f"{said}{shown}", certainty=over or Certainty.LOW, data={"totals": totals})

    def _told(self, case: Case, files: list[Loaded], more: str, **changes: Any) -> Finding:
        def size(loaded: Loaded) -> str:
            return f"{loaded.size:,} bytes" if loaded.size is not None else "not in the folder"

        names = ", ".join(f"{loaded.name} ({size(loaded)})" for loaded in files[:SHOWN])
        names += f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        message = f"needs code outside {Path(case.trainer.file).name}: {names}{'; ' if more else ''}{more}"
        steps = tuple(loaded.step for loaded in files[:SHOWN])
        return self.place(case, steps[0].file, steps[0].line, message, path=steps, **changes)


def _totals(sizes: Accounting, own: int, more: int, texts: list[bytes], includes: bool, cap: int) -> dict[str, int]:
    """The bytes of the artifact as the log counts them, and with the files: as they lie there, and packed if needed."""
    counted = sizes.logged if sizes.logged is not None else sizes.shipped
    if counted is None:
        return {}
    base = counted
    if includes:
        base = sizes.shipped if sizes.shipped is not None else counted - more
    totals = {
        "as logged" if sizes.logged is not None else "with the trainer alone": counted,
        "with these files": base + more,
    }
    if base + more > cap:
        totals["with these files packed"] = base + sum(packed_size(text) for text in texts)
    return totals


def _over(totals: dict[str, int], sizes: Accounting, cap: int) -> Certainty | None:
    """How surely the files take the artifact over a cap that it keeps without them: packed too, or as they are."""
    without = [total for total in (sizes.logged, sizes.shipped) if total is not None]
    if not without or min(without) > cap or totals["with these files"] <= cap:
        return None
    return Certainty.HIGH if totals["with these files packed"] > cap else Certainty.MEDIUM
