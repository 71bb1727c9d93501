"""ART-LIB: a package brings what the artifact should hold: weights, text or code that is not counted."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from audit.finding import Basis, Certainty, Finding, Severity
from audit.rule import Example, Rule
from audit.rules.examples import EVALUATION

if TYPE_CHECKING:
    from audit.case import Case

# Packages of the trade: numbers, kernels, compression, tokenizers, reading data, printing.
_KNOWN_NAMES = """
    torch numpy triton sentencepiece tokenizers tiktoken zstandard zstd brotli lzma lz4 blosc2 constriction numba scipy
    flash_attn flash_attn_interface flash_attn_2_cuda xformers fla causal_conv1d mamba_ssm cutlass apex deepspeed
    transformer_engine torchao tqdm rich psutil huggingface_hub datasets setuptools packaging typing_extensions einops
    wandb cupy cython pyximport pynvml nvtx ninja python_minifier regex orjson pandas matplotlib kernels liger_kernel
    mlx modal ray yaml dotenv requests jax pytest hypothesis lightning accelerate safetensors bitsandbytes
"""
KNOWN = frozenset(_KNOWN_NAMES.split())
# Packages and calls that bring trained weights or text with them.
_CARRIER_NAMES = """
    transformers nltk spacy gensim fasttext kenlm wordfreq torchvision timm torchtext textblob symspellpy
    sentence_transformers llama_cpp vllm openai anthropic ctransformers gpt4all flair stanza allennlp
"""
CARRIERS = frozenset(_CARRIER_NAMES.split())
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


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and package of every import that is not relative; only statements are looked at."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            if not node.level and node.module:
                yield node.lineno, node.module.split(".")[0]
        elif isinstance(node, ast.Try) and any(h.type is not None for h in node.handlers):
            waiting.extend(node.orelse)  # what may be missing is optional
        else:
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                waiting.extend(getattr(node, block, ()) if not isinstance(node, ast.Lambda | ast.IfExp) else ())
