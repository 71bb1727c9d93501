"""The entry: trains a preset, writes its artifact, then evaluates it in a process of its own.

Run it with python or torchrun, from anywhere. Environment variables: PRESET, SEED, DATA_PATH, TOKENIZER_PATH, RUN_ID,
OUT_DIR, and any setting of config.py in capitals. PHASE=train stops after the artifact; PHASE=evaluate needs only
ARTIFACT and DATA_PATH with the validation shards.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def _make_importable() -> None:
    """Makes this folder the package ``submission``, whatever its name and wherever it was started from."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
    if "submission" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "submission", HERE / "__init__.py", submodule_search_locations=[str(HERE)]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["submission"] = module
        spec.loader.exec_module(module)


def main() -> None:
    """Run the phases; unusable input is one line and exit code 2."""
    _make_importable()
    from submission.config import load_config
    from submission.errors import InputError
    from submission.places import located

    # Before torch starts its threads: waiting ones that spin take the cores that others, or other ranks, use too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    phase = os.environ.get("PHASE", "all")
    try:
        if phase == "evaluate":
            from submission.phases import evaluate_phase

            evaluate_phase()
        elif phase in ("all", "train"):
            config = located(load_config())
            from submission.phases import run  # torch: only once the settings are known to be right

            run(Path(__file__).resolve(), phase, config)
        else:
            raise InputError("environment variable PHASE", "all, train or evaluate", repr(phase))
    except InputError as error:
        sys.stderr.write(f"train_gpt.py: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
