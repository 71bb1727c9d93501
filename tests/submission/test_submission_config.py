"""Presets, overrides and what a wrong setting says."""

import dataclasses
import re

import pytest
import torch

from submission.checks import CHOICES, QUANT_RULES
from submission.config import Config, from_mapping, load_config, presets
from submission.errors import InputError
from submission.model import GPT
from submission.quantize.rows import RULES

PARAMETERS = {"pr162": 22_368_841, "pr700": 33_317_980, "pr745": 27_051_758, "pr1384": 17_140_056, "pr1453": 23_662_344}


@pytest.mark.parametrize(("preset", "count"), PARAMETERS.items())
def test_a_preset_has_exactly_the_parameters_its_original_logs(preset, count):
    with torch.device("meta"):
        model = GPT(load_config(preset, {}))
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("preset", presets())
def test_every_preset_loads(preset):
    assert load_config(preset, {}).preset == preset


def test_the_environment_overrides_a_preset():
    config = load_config("tiny", {"NUM_LAYERS": "7", "MATRIX_LR": "0.5", "RESUME": "0", "RECUR_LAYERS": "1,2"})
    assert (config.num_layers, config.matrix_lr, config.resume, config.recur_layers) == (7, 0.5, False, (1, 2))


def test_the_environment_names_the_preset():
    assert load_config(None, {"PRESET": "pr162"}).preset == "pr162"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("NUM_LAYERS", "many", "an integer"),
        ("MATRIX_LR", "fast", "a number"),
        ("RESUME", "perhaps", "0 or 1"),
        ("RECUR_LAYERS", "a", "numbers"),
        ("NUM_LAYERS", "0", "at least 1"),
        ("MODEL_DIM", "130", "a multiple of num_heads"),
        ("EVAL_STRIDE", "9999", "at most eval_seq_len"),
        ("ACTIVATION", "gelu", "one of relu2"),
        ("TRAIN_BATCH_TOKENS", "100", "a multiple of"),
        ("EVAL_STAGES", "guess", "some of roundtrip"),
        ("EVAL_STAGES", "", "at least one"),
        ("EVAL_STAGES", "ttt,ttt", "each once"),
        ("SEED", "-1", "at least 0"),
        ("SEED", "4294967296", "below 2**32"),
        ("MATRIX_LR", "nan", "a finite number"),
        ("MATRIX_LR", "-0.1", "at least 0"),
        ("MUON_MOMENTUM", "1", "below 1"),
        ("PRUNE_FRACTION", "1", "below 1"),
        ("QUANT_MLP", "gptq:200", "levels to 127"),
        ("QUANT_MLP", "guess:31", "with one of amax"),
        ("PROGRESSIVE_DEPTH", "half:1", "fraction:repeats"),
        ("PROGRESSIVE_DEPTH", "1.0:2", "1 to 1 repeats"),
        ("VALUE_EMBED_LAYERS", "9", "some of 5 executed layers"),
        ("VALUE_EMBED_DIM", "0", "value_embed_layers"),
        ("RECUR_LAYERS", "1,1", "each layer once"),
        ("XSA_LAST_N", "6", "at most the 5 executed layers"),
        ("BIGRAM_VOCAB_SIZE", "1", "0 or at least 2"),
        ("SMEAR_BOUNDARY", "1024", "a token"),
        ("SWA_EVERY", "5", "0 where ema_decay is set"),
        ("QAT_LEVELS", "0", "at least 1"),
        ("LATE_QAT_THRESHOLD", "0", "crown_q_lambda"),
        ("GPTQ_SAMPLES", "0", "at least 1 where a rule is gptq"),
        ("TTT_CHUNK_TOKENS", "255", "at least eval_seq_len=256"),
        ("TTT_LAST_BLOCKS", "6", "at most the 5 blocks"),
        ("MAX_WALLCLOCK_SECONDS", "-1", "at least 0"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(variable, value, expected):
    with pytest.raises(InputError) as error:
        load_config("tiny", {variable: value})
    assert re.match(r"(setting|environment variable) \w+: expected ", str(error.value))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_reserve_as_long_as_the_run_is_refused():
    with pytest.raises(InputError, match=r"less than max_wallclock_seconds=10\.0"):
        load_config("tiny", {"MAX_WALLCLOCK_SECONDS": "10", "TRAIN_RESERVE_SECONDS": "10"})


def test_the_rules_of_rounding_are_those_there_are():
    assert set(QUANT_RULES) == {*RULES, "gptq"}


def test_an_unknown_preset_names_those_there_are():
    with pytest.raises(InputError, match="pr1453"):
        load_config("pr1", {})


def test_a_configuration_survives_plain_values():
    config = load_config("tiny", {})
    assert from_mapping(dataclasses.asdict(config), "test") == config


def test_an_unknown_setting_in_a_file_is_refused():
    with pytest.raises(InputError, match="layers"):
        from_mapping({"layers": 3}, "test")


def test_seeds_of_one_entry_have_the_same_settings():
    one, two = (load_config("tiny", {"SEED": seed}) for seed in ("1", "2"))
    assert one.fingerprint() != two.fingerprint()
    assert one.fingerprint(seed=False) == two.fingerprint(seed=False)


def test_places_do_not_change_the_fingerprint_and_shapes_do():
    config = load_config("tiny", {})
    assert dataclasses.replace(config, out_dir="elsewhere").fingerprint() == config.fingerprint()
    assert dataclasses.replace(config, num_layers=5).fingerprint() != config.fingerprint()


def test_repeated_layers_run_after_the_last_of_them():
    order = load_config("pr745", {}).virtual_layers
    assert order == (0, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 10)


def test_tiny_has_every_feature_of_legal():
    tiny, legal, plain = load_config("tiny", {}), load_config("legal", {}), Config()
    counts = {"val_loss_every", "warmup_steps", "train_reserve_seconds"}  # how often and how long, not what
    for field in dataclasses.fields(Config):
        if not getattr(plain, field.name) and getattr(legal, field.name) and field.name not in counts:
            assert getattr(tiny, field.name), field.name
        if field.name in CHOICES:
            assert getattr(tiny, field.name) == getattr(legal, field.name), field.name


def test_no_lawful_preset_uses_a_mixture_that_is_none():
    for preset in ("tiny", "legal"):
        config = load_config(preset, {})
        assert (config.mixer, config.eval_tail, config.mixer_update) == ("hedge-normalised", "exact", "scored")
