"""The whole network: embeddings, the order in which blocks run, and the tied, soft-capped head."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from submission.config import Config
from submission.model.block import Block
from submission.model.embeddings import BigramHashEmbedding, SmearGate, ValueEmbedding
from submission.model.linear import CastedLinear
from submission.model.rotary import rotary_tables


class GPT(nn.Module):
    """Input tokens (batch, seq) -> logits (batch, seq, vocab).

    Blocks run in the order ``config.virtual_layers``, the whole stack ``repeats`` times. A layer that runs twice
    (``recur_layers``) shares its matrices with the first run but has scalars of its own, as PR 745's banks do.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, order = config.model_dim, config.virtual_layers
        self.repeats = config.num_repeats
        depth = len(order) * config.num_repeats
        self.tok_emb = nn.Embedding(config.vocab_size, dim)
        self.bigram = (
            BigramHashEmbedding(config.bigram_vocab_size, config.bigram_dim, dim) if config.bigram_vocab_size else None
        )
        self.smear = SmearGate(dim, config.smear_boundary) if config.smear else None
        self.blocks = nn.ModuleList([Block(config) for _ in order])
        first_run: dict[int, int] = {}
        for layer, physical in enumerate(order):
            share_matrices(self.blocks[layer], self.blocks[first_run.setdefault(physical, layer)])

        self.encoder_layers = len(order) // 2 if config.unet_skips else 0
        if config.unet_skips:
            self.skip_weights = nn.Parameter(torch.ones(self.encoder_layers, dim))
        if config.value_embed_dim:
            value_dim = config.num_kv_heads * config.head_dim
            self.ve_shared = ValueEmbedding(config.vocab_size, config.value_embed_dim, value_dim)
            self.ve_layer_scales = nn.ParameterList([torch.ones(1) for _ in config.value_embed_layers])
        if config.value_tables:
            self.value_embeds = nn.ModuleList(
                [nn.Embedding(config.vocab_size, dim) for _ in range(config.value_tables)]
            )
            self.value_scales = nn.Parameter(torch.zeros(depth, config.value_tables, dim))
        if config.loop_embed:
            self.loop_embed = nn.Parameter(torch.zeros(depth, dim))
        if config.cross_repeat_skip:
            self.cross_repeat_scales = nn.Parameter(torch.zeros(len(order), config.num_repeats - 1, dim))
        if self.tok_emb.weight.device.type != "meta":
            initialise(self)

    def hidden(self, tokens: Tensor) -> Tensor:
        """tokens: (batch, seq) -> normalised features (batch, seq, dim)."""
        config = self.config
        x = self.tok_emb(tokens)
        if self.bigram is not None:
            x = x + self.bigram(tokens)
        x = F.rms_norm(x, (x.size(-1),))
        if self.smear is not None:
            x = self.smear(x, tokens)
        x0 = x
        rope_dims = config.rope_dims or config.head_dim
        cos, sin = rotary_tables(
            tokens.size(1), rope_dims, config.rope_base, config.rope_train_len, tokens.device, x.dtype
        )
        tables = [table(tokens) for table in self.value_embeds] if config.value_tables else []
        shared_value = self.ve_shared(tokens) if config.value_embed_dim else None
        exclusive_from = len(self.blocks) * self.repeats - config.xsa_last_n
        skips: list[Tensor] = []
        last_output: list[Tensor | None] = [None] * len(self.blocks)
        first_values: Tensor | None = None
        layer = 0
        for repeat in range(self.repeats):
            for index, block in enumerate(self.blocks):
                if skips and layer >= self.encoder_layers:
                    x = x + self.skip_weights[layer - self.encoder_layers].to(x.dtype) * skips.pop()
                if config.loop_embed:
                    x = x + self.loop_embed[layer].to(x.dtype)
                for number, table in enumerate(tables):
                    x = x + self.value_scales[layer, number].to(x.dtype) * table
                previous = last_output[index]
                if config.cross_repeat_skip and previous is not None:
                    x = x + self.cross_repeat_scales[index, repeat - 1].to(x.dtype) * previous
                value_embed = None
                if shared_value is not None and layer in config.value_embed_layers:
                    scale = self.ve_layer_scales[config.value_embed_layers.index(layer)]
                    value_embed = shared_value * scale.to(shared_value.dtype)
                x, values = block(
                    x,
                    x0,
                    cos,
                    sin,
                    input_scale=1.0 / math.sqrt(layer + 1) if config.layer_norm_scale else 1.0,
                    exclusive=layer >= exclusive_from,
                    value_embed=value_embed,
                    first_values=first_values,
                )
                if config.value_residual and first_values is None:
                    first_values = values
                last_output[index] = x
                if layer < self.encoder_layers:
                    skips.append(x)
                layer += 1
        return F.rms_norm(x, (x.size(-1),))

    def head(self, features: Tensor) -> Tensor:
        """features: (..., dim) -> logits (..., vocab), soft-capped at +-logit_softcap."""
        cap = self.config.logit_softcap
        return cap * torch.tanh(F.linear(features, self.tok_emb.weight.to(features.dtype)) / cap)

    def forward_logits(self, tokens: Tensor) -> Tensor:
        return self.head(self.hidden(tokens))

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats a token; tokens, targets: (batch, seq)."""
        logits = self.forward_logits(tokens)
        return F.cross_entropy(logits.float().reshape(-1, logits.size(-1)), targets.reshape(-1))

    def untie_repeated_layers(self) -> None:
        """Gives every executed layer matrices of its own, equal at first, so that adaptation may part them."""
        seen: set[int] = set()
        for block in self.blocks:
            for parent, name, linear in matrices(block):
                if id(linear) in seen:
                    setattr(parent, name, copy.deepcopy(linear))
                seen.add(id(linear))


def matrices(block: nn.Module) -> list[tuple[nn.Module, str, CastedLinear]]:
    """The linear layers of a block with the module and the name that hold them."""
    return [
        (parent, name, child)
        for parent in block.modules()
        for name, child in parent.named_children()
        if isinstance(child, CastedLinear)
    ]


def share_matrices(block: nn.Module, source: nn.Module) -> None:
    """Makes ``block`` use the linear layers of ``source``."""
    for (parent, name, _), (_, _, linear) in zip(matrices(block), matrices(source), strict=True):
        setattr(parent, name, linear)


@torch.no_grad()
def initialise(model: GPT) -> None:
    """PR 162's start: small tied embedding, orthogonal matrices, zero outputs; or, with ``uniform``, PR 1384's."""
    config = model.config
    nn.init.normal_(model.tok_emb.weight, std=config.tied_embed_init_std)
    for module in model.modules():
        if isinstance(module, CastedLinear):
            if module.zero_init:
                nn.init.zeros_(module.weight)
            elif config.init == "orthogonal" and min(module.weight.shape) >= 64:
                nn.init.orthogonal_(module.weight)
