"""One pass over the validation split: windows are scored in order, and only what is scored is learnt from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from submission.config import Config
from submission.distributed import World, gather_rows, share
from submission.evaluate.ledger import ScoreLedger
from submission.evaluate.mixer import Mixer
from submission.evaluate.ttt import Adapter
from submission.evaluate.windows import Window
from submission.model import GPT

MASS_SAMPLE = 16  # positions a batch on which the mass of a mixture is measured

Progress = Callable[[int, int], None]


@dataclass
class MassMeter:
    """Mean probability mass of the mixture, and the nats that normalising it would add."""

    mass: float = 0.0
    log_mass: float = 0.0
    positions: int = 0

    def add(self, mass: Tensor) -> None:
        self.mass += float(mass.double().sum())
        self.log_mass += float(mass.double().log().sum())
        self.positions += mass.numel()


@dataclass(frozen=True)
class Pass:
    """What takes part in a pass; ``mixer`` and ``adapter`` are optional."""

    model: GPT
    ledger: ScoreLedger
    config: Config
    world: World
    mixer: Mixer | None = None
    adapter: Adapter | None = None


@torch.no_grad()
def run_pass(part: Pass, windows: Sequence[Window], progress: Progress | None = None) -> MassMeter:
    """Score all windows in order; the ledger holds the result."""
    config, ledger = part.config, part.ledger
    part.model.eval()
    meter = MassMeter()
    chunked = part.adapter is not None or (part.mixer is not None and config.mixer_count_every == "chunk")
    chunk = config.ttt_chunk_tokens if chunked else ledger.total + 1
    last = windows[-1].first // chunk
    done = 0
    for number, group in by_chunk(windows, chunk):
        if part.adapter is not None:
            part.adapter.begin_scoring(number)
        for start in range(0, len(group), config.eval_batch_seqs):
            batch = group[start : start + config.eval_batch_seqs]
            score_batch(part, batch, meter)
            done += len(batch)
            if progress is not None:
                progress(done, len(windows))
        begin, end = number * chunk, min((number + 1) * chunk, ledger.frontier)
        if part.mixer is not None and config.mixer_count_every == "chunk":
            _count(part.mixer, ledger, [(begin, end)], from_first=True)
        if part.adapter is not None:
            part.adapter.end_scoring(number)
            if number != last:
                with torch.enable_grad():
                    part.adapter.train(ledger, begin, end, number, last + 1)
    return meter


def by_chunk(windows: Sequence[Window], chunk: int) -> Iterator[tuple[int, list[Window]]]:
    """Windows in runs by the chunk of ``chunk`` positions in which their scored part begins."""
    group: list[Window] = []
    for window in windows:
        if group and window.first // chunk != group[0].first // chunk:
            yield group[0].first // chunk, group
            group = []
        group.append(window)
    if group:
        yield group[0].first // chunk, group


def score_batch(part: Pass, batch: Sequence[Window], meter: MassMeter) -> None:
    """Score one batch of windows: ranks share the network, all ranks mix and record the same numbers."""
    mixer, config, ledger = part.mixer, part.config, part.ledger
    mixing = mixer is not None and mixer.tables.tokens >= config.mixer_min_tokens
    whole = mixing and config.mixer_update == "window"
    rows = [Window(w.start, w.start if whole else w.first, w.stop) for w in batch]
    counts = [
        sum(w.stop - w.first for w in rows[slice(*share(len(rows), rank, part.world.size))])
        for rank in range(part.world.size)
    ]
    mine = rows[slice(*share(len(rows), part.world.rank, part.world.size))]
    entropy_wanted = mixing and mixer is not None and mixer.needs_entropy
    local = network_log_probs(part, mine, entropy_wanted)
    network = gather_rows(local, counts, part.world)  # (rows, 1 or 2): log-probability of the target, entropy
    nll = -network[:, 0]
    scored = (
        torch.cat([torch.arange(w.stop - w.start) >= b.first - w.start for w, b in zip(rows, batch, strict=True)])
        if whole
        else None
    )
    if mixing and mixer is not None:
        entropy = network[:, 1] if entropy_wanted else None
        prev2, prev1 = contexts(ledger, rows, mixer.tables.device, inside=whole)
        experts = torch.cat(
            [
                ledger.pick_with(
                    w.first,
                    w.stop - w.first,
                    _lookup(mixer, network[a:b, 0], None if entropy is None else entropy[a:b], prev2[a:b], prev1[a:b]),
                )
                for w, (a, b) in zip(rows, spans(rows), strict=True)
            ]
        )
        nll = -mixer.mix(experts, prev2, prev1)
        keep = slice(None) if scored is None else scored.to(nll.device).nonzero()[:, 0]
        nll = nll[keep]
        _measure(mixer, meter, None if entropy is None else entropy[keep], prev2[keep], prev1[keep])
    record(ledger, batch, nll)
    if mixer is not None:
        if mixing:
            mixer.learn(experts, prev2, prev1)
        if config.mixer_count_every == "batch":
            _count(mixer, ledger, [(w.first, w.stop) for w in batch], from_first=False)


def network_log_probs(part: Pass, windows: Sequence[Window], entropy: bool) -> Tensor:
    """Log-probability of each scored target, and the entropy in nats if asked for: (rows, 1 or 2) float32."""
    device, ledger, columns = part.world.device, part.ledger, 2 if entropy else 1
    if not windows:
        return torch.zeros(0, columns, device=device)
    longest = max(w.stop - w.start for w in windows)
    tokens = np.zeros((len(windows), longest), dtype=np.int64)
    for row, w in enumerate(windows):
        tokens[row, : w.stop - w.start] = ledger.inputs(w.start, w.stop)
    hidden = part.model.hidden(torch.from_numpy(tokens).to(device))
    features = torch.cat([hidden[i, w.first - w.start : w.stop - w.start] for i, w in enumerate(windows)])
    logits = with_temperature(part.model.head(features).float(), part.config.ttt_temperature if part.adapter else 1.0)
    norm = torch.logsumexp(logits, dim=-1)
    out = torch.empty(logits.size(0), columns, device=device)
    for w, (a, b) in zip(windows, spans(windows), strict=True):
        out[a:b, 0] = ledger.pick(w.first, logits[a:b]) - norm[a:b]
    if entropy:
        out[:, 1] = norm - (torch.exp(logits - norm[:, None]) * logits).sum(dim=-1)
    return out


def with_temperature(logits: Tensor, temperature: float) -> Tensor:
    """PR 700's: confident predictions are sharpened more; inside the softmax, so still a distribution."""
    if temperature == 1.0:
        return logits
    log_probs = torch.log_softmax(logits, dim=-1)
    entropy = -(log_probs.exp() * log_probs).sum(dim=-1)
    confidence = 1.0 - entropy / float(np.log(logits.size(-1)))
    return logits / (1.0 - (1.0 - temperature) * confidence).clamp(0.9, 1.05)[:, None]


def contexts(
    ledger: ScoreLedger, rows: Sequence[Window], device: torch.device, *, inside: bool
) -> tuple[Tensor, Tensor]:
    """The two tokens before each target, (rows,) each; ``inside`` starts every window with a 0, as the seeds do."""
    older, newer = [], []
    for w in rows:
        prev1 = ledger.inputs(w.first, w.stop).astype(np.int64)
        first = 0 if w.first == 0 or (inside and w.first == w.start) else int(ledger.inputs(w.first - 1, w.first)[0])
        newer.append(prev1)
        older.append(np.concatenate(([first], prev1[:-1])))
    return tuple(torch.from_numpy(np.concatenate(x)).to(device) for x in (older, newer))  # type: ignore[return-value]


def record(ledger: ScoreLedger, batch: Sequence[Window], nll: Tensor) -> None:
    """Hand the losses of a batch to the ledger; positions that a reference tail scores again are counted again."""
    for window, (a, b) in zip(batch, spans(batch), strict=True):
        again = max(min(ledger.frontier, window.stop) - window.first, 0)
        if again:
            ledger.record_again(window.first, nll[a : a + again])
        if a + again < b:
            ledger.record(window.first + again, nll[a + again : b])


def spans(windows: Sequence[Window]) -> list[tuple[int, int]]:
    """Row ranges of windows laid one after another."""
    ends = np.cumsum([w.stop - w.first for w in windows]).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _lookup(
    mixer: Mixer, neural: Tensor, entropy: Tensor | None, prev2: Tensor, prev1: Tensor
) -> Callable[[Tensor], Tensor]:
    return lambda targets: mixer.expert_log_probs(neural, entropy, prev2, prev1, targets.to(neural.device))


def _count(mixer: Mixer, ledger: ScoreLedger, spans: Sequence[tuple[int, int]], *, from_first: bool) -> None:
    """Count the targets of scored positions.

    The seeds count every slice by itself, so that n-grams across slices are lost (``from_first``: a chunk's slice
    begins with the last token of the one before). The normalised mixer counts each n-gram exactly once.
    """
    if mixer.counts_slices:
        for begin, end in spans:
            tokens = ledger.scored_tokens(begin + (not from_first), end + 1)
            mixer.tables.add(torch.from_numpy(tokens.astype(np.int64)))
        return
    begin, end = max(spans[0][0], mixer.tables.tokens - 1, 0), spans[-1][1]
    before = min(begin, 2)
    tokens = ledger.scored_tokens(begin - before, end + 1)
    mixer.tables.add(torch.from_numpy(tokens.astype(np.int64)), context=before + 1 if mixer.tables.tokens else 0)


def _measure(mixer: Mixer, meter: MassMeter, entropy: Tensor | None, prev2: Tensor, prev1: Tensor) -> None:
    pick = (
        slice(None)
        if mixer.needs_entropy
        else torch.linspace(0, prev1.numel() - 1, min(MASS_SAMPLE, prev1.numel())).long()
    )
    meter.add(mixer.mass(None if entropy is None else entropy[pick], prev2[pick], prev1[pick]))
