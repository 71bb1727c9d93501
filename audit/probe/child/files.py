"""Shows the noise shards and the tokenizer wherever the trainer looks for the contest's."""

from __future__ import annotations

import builtins
import fnmatch
import glob
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MAX_OPENED = 20_000
_SHARD = re.compile(r"(fineweb\w*|docs\w*)_(train|val)(_bytes)?_?[\d*?\[\]-]*\.bin$")


class DataFiles:
    """``folder`` holds fineweb_train_*.bin, fineweb_val_*.bin and <vocabulary>.model."""

    def __init__(self, folder: Path, vocabulary: int) -> None:
        self.folder, self.vocabulary = folder, vocabulary
        self.opened: list[tuple[int, str, str]] = []  # (moment of the tape, mode, path)
        self.changed: dict[str, str] = {}  # name of a shard -> the file to read instead
        self.moment: Callable[[], int] = lambda: 0
        self.listener: Callable[[str, str], None] = lambda mode, path: None

    def value(self, name: str, submitted: str | None) -> str | None:
        """What a setting that names data or the tokenizer is set to; None for every other."""
        if name in ("DATA_PATH", "DATA_DIR_PATH", "DATASET_PATH", "DATASET_DIR"):
            return str(self.folder)
        if name in ("TOKENIZER_PATH", "TOKENIZER_FILE", "SP_MODEL", "SP_MODEL_PATH"):
            return str(self.folder / f"{self.vocabulary}.model")
        if name == "TOKENIZER_META_PATH":
            return ""
        return None

    def locate(self, path: Any) -> Any:
        """``path``, or our file where that does not exist and is a shard or tokenizer by its name."""
        if not isinstance(path, (str, os.PathLike)):
            return path
        if self.changed and (instead := self.changed.get(str(os.fspath(path)).rsplit("/", 1)[-1])):
            return instead
        if os.path.exists(path):  # noqa: PTH110 - Path.exists is patched
            return path
        name = os.path.basename(os.fspath(path))  # noqa: PTH119
        if isinstance(name, bytes):
            return path
        if name.endswith(".model"):
            return self.tokenizer(name)
        if _SHARD.search(name):
            matches = self._matching(name)
            return matches[0] if matches else path
        return path

    def tokenizer(self, name: str) -> str:
        """The model of the vocabulary that ``name`` speaks of (fineweb_8192_bpe.model), else of the run's."""
        for digits in re.findall(r"\d{3,5}", name):
            if (self.folder / f"{digits}.model").is_file():
                return str(self.folder / f"{digits}.model")
        return str(self.folder / f"{self.vocabulary}.model")

    def _matching(self, pattern: str) -> list[str]:
        kind = "train" if "train" in pattern else "val"
        bytes_file = "_bytes" in pattern
        names = sorted(os.listdir(self.folder))  # noqa: PTH208 - Path.glob is patched
        return [
            str(self.folder / name)
            for name in names
            if fnmatch.fnmatch(name, f"fineweb_{kind}_*.bin") and ("_bytes" in name) == bytes_file
        ]

    def _opening(self, mode: str, path: Any) -> None:
        """Note that a file is about to be opened."""
        if isinstance(path, (str, os.PathLike)):
            name = os.fspath(path)
            if str(name).startswith((sys.prefix, sys.base_prefix, "/usr/")):  # Python's own
                return
            if len(self.opened) < MAX_OPENED:
                self.opened.append((self.moment(), mode, str(name)))
            self.listener(mode, str(name))

    def install(self) -> None:
        self._patch_glob()
        self._patch_readers()
        sys.meta_path.insert(0, _Hub(self))

    def downloaded(self, name: str, arguments: dict[str, Any]) -> str | None:
        """What a download that failed would have given: our shard or tokenizer by its name, or for whole data sets the
        folder that the trainer asked it into; None for any other file."""
        if name == "snapshot_download":
            place = str(arguments.get("local_dir") or self.folder)
            os.makedirs(place, exist_ok=True)  # noqa: PTH103 - Path's is patched by some trainers
            return place
        path = self.locate(str(arguments.get("filename", "")))
        return path if os.path.exists(path) else None  # noqa: PTH110

    def _patch_glob(self) -> None:
        find, path_glob = glob.glob, Path.glob

        def plain_glob(pattern: Any, *args: Any, **kwargs: Any) -> list[Any]:
            found = find(pattern, *args, **kwargs)
            name = str(pattern).rsplit("/", 1)[-1]
            return self._without_bytes(found, name) or (self._matching(name) if _SHARD.search(name) else [])

        def method_glob(path: Path, pattern: str, *args: Any, **kwargs: Any) -> Any:
            found = [str(x) for x in path_glob(path, pattern, *args, **kwargs)]
            name = pattern.rsplit("/", 1)[-1]
            found = self._without_bytes(found, name) or (self._matching(name) if _SHARD.search(name) else [])
            return iter([Path(x) for x in found])

        glob.glob, Path.glob = plain_glob, method_glob

    @staticmethod
    def _without_bytes(found: list[Any], pattern: str) -> list[Any]:
        """A pattern such as fineweb_val_*.bin that does not ask for the byte sidecar does not get it."""
        return found if "bytes" in pattern else [x for x in found if "_val_bytes_" not in str(x)]

    def _told(self, mode: str, function: Any, place: int) -> Any:
        """torch.save and torch.load, which open files without Python's open."""

        def telling(*args: Any, **kwargs: Any) -> Any:
            if len(args) > place and isinstance(args[place], (str, os.PathLike)):
                self._opening(mode, args[place])
            return function(*args, **kwargs)

        return telling

    def _moved(self, function: Any) -> Any:
        def moving(source: Any, destination: Any, *args: Any, **kwargs: Any) -> Any:
            done = function(source, destination, *args, **kwargs)
            self._opening("wb", destination)
            return done

        return moving

    def _patch_readers(self) -> None:
        import numpy as np
        import sentencepiece
        import torch

        opener, fromfile, memmap, exists = builtins.open, np.fromfile, np.memmap, Path.exists

        def open_(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if not any(flag in mode for flag in "wxa+"):
                path = self.locate(path)
            self._opening(mode, path)
            return opener(path, mode, *args, **kwargs)

        def fromfile_(path: Any, *args: Any, **kwargs: Any) -> Any:
            path = self.locate(path)
            self._opening("rb", path)
            return fromfile(path, *args, **kwargs)

        class Memmap(memmap):
            def __new__(cls, path: Any, *args: Any, **kwargs: Any) -> Any:
                path = located(path)
                opening("rb", path)
                return memmap.__new__(cls, path, *args, **kwargs)

        located, opening = self.locate, self._opening

        def exists_(path: Path, **kwargs: Any) -> bool:
            return exists(path, **kwargs) or located(path) != path

        builtins.open, io.open, np.fromfile, np.memmap = open_, open_, fromfile_, Memmap
        for mode, name in (("wb", "save"), ("rb", "load")):
            setattr(torch, name, self._told(mode, getattr(torch, name), 1 if name == "save" else 0))
        Path.exists = exists_

        for name in ("replace", "rename"):  # a file that is written whole under another name
            setattr(os, name, self._moved(getattr(os, name)))

        processor = sentencepiece.SentencePieceProcessor
        load, initialise = processor.Load, processor.__init__

        def load_(self: Any, model_file: Any = None, model_proto: Any = None) -> Any:
            return load(self, str(located(model_file)) if model_file else model_file, model_proto)

        def init_(self: Any, model_file: Any = None, *args: Any, **kwargs: Any) -> None:
            initialise(self, str(located(model_file)) if model_file else model_file, *args, **kwargs)

        processor.Load = processor.load = load_
        processor.__init__ = init_


class _Hub(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads huggingface_hub with downloads that, having failed for want of a network, give the files of the probe."""

    def __init__(self, files: DataFiles) -> None:
        self._files = files
        self._found: Any = None

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != "huggingface_hub":
            return None
        self._found = importlib.machinery.PathFinder.find_spec(fullname, path)
        return self._found and importlib.util.spec_from_file_location(
            fullname, self._found.origin, loader=self, submodule_search_locations=self._found.submodule_search_locations
        )

    def create_module(self, spec: Any) -> Any:
        return importlib.util.module_from_spec(self._found)

    def exec_module(self, module: Any) -> None:
        self._found.loader.exec_module(module)
        for name in ("snapshot_download", "hf_hub_download"):
            setattr(module, name, self._tried(name, getattr(module, name)))

    def _tried(self, name: str, download: Callable[..., Any]) -> Callable[..., Any]:
        def tried(*args: Any, **kwargs: Any) -> Any:
            try:
                return download(*args, **kwargs)
            except Exception:
                given = dict(zip(("repo_id", "filename"), args, strict=False)) | kwargs
                path = self._files.downloaded(name, given)
                if path is None:
                    raise
                return path

        return tried
