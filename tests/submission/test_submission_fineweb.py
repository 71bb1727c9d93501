"""Downloading the contest's data set, from a stand-in for the hub on this machine."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from submission.data import read_split, write_shard
from submission.errors import InputError
from submission.fineweb import REPOSITORY, download

COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """Answers /datasets/<repository>/resolve/<revision>/<file> from ``files``, with byte ranges."""

    files: dict[str, bytes]
    fetched: list[str]

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        name = self.path.partition("/resolve/main/")[2] or self.path.partition(f"/resolve/{COMMIT}/")[2]
        content = self.files.get(name) if self.path.startswith(f"/datasets/{REPOSITORY}/resolve/") else None
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self.fetched.append(name)
            self.wfile.write(content[start:])


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)

    def shard(number):
        path = tmp_path / "shard.bin"
        write_shard(path, np.arange(number, number + 100))
        return path.read_bytes()

    manifest = {
        "datasets": [
            {"name": "fineweb10B_sp1024", "tokenizer_name": "sp_bpe_1024", "stats": {"files_train": 3, "files_val": 1}}
        ],
        "tokenizers": [{"name": "sp_bpe_1024", "model_path": "tokenizers/fineweb_1024_bpe.model"}],
    }
    Hub.files = {
        "datasets/manifest.json": json.dumps(manifest).encode(),
        "datasets/tokenizers/fineweb_1024_bpe.model": b"a model",
        **{
            f"datasets/datasets/fineweb10B_sp1024/fineweb_{split}_{number:06d}.bin": shard(number)
            for split, number in (("val", 0), ("train", 0), ("train", 1), ("train", 2))
        },
    }
    Hub.fetched = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_it_fetches_the_shards_asked_for_and_the_tokenizer(tmp_path, hub):
    seen = []
    dataset = download("sp1024", 2, cache=tmp_path, endpoint=hub, progress=lambda *step: seen.append(step))
    assert read_split(dataset.folder, "train").size == 200
    assert read_split(dataset.folder, "val").tolist() == list(range(100))
    assert dataset.tokenizer.read_bytes() == b"a model"
    assert seen[-1][:2] == (4, 4)


def test_files_already_there_are_not_fetched_again(tmp_path, hub):
    download("sp1024", 1, cache=tmp_path, endpoint=hub)
    Hub.fetched.clear()
    download("sp1024", 2, cache=tmp_path, endpoint=hub)
    assert Hub.fetched == ["datasets/datasets/fineweb10B_sp1024/fineweb_train_000001.bin"]


def test_more_shards_than_there_are_is_refused(tmp_path, hub):
    with pytest.raises(InputError, match="at most 3 training shards, found 4"):
        download("sp1024", 4, cache=tmp_path, endpoint=hub)


def test_an_unknown_variant_names_what_there_is(tmp_path, hub):
    with pytest.raises(InputError, match="fineweb10B_sp1024"):
        download("sp4096", 1, cache=tmp_path, endpoint=hub)


def test_a_word_that_is_no_variant_is_refused(tmp_path):
    with pytest.raises(InputError, match="sp<vocabulary size>"):
        download("bpe", 1, cache=tmp_path)


def test_a_file_missing_on_the_hub_is_one_line(tmp_path, hub):
    del Hub.files["datasets/tokenizers/fineweb_1024_bpe.model"]
    with pytest.raises(InputError, match=r"fineweb_1024_bpe\.model"):
        download("sp1024", 0, cache=tmp_path, endpoint=hub)


def test_a_truncated_shard_from_the_hub_is_refused(tmp_path, hub):
    name = "datasets/datasets/fineweb10B_sp1024/fineweb_val_000000.bin"
    Hub.files[name] = Hub.files[name][:-1]
    with pytest.raises(InputError, match="bytes for 100 tokens"):
        download("sp1024", 0, cache=tmp_path, endpoint=hub)
