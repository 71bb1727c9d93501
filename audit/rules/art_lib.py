"""ART-LIB: a package brings what the artifact should hold: weights, text or code that is not counted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity
from audit.libraries import CARRIERS, KNOWN, imports
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

_LOADS = EVALUATION.replace("import numpy as np\n", "import numpy as np\nfrom transformers import AutoModel\n").replace(
    "    sizes = torch.ones(64)\n", '    sizes = torch.ones(64)\n    other = AutoModel.from_pretrained("gpt2")\n'
)


class Libraries(Rule):
    id = "ART-LIB"
    title = "capability from a package"
    severity = Severity.NOTE
    certainty = Certainty.LOW
    basis = Basis.README
    reference = "README FAQ: libraries may not smuggle in compute, capabilities or code size"
    forbids = "Importing packages that bring trained weights, text or code which should count against the artifact."
    why = "What a package carries is not in the 16 MB, yet the score rests on it."
    comply = "Import general libraries only (FlashAttention and the like) and name them in requirements.txt."
    VALID: ClassVar[tuple[Example, ...]] = (
        EVALUATION,
        EVALUATION.replace("import numpy as np\n", "import numpy as np\nimport zstandard\n"),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (_LOADS,)

    def check(self, case: Case) -> Iterator[Finding]:
        own = {path.stem for path in case.folder.helpers} | {path.parent.name for path in case.folder.helpers}
        seen: set[str] = set()
        for module in case.modules:
            for line, package in imports(module.tree) if module.role != "written" else ():
                if package in seen or package in own or package in KNOWN or package in sys.stdlib_module_names:
                    continue
                seen.add(package)
                if package in CARRIERS:
                    message = f"{package} can bring trained weights or text that are not in the artifact"
                    yield self.place(case, module.file, line, message)
                elif not package.startswith("_"):
                    message = f"{package} is no library that submissions commonly use: look at what it carries"
                    yield self.place(case, module.file, line, message)
