"""Reads the lines of one run, whatever dialect its trainer speaks."""

from __future__ import annotations

import math
import re

from reproduce import logfigures as figures
from reproduce.artifact_sizes import code_size, model_size, total_size
from reproduce.headline import choose, is_diagnostic
from reproduce.runlog import Event, Metric, RunLog, Size, Step

KEPT = 2000  # metrics, events, settings and curve points kept of a run; a curve longer than this is thinned

# A line of a program, where a log holds part of one: an f-string, a call of a logging function.
_CODE_LINE = re.compile(r"\bf[\"']|\{[^{}]{1,60}:\.\d|\b(?:log\w{0,8}|print)\(|^\s{0,40}(?:def|return|if|for) ")
BANNER = re.compile(
    r"\W{0,40}(?:run\s*#?\d{1,3}\W{1,4})?(?:start(?:ing|ed)?\W{1,4}|running\W{1,4}|training\W{1,4})?(?:with\W{1,4})?"
    r"seed\s{0,2}[=:#]?\s{0,2}(\d{1,10})\b(?!\s*[:=]?\s*\d*\.\d)",
    re.IGNORECASE,
)
_SETTING = re.compile(r"(?<![\w./])([A-Za-z][A-Za-z0-9_]*+)(?::\s?|=)([^\s,;|]++)")
_BLOCK_SETTING = re.compile(r"\s{2,8}([A-Za-z]\w*+)\s*+[:=]\s*+(.*)$")
_GPU = re.compile(r"(?:NVIDIA|Tesla|GeForce|AMD|Apple) (?!Corp)[A-Z0-9][A-Za-z0-9 .\-]{1,40}")
_ERROR = re.compile(r"(?:\[?rank\d+\]?:?\s?)?([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit))\b(?::\s?(.{0,200}))?")
_ARTIFACT_KEY = re.compile(r"(?:artifact|submission|quant|model|code|compressed).{0,20}bytes$|estimated_total$")
_RANK = re.compile(r"^\[?(?:rank|default)\d{1,4}\]?:?\s{0,3}")
_FINISHED = re.compile(r"\b(?:completed|done|finished|total_time)\b")
_PREPARING = re.compile(r"warm|compil|load|setup|init")  # outside the evaluation's time
_TIME_KEYS = ("eval_time", "elapsed", "time", "eval", "eval_seconds", "eval_time_s", "eval_s", "took", "wall", "t")


class RunReader:
    """One run while it is being read."""

    def __init__(self, first_line: int) -> None:
        self.first_line = self.last_line = first_line
        self.seed: int | None = None
        self.settings: dict[str, str] = {}
        self.metrics: list[Metric] = []
        self.curve: list[Step] = []
        self.stride, self.points = 1, 0  # one point in ``stride`` is kept of the curve
        self.last_step: Step | None = None
        self.last_validation: Metric | None = None
        self.planned: int | None = None
        self.train_seconds: float | None = None
        self.step_seconds: float | None = None
        self.sizes: list[Size] = []
        self.events: list[Event] = []
        self.facts: dict[str, int] = {}
        self.gpu: str | None = None
        self.tokenizer: str | None = None
        self.dataset: str | None = None
        self.source: list[str] = []
        self.source_size = 0
        self.warnings: list[str] = []
        self.failures: list[str] = []
        self.skipped: tuple[int, str, tuple[int, int | None]] | None = None
        self.in_traceback = False
        self.stopped = False
        self.loaded = False  # whether the line of the validation loader was read

    @property
    def started(self) -> bool:
        return bool(self.curve or self.metrics)

    def warn(self, text: str) -> None:
        if len(self.warnings) < 50 and text not in self.warnings:
            self.warnings.append(text)

    # -- one line ---------------------------------------------------------------------------------------------------

    def take(self, number: int, line: str) -> None:
        """Read one line that is not part of a printed source."""
        self.last_line = number
        head = line[: figures.WIDTH]
        low = head.lower()
        step = figures.step_of(head)
        if step is not None and ("loss" in low or "bpb" in low or "time" in low or "lr" in low):
            if self.points % self.stride and "val" not in low:
                self.points += 1  # of a long curve only the points that are kept are read, and the last
                self.skipped = (number, head, step)
            else:
                self.skipped = None
                self._step(number, head, step)
            return
        self.catch_up()
        if "bpb" in low or "bits per byte" in low or "bits/byte" in low or "val_loss" in low:
            self._metric(number, head)
        if not self.started:
            self._settings(head, low)
        if "seed" in low and self.seed is None:
            self._seed(head)
        if "byte" in low or "size" in low or "total" in low or "artifact" in low or " mb" in low:
            self._sizes(number, head)
        if self.gpu is None and ("NVIDIA" in head or "GeForce" in head or "Tesla" in head or "Apple M" in head):
            match = _GPU.search(head)
            self.gpu = match[0].split("  ")[0].strip(" .-") if match else None
        self._events(number, head, low)
        self._failure(head)

    def catch_up(self) -> None:
        """Read the last training step, where it was passed over."""
        if self.skipped is not None:
            skipped, self.skipped = self.skipped, None
            self.points -= 1
            self._step(*skipped)

    def _step(self, number: int, line: str, step: tuple[int, int | None]) -> None:
        found = {p.key: p for p in figures.pairs(line)}
        if step[1]:
            self.planned = step[1]

        def value(*keys: str) -> float | None:
            for key in keys:
                if key in found:
                    if math.isfinite(found[key].value):
                        return found[key].value
                    self.warn(f"line {number}: {key} is {found[key].text}")
            return None

        clock = next((found[k] for k in ("train_time", "time", "elapsed", "training_time", "wall") if k in found), None)
        spent = figures.seconds(clock.value, clock.unit) if clock else None
        if spent is not None:
            self.train_seconds = max(spent, self.train_seconds or 0.0)
        average = found.get("step_avg") or found.get("ms_per_step")
        if average:
            per_step = figures.seconds(average.value, average.unit or "ms")
            self.step_seconds = per_step if per_step is not None and step[0] > 0 else self.step_seconds
        bpb = value("val_bpb", "bpb", "val_bits_per_byte")
        point = Step(step[0], value("train_loss", "loss"), value("val_loss"), bpb, spent)
        if point.val_bpb is not None:
            digits = next((found[k].digits for k in ("val_bpb", "bpb") if k in found), 4)
            self.last_validation = Metric(f"step {step[0]}", point.val_loss, bpb, None, number, digits)
        self.last_step = point
        if self.points % self.stride == 0:
            self.curve.append(point)
            if len(self.curve) > KEPT:
                self.curve, self.stride = self.curve[::2], self.stride * 2
        self.points += 1

    def _metric(self, number: int, line: str) -> None:
        found = figures.pairs(line)
        scores = [p for p in found if "bpb" in p.key or p.key.endswith(("bits_per_byte", "byte"))]
        scores = [p for p in scores if not p.unit or p.unit.lower() == "bpb"]
        if not scores or _CODE_LINE.search(line):
            return
        first = min(p.at for p in found)
        prefix = line[:first].strip(" \t:|,-=*>[](){}\"'")
        described = line.find("(", scores[0].at)  # how it was evaluated: (stride=64 chunk=512)
        progress = [p for p in found if described < 0 or p.at < described]
        if figures.counted(line[:first]) or any(
            p.key.startswith(("running", "batch", "chunk", "epoch")) for p in progress
        ):
            return
        losses = [p for p in found if p.key.endswith("loss") and not p.key.startswith("train")]
        spent = None
        for pair in found:
            if pair.key in _TIME_KEYS or pair.key.endswith(("eval_time", "elapsed")):
                spent = figures.seconds(pair.value, pair.unit or ("s" if pair.key.endswith(("_s", "seconds")) else ""))
        for score in scores:
            if not math.isfinite(score.value):
                self.warn(f"line {number}: {score.key} is {score.text}")
                continue
            if "." not in score.text or len(self.metrics) >= 2 * KEPT:
                continue
            name = prefix if score.key in ("val_bpb", "bpb") else f"{prefix} {score.key}".strip()
            loss = next((p.value for p in losses if math.isfinite(p.value)), None) if len(scores) == 1 else None
            self.metrics.append(Metric(name[:120] or score.key, loss, score.value, spent, number, score.digits))

    def _settings(self, line: str, low: str) -> None:
        if len(self.settings) < KEPT and (":" in line or "=" in line):
            block = _BLOCK_SETTING.match(line)
            if block and " " not in block[2].strip():
                self.settings.setdefault(block[1], block[2].strip()[:500])
            else:
                for match in _SETTING.finditer(line):
                    self.settings.setdefault(match[1], match[2][:500])
        for pair in figures.pairs(line):
            if pair.key in ("world_size", "train_shards", "val_tokens", "model_params", "params", "vocab_size"):
                if math.isfinite(pair.value) and pair.value >= 0 and not pair.unit:
                    self.facts.setdefault(pair.key, int(pair.value))
            elif pair.key == "tokens" and ("val_loader" in low or low.lstrip().startswith("val")):
                tokens = int(pair.value) if math.isfinite(pair.value) else 0
                if "val_loader" in low and not self.loaded:  # what is loaded counts, not a part scored on the way
                    self.loaded, self.facts["val_tokens"] = True, tokens
                self.facts.setdefault("val_tokens", tokens)
        if "tokenizer_path" in self.settings and self.tokenizer is None:
            self.tokenizer = self.settings["tokenizer_path"].strip("\"'")
        if "dataset:" in low and self.dataset is None:
            self.dataset = (
                line[low.index("dataset:") + 8 :].split()[0][:200]
                if line[low.index("dataset:") + 8 :].split()
                else None
            )

    def _seed(self, line: str) -> None:
        for pair in figures.pairs(line):
            if pair.key == "seed" and pair.value == pair.value // 1 and abs(pair.value) < 1e12:
                self.seed = int(pair.value)
                return
        match = BANNER.match(line)
        if match:
            self.seed = int(match[1])

    def _sizes(self, number: int, line: str) -> None:
        if len(self.sizes) >= KEPT:
            return
        if "comparison" in line:
            return  # another compressor's figure, not the artifact's
        for match in re.finditer(r"= ?(\d[\d,]{4,15}) total\b", line):
            self.sizes.append(Size("total artifact bytes", int(match[1].replace(",", "")), number))
        for pair in figures.pairs(line):
            if _ARTIFACT_KEY.search(pair.key) and not pair.unit and "." not in pair.text and pair.value > 10_000:
                self.sizes.append(Size(f"{pair.key} bytes", int(pair.value), number))
        for label, size, exact in figures.sizes_in(line):
            if exact or size > 100_000:
                self.sizes.append(Size(label if exact else f"{label} (rounded)", size, number))

    def _events(self, number: int, line: str, low: str) -> None:
        if len(self.events) >= KEPT:
            return
        kind = ""
        if "stopping_early" in low or "stopping early" in low or "wallclock_cap" in low:
            kind, self.stopped = "clock", True
        elif "reserv" in low and ("gptq" in low or "train" in low or "calib" in low):
            kind = "reserve"
        elif "within_gate" in low or "agree2plus" in low:
            kind = "gate"
        elif "ngram_hint_precompute_outside" in low:
            kind = "precompute"
        elif "precompute" in low and "ngram" in low and ("done" in low or "using" in low):
            kind = "precomputed"
        elif "hessian" in low or "calibrat" in low:
            kind = "calibrated" if re.search(r"collected|calibrated|done|generated", low) else "calibration"
        elif "subset=" in low or "subset:" in low:
            kind = "subset"
        elif "ttt" in low and "bpb" not in low and _FINISHED.search(low) and not _PREPARING.search(low):
            kind = "adapted"
        if kind:
            values = {}
            for pair in figures.pairs(line):
                spent = figures.seconds(pair.value, pair.unit)
                values[pair.key] = pair.value if spent is None else spent
            for spent in (
                figures.seconds(float(m[1]), m[2]) for m in re.finditer(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s)\b", low)
            ):
                if spent is not None:
                    values.setdefault("seconds", spent)
            if kind == "adapted" and "seconds" not in values:
                return
            if kind == "clock" and values.get("train_time") is not None:
                self.train_seconds = max(values["train_time"], self.train_seconds or 0.0)
                self.step_at_stop(line)
            self.events.append(Event(kind, number, line.strip()[:300], values))

    def step_at_stop(self, line: str) -> None:
        """The step at which the clock stopped training, from its own line."""
        match = re.search(r"step:?\s?(\d{1,9})(?:/(\d{1,9}))?", line)
        if match and (self.last_step is None or int(match[1]) >= self.last_step.step):
            self.last_step = Step(int(match[1]), train_seconds=self.train_seconds)
            self.planned = int(match[2]) if match[2] else self.planned

    def _failure(self, line: str) -> None:
        if "Traceback (most recent call last)" in line:
            self.in_traceback = True
        elif self.in_traceback and not line.startswith((" ", "\t")):
            match = _ERROR.match(line)
            if match:
                self._fail(match[0].strip())
                self.in_traceback = False
        elif line.startswith(("Killed", "Segmentation fault", "Bus error")) or "out of memory" in line.lower():
            self._fail(line.strip()[:200])

    def _fail(self, text: str) -> None:
        text = _RANK.sub("", text)  # the same failure of eight processes is one
        if len(self.failures) < 20 and text not in self.failures:
            self.failures.append(text)

    # -- the result -------------------------------------------------------------------------------------------------

    def result(self, path: str) -> RunLog:
        """The run as read."""
        self.catch_up()
        ended = self.stopped or bool(self.last_step and self.planned and self.last_step.step >= self.planned)
        headline, why = choose(self.metrics, self.last_validation, ended)
        if self.in_traceback:
            self._fail("Traceback without its last line: the log is cut")
        total, model, code = total_size(self.sizes), model_size(self.sizes), code_size(self.sizes)
        source = "\n".join(self.source) if self.source else None
        settings = dict(self.settings)
        return RunLog(
            path=path,
            seed=self.seed,
            world_size=self.facts.get("world_size"),
            gpu=self.gpu or self._framework(),
            steps=self.last_step.step if self.last_step else None,
            step_seconds=self.step_seconds,
            train_seconds=self.train_seconds,
            eval_seconds=_evaluation_seconds(self.metrics),
            metrics=tuple(self.metrics),
            headline=headline,
            headline_why=why,
            curve=tuple(self.curve),
            model_bytes=model.bytes if model else None,
            code_bytes=code.bytes if code else None,
            total_bytes=total.bytes if total else None,
            val_tokens=self.facts.get("val_tokens"),
            train_shards=self.facts.get("train_shards"),
            parameters=self.facts.get("model_params", self.facts.get("params")),
            settings=settings,
            source=source,
            warnings=tuple(self.warnings),
            failures=tuple(self.failures),
            seed_from="log" if self.seed is not None else "",
            planned_steps=self.planned,
            sizes=tuple(self.sizes),
            events=tuple(self.events),
            tokenizer=self.tokenizer,
            dataset=self.dataset,
            first_line=self.first_line,
            last_line=self.last_line,
            complete=headline is not None and headline is not self.last_validation,
        )

    def _framework(self) -> str | None:
        """What the run says of its machine by its framework: MLX runs on Apple's."""
        mlx = any(k.lower().startswith("mlx_") or v.startswith("mlx.") for k, v in self.settings.items())
        return "Apple (MLX)" if mlx else None

    def printed_again_by(self, later: RunReader) -> bool:
        """Whether a later part of the file is this run once more: the console's output before the log file's."""
        ours, theirs = self.metrics[-1:], later.metrics[-1:]
        return bool(ours and theirs) and (ours[0].val_bpb, ours[0].val_loss, self.seed) == (
            theirs[0].val_bpb,
            theirs[0].val_loss,
            later.seed if later.seed is not None else self.seed,
        )

    def absorb(self, later: RunReader) -> None:
        """Join an evaluation that was started separately on this run's artifact."""
        self.metrics += later.metrics
        self.sizes += later.sizes
        self.events += later.events
        self.failures += later.failures
        self.warnings += later.warnings
        self.last_line = later.last_line
        self.seed = self.seed if self.seed is not None else later.seed
        self.gpu = self.gpu or later.gpu
        for key, value in later.facts.items():
            self.facts.setdefault(key, value)


def _evaluation_seconds(metrics: list[Metric]) -> float | None:
    """Seconds of all evaluations that may be the score's; one that is printed twice counts once."""
    counted: list[Metric] = []
    for metric in metrics:
        if metric.seconds is None or metric.val_bpb is None or is_diagnostic(metric.stage):
            continue
        if not any(
            abs(c.val_bpb - metric.val_bpb) <= 0.5000001 * 10 ** -min(c.digits, metric.digits)
            for c in counted
            if c.val_bpb is not None
        ):
            counted.append(metric)
    return sum(m.seconds for m in counted if m.seconds is not None) if counted else None
