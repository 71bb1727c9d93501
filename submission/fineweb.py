"""Downloads the contest's published token shards and tokenizer from its data set on the Hugging Face hub."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from submission.cache import cache_folder
from submission.corpus import Dataset
from submission.data import read_shard
from submission.errors import InputError

REPOSITORY = os.environ.get("MATCHED_FINEWEB_REPO_ID", "willdepueoai/parameter-golf")
REMOTE_PREFIX = os.environ.get("MATCHED_FINEWEB_REMOTE_ROOT_PREFIX", "datasets")

Progress = Callable[[int, int, str], None]  # files done, files in all, the one being fetched


def download(
    variant: str = "sp1024",
    train_shards: int = 80,
    *,
    cache: Path | None = None,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Fetch the manifest, the validation shards, ``train_shards`` training shards and the tokenizer of a variant.

    Files already there are kept, a broken download goes on where it stopped. The layout of the data set is that of
    the contest's own cached_challenge_fineweb.py. ``endpoint`` overrides the hub's address (``HF_ENDPOINT``).

    Raises:
        InputError: an unknown variant, more shards than there are, or a hub that cannot be reached.
    """
    root = (cache or cache_folder()) / "fineweb"
    folder_name = _dataset_name(variant)
    manifest_file = fetch(f"{REMOTE_PREFIX}/manifest.json", root, endpoint)
    dataset, tokenizer = _entries(manifest_file, folder_name)
    stats = dataset.get("stats") or {}
    available, val_shards = int(stats.get("files_train") or 0), int(stats.get("files_val") or 0)
    if not 0 <= train_shards <= available:
        raise InputError(f"{variant} on {REPOSITORY}", f"at most {available} training shards", str(train_shards))
    remote = f"{REMOTE_PREFIX}/datasets/{folder_name}"
    files = [f"{remote}/fineweb_val_{i:06d}.bin" for i in range(val_shards)]
    files += [f"{remote}/fineweb_train_{i:06d}.bin" for i in range(train_shards)]
    files += [f"{REMOTE_PREFIX}/{tokenizer[key]}" for key in ("model_path", "vocab_path", "path") if tokenizer.get(key)]
    for done, name in enumerate(files):
        if progress is not None:
            progress(done, len(files), Path(name).name)
        path = fetch(name, root, endpoint)
        if path.suffix == ".bin":
            read_shard(path)
    if progress is not None:
        progress(len(files), len(files), "")
    model = next((f for f in files if f.endswith(".model")), None)
    if model is None:
        raise InputError(manifest_file, f"a SentencePiece model for {variant}", "none")
    return Dataset(_local(remote, root), _local(model, root))


def fetch(remote: str, root: Path, endpoint: str | None = None) -> Path:
    """One file of the data set, in its place under ``root``; it appears there whole or not at all."""
    destination = _local(remote, root)
    if destination.is_file():
        return destination
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        cached = hf_hub_download(
            repo_id=REPOSITORY,
            filename=remote,
            repo_type="dataset",
            cache_dir=str(root / "hub"),
            endpoint=endpoint,
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(f"{REPOSITORY}/{remote}", "a file on the hub", reason[:160]) from None
    destination.parent.mkdir(parents=True, exist_ok=True)
    source, draft = Path(cached).resolve(strict=True), destination.with_name(destination.name + ".part")
    draft.unlink(missing_ok=True)
    try:
        os.link(source, draft)
    except OSError:  # another file system
        shutil.copy2(source, draft)
    draft.replace(destination)
    return destination


def _dataset_name(variant: str) -> str:
    if variant == "byte260" or (variant.startswith("sp") and variant[2:].isdigit()):
        return f"fineweb10B_{variant}"
    raise InputError("variant", "byte260 or sp<vocabulary size>", repr(variant))


def _local(remote: str, root: Path) -> Path:
    parts = Path(remote).parts
    if ".." in parts or Path(remote).is_absolute():
        raise InputError(f"{REPOSITORY}/{remote}", "a path inside the data set", remote)
    return root.joinpath(*(parts[1:] if parts[:1] == (REMOTE_PREFIX,) else parts))


def _entries(manifest: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        datasets, tokenizers = content["datasets"], content["tokenizers"]
        dataset = next((entry for entry in datasets if entry["name"] == name), None)
        if dataset is None:
            raise InputError(manifest, f"a data set {name}", ", ".join(str(entry["name"]) for entry in datasets))
        wanted = dataset["tokenizer_name"]
        return dataset, next(entry for entry in tokenizers if entry["name"] == wanted)
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise InputError(manifest, "the contest's manifest", f"{type(error).__name__}: {error}") from None
