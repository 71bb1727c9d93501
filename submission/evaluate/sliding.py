"""One pass over the validation split: windows are scored in order, and only what is scored is learnt from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from submission.config import Config
from submission.distributed import World, gather_rows, share
from submission.evaluate.experts import Contexts
from submission.evaluate.ledger import ScoreLedger, Spans
from submission.evaluate.mixer import Mixer
from submission.evaluate.network import Hidden, hidden_function, scored_features, target_log_probs, token_rows
from submission.evaluate.ttt import Adapter
from submission.evaluate.windows import Window
from submission.model import GPT

MASS_SAMPLE = 4  # positions a batch on which the mass of a mixture is measured

Progress = Callable[[int, int], None]


def _zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


@dataclass
class MassMeter:
    """Mean probability mass of the mixture, and the nats that normalising it would add."""

    mass: Tensor = field(default_factory=_zero)
    log_mass: Tensor = field(default_factory=_zero)
    positions: int = 0

    def add(self, mass: Tensor) -> None:
        """Sums stay where ``mass`` (positions,) is: reading them after every batch would hold up a GPU."""
        self.mass = self.mass.to(mass.device) + mass.double().sum()
        self.log_mass = self.log_mass.to(mass.device) + mass.double().log().sum()
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
    hidden = hidden_function(part.model, config, part.world)
    chunked = part.adapter is not None or (part.mixer is not None and config.mixer_count_every == "chunk")
    chunk = config.ttt_chunk_tokens if chunked else ledger.total + 1
    last = windows[-1].first // chunk
    done = 0
    for number, group in by_chunk(windows, chunk):
        if part.adapter is not None:
            part.adapter.begin_scoring(number)
        for start in range(0, len(group), config.eval_batch_seqs):
            batch = group[start : start + config.eval_batch_seqs]
            score_batch(part, hidden, batch, meter)
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
    """Windows in runs by the chunk of ``chunk`` positions in which their scored part begins: its number, and they."""
    for number, group in itertools.groupby(windows, key=lambda window: window.first // chunk):
        yield number, list(group)


def score_batch(part: Pass, hidden: Hidden, batch: Sequence[Window], meter: MassMeter) -> None:
    """Score one batch of windows: ranks share the network, all ranks mix and record the same numbers."""
    mixer, ledger = part.mixer, part.ledger
    if mixer is None or mixer.tables.tokens < part.config.mixer_min_tokens:
        record(ledger, batch, -network_rows(part, hidden, batch, entropy=False)[:, 0])
    else:
        whole = part.config.mixer_update == "window"  # every position of a window teaches the weights, as the seeds'
        rows = [Window(w.start, w.start, w.stop) for w in batch] if whole else batch
        network = network_rows(part, hidden, rows, entropy=mixer.needs_entropy)
        entropy = network[:, 1] if mixer.needs_entropy else None
        before = contexts(ledger, rows, network.device, inside=whole)
        experts = ledger.pick_with(
            spans(rows),
            lambda targets: mixer.expert_log_probs(network[:, 0], entropy, before, targets.to(network.device)),
        )
        keep = scored_rows(rows, batch).to(experts.device) if whole else slice(None)
        _measure(mixer, meter, None if entropy is None else entropy[keep], before[keep])
        if whole or mixer.learns_every == 0:
            mixed = mixer.mix(experts, before)
            record(ledger, batch, -mixed[keep])
            mixer.learn(experts, mixed, before)
        else:
            first = 0
            for piece in in_pieces(batch, mixer.learns_every):
                place = slice(first, first + piece.stop - piece.first)
                mixed = mixer.mix(experts[place], before[place])
                record(ledger, [piece], -mixed)
                mixer.learn(experts[place], mixed, before[place])
                first = place.stop
    if mixer is not None and part.config.mixer_count_every == "batch":
        _count(mixer, ledger, spans(batch), from_first=False)


def network_rows(part: Pass, hidden: Hidden, windows: Sequence[Window], *, entropy: bool) -> Tensor:
    """``target_log_probs`` of all windows, (positions, 1 or 2): each rank runs the network on its share of them."""
    config, world = part.config, part.world
    shares = [windows[slice(*share(len(windows), rank, world.size))] for rank in range(world.size)]
    mine = shares[world.rank]
    local = torch.zeros(0, 2 if entropy else 1, device=world.device)
    if mine:
        features = scored_features(hidden(token_rows(part.ledger, mine).to(world.device)), mine)
        local = target_log_probs(
            features,
            spans(mine),
            part.ledger,
            part.model.head,
            bound=config.logit_softcap,
            temperature=config.ttt_temperature if part.adapter else 1.0,
            entropy=entropy,
        )
    return gather_rows(local, [sum(w.stop - w.first for w in each) for each in shares], world)


def contexts(ledger: ScoreLedger, rows: Sequence[Window], device: torch.device, *, inside: bool) -> Contexts:
    """The two tokens before each target; ``inside`` starts every window with a 0, as the seeds do."""
    older, newer = [], []
    for w in rows:
        inputs = ledger.inputs(w.first, w.stop).astype(np.int64)
        first = 0 if w.first == 0 or (inside and w.first == w.start) else int(ledger.inputs(w.first - 1, w.first)[0])
        newer.append(inputs)
        older.append(np.concatenate(([first], inputs[:-1])))
    prev2, prev1 = (torch.from_numpy(np.concatenate(parts)).to(device) for parts in (older, newer))
    return Contexts.of(prev2, prev1)


def record(ledger: ScoreLedger, batch: Sequence[Window], nll: Tensor) -> None:
    """Hand the losses of a batch to the ledger; positions that a reference tail scores again are counted again."""
    values = nll.double().cpu()  # one copy a batch from a GPU, not one a window
    row = 0
    for window in batch:
        size = window.stop - window.first
        again = max(min(ledger.frontier, window.stop) - window.first, 0)
        if again:
            ledger.record_again(window.first, values[row : row + again])
        if again < size:
            ledger.record(window.first + again, values[row + again : row + size])
        row += size


def in_pieces(windows: Sequence[Window], most: int) -> Iterator[Window]:
    """The windows with their scored positions parted into runs of at most ``most``."""
    for w in windows:
        for first in range(w.first, w.stop, most):
            yield Window(w.start, first, min(first + most, w.stop))


def spans(windows: Sequence[Window]) -> Spans:
    """The positions that each window scores."""
    return [(w.first, w.stop) for w in windows]


def scored_rows(rows: Sequence[Window], batch: Sequence[Window]) -> Tensor:
    """Row numbers of the positions that ``batch`` scores among those of ``rows``, the same windows in whole."""
    parts, row = [], 0
    for whole, window in zip(rows, batch, strict=True):
        parts.append(torch.arange(row + window.first - whole.first, row + window.stop - whole.first))
        row += whole.stop - whole.first
    return torch.cat(parts)


def _count(mixer: Mixer, ledger: ScoreLedger, spans: Spans, *, from_first: bool) -> None:
    """Count the targets of scored positions.

    The seeds count every slice by itself, so that n-grams across slices are lost (``from_first``: a chunk's slice
    begins with the last token of the one before). The normalised mixer counts each n-gram exactly once.
    """
    if mixer.counts_slices:
        slices = [ledger.scored_tokens(begin + (not from_first), end + 1).astype(np.int64) for begin, end in spans]
        for length in {len(tokens) for tokens in slices}:  # those of one length at once
            mixer.tables.add(torch.from_numpy(np.stack([tokens for tokens in slices if len(tokens) == length])))
        return
    begin, end = max(spans[0][0], mixer.tables.tokens - 1, 0), spans[-1][1]
    before = min(begin, 2)
    tokens = ledger.scored_tokens(begin - before, end + 1)
    mixer.tables.add(torch.from_numpy(tokens.astype(np.int64)), context=before + 1 if mixer.tables.tokens else 0)


def _measure(mixer: Mixer, meter: MassMeter, entropy: Tensor | None, before: Contexts) -> None:
    if mixer.needs_entropy:
        meter.add(mixer.mass(entropy, before))
    else:
        count = before.row.numel()
        meter.add(mixer.mass(None, before[torch.linspace(0, count - 1, min(MASS_SAMPLE, count)).long()]))
