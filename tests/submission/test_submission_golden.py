"""Our code computes what the originals' code computed on the same inputs: golden numbers of logits, rows, mixtures."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from submission.config import load_config
from submission.errors import InputError
from submission.evaluate.experts import Contexts
from submission.evaluate.mixer import HedgeFive
from submission.model import GPT
from submission.model.state import load_reference_state, model_state
from submission.quantize.gptq import gptq
from submission.quantize.rows import RULES

GOLDEN = Path(__file__).parent / "golden"
TOKENS = [(7 * i * i + 3 * i + 1) % 48 for i in range(20)]
TINY = {"vocab_size": 48, "model_dim": 32, "num_heads": 4, "num_kv_heads": 2, "xsa_last_n": 3}
BIGRAM = {"num_layers": 5, "bigram_vocab_size": 32, "bigram_dim": 8}
VALUES = {"rope_dims": 4, "value_embed_dim": 8, "value_embed_layers": (2, 4)}
SHAPES = {
    "pr162": {**BIGRAM, "xsa_last_n": 0},
    "pr700": {**BIGRAM, **VALUES, "num_kv_heads": 4},
    "pr745": {**BIGRAM, **VALUES, "recur_layers": (1, 2)},
    "pr1384": {"num_layers": 2, "num_repeats": 3, "progressive_depth": ""},
    "pr1453": {"num_layers": 2, "num_repeats": 3, "progressive_depth": ""},
}


def wave(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers that depend on a name and a shape alone: what the golden files were computed from."""
    places = torch.arange(math.prod(shape), dtype=torch.float64)
    size = 0.35 if len(shape) >= 2 else 0.6
    return (torch.cos(places * 0.7391 + sum(name.encode()) % 97) * size).float().reshape(shape)


def original_state(preset):
    """A checkpoint with the original's names and shapes; pr745 keeps its matrices in four banks."""
    config = dataclasses.replace(load_config(preset, {}), **TINY | SHAPES[preset])
    shapes = {name: tuple(weight.shape) for name, weight in model_state(GPT(config)).items()}
    if preset == "pr745":
        shapes = {k: v for k, v in shapes.items() if not k.endswith(("c_q.weight", "c_k.weight", "c_v.weight"))}
        shapes = {
            k: v for k, v in shapes.items() if not (k.startswith("blocks.") and "proj.weight" in k) and ".fc." not in k
        }
        shapes |= {
            "qo_bank": (10, 32, 32),
            "kv_bank": (10, 16, 32),
            "mlp_up_bank": (5, 96, 32),
            "mlp_down_bank": (5, 32, 96),
        }
    return config, {name: wave(name, shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("preset", SHAPES)
def test_the_network_computes_the_originals_logits(preset):
    model = load_reference_state(*original_state(preset)).eval()
    expected = torch.tensor(json.loads((GOLDEN / "logits.json").read_text())[preset])
    with torch.no_grad():
        logits = model.forward_logits(torch.tensor([TOKENS]))[0, [0, 1, 9, 19]]
    assert torch.allclose(logits, expected, atol=1e-4, rtol=0)


def test_a_checkpoint_that_lacks_a_weight_is_refused():
    config, state = original_state("pr162")
    del state["smear.gate"]
    with pytest.raises(InputError, match=r"smear\.gate"):
        load_reference_state(config, state)


def test_a_checkpoint_with_a_weight_too_many_is_refused():
    config, state = original_state("pr162")
    with pytest.raises(InputError, match="lm_head"):
        load_reference_state(config, {**state, "lm_head.weight": torch.zeros(2)})


def weight() -> torch.Tensor:
    scaled = wave("weight", (6, 80)) * torch.linspace(0.2, 2.0, 6)[:, None]
    return scaled * (1 + torch.sin(torch.arange(80) * 1.3)) ** 2


ROWS = json.loads((GOLDEN / "rows.json").read_text())


@pytest.mark.parametrize("rule", [rule for rule in ROWS if not rule.startswith("gptq")])
def test_rows_are_rounded_to_the_originals_integers_and_scales(rule):
    name, levels = rule.split(":")
    q, scale = RULES[name](weight(), int(levels))
    assert q.tolist() == ROWS[rule]["q"]
    assert scale.float().tolist() == ROWS[rule]["scale"]


def test_gptq_reconstructs_as_well_as_the_originals():
    x = wave("inputs", (200, 80)) + 0.5 * wave("more", (200, 80)).flip(1).cos()
    q, scale = gptq(weight(), x.t() @ x / 200, 15)

    def error(q, scale):
        return float(((weight() - q.float() * scale.float()[:, None]) @ x.t()).square().mean())

    expected = error(torch.tensor(ROWS["gptq:15"]["q"]), torch.tensor(ROWS["gptq:15"]["scale"]))
    assert error(q, scale) == pytest.approx(expected, rel=0.01)


def test_hedge_5_gives_the_originals_losses_and_weights():
    golden = json.loads((GOLDEN / "hedge.json").read_text())

    def sequence(count, step):
        return torch.tensor([(5 * i + step * (i // 7) + i * i // 11) % 24 for i in range(count)])

    mixer = HedgeFive(24, 0.1, torch.device("cpu"))
    mixer.tables.add(sequence(10_000, 3))
    for number, expected in enumerate(golden["nll"]):
        x = sequence(41, number + 1)
        log_probs = (wave(f"logits{number}", (2, 20, 24)) * 6).log_softmax(-1).view(40, 24)
        prev1, targets = torch.cat([x[:20], x[10:30]]), torch.cat([x[1:21], x[11:31]])
        prev2 = torch.cat([torch.tensor([0]), x[:19], torch.tensor([0]), x[10:29]])
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        before = Contexts.of(prev2, prev1)
        experts = mixer.expert_log_probs(log_probs.gather(1, targets[:, None])[:, 0], entropy, before, targets)
        mixed = mixer.mix(experts, before)
        assert (-mixed).tolist() == pytest.approx(expected, abs=1e-4)
        mixer.learn(experts, mixed, before)
        mixer.tables.add(x[1:31])
    assert mixer.log_weights.tolist() == pytest.approx(golden["log_weights"], abs=1e-4)
