"""The commands of the entry: data and describe."""

import json

import pytest
from typer.testing import CliRunner

from golfproof.app import app, main
from submission.data import write_shard


def test_data_prints_the_cache_folder_and_what_is_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GOLFPROOF_CACHE", str(tmp_path))
    folder = tmp_path / "fineweb" / "datasets" / "fineweb10B_sp1024"
    folder.mkdir(parents=True)
    write_shard(folder / "fineweb_val_000000.bin", range(10))
    result = CliRunner().invoke(app, ["data"])
    assert result.exit_code == 0
    assert str(tmp_path) in result.output
    assert "fineweb10B_sp1024: 0 train, 1 val shards, 1,044 bytes" in result.output


def test_data_of_an_empty_cache_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("GOLFPROOF_CACHE", str(tmp_path / "none"))
    assert "not there yet" in CliRunner().invoke(app, ["data"]).output


def test_describe_counts_parameters_by_part():
    result = CliRunner().invoke(app, ["describe", "--preset", "pr1384", "--no-weigh", "--format", "json"])
    description = json.loads(result.output)
    assert description["parameters"] == sum(description["by_part"].values()) == 17_140_056
    assert (description["executed_layers"], description["tokens_per_step"]) == (12, 524_288)
    assert description["artifact_bytes"] is None


def test_describe_weighs_an_artifact_of_random_weights(monkeypatch):
    monkeypatch.setenv("MODEL_DIM", "64")
    monkeypatch.setenv("NUM_LAYERS", "3")
    monkeypatch.setenv("VALUE_EMBED_LAYERS", "2")
    result = CliRunner().invoke(app, ["describe", "--preset", "tiny", "--format", "json"])
    description = json.loads(result.output)
    assert description["total_bytes"] == description["code_bytes"] + description["artifact_bytes"]
    assert 0.5 < description["artifact_bytes"] / description["parameters"] < 1.5


def test_describe_of_an_unknown_preset_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["golfproof", "describe", "--preset", "pr9"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("golfproof: preset pr9: expected one of")
    assert error.count("\n") == 1
