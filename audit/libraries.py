"""Which libraries submissions commonly use, and what a module imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator

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
