"""The data command."""

from typer.testing import CliRunner

from golfproof.app import app
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
