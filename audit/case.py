"""What a rule checks: one submission, of which each part is read when a rule first asks for it."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from audit import unreported
from audit.events import Event, Timeline, common_loops
from audit.headline import Headline, find_headline
from audit.order import Breach, breaches
from audit.provenance import GENERATED, INPUT, LEAF, TOKEN, VAL
from audit.settings import Settings, resolve
from audit.source import Module, package_name, read_sources
from audit.told_settings import titled
from audit.tree import walk
from audit.witness import Witness, silence
from reproduce.folder import SubmissionFolder

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter
    from reproduce.claims import Claims
    from reproduce.runlog import RunLog

SEEDS_DIFFER = 0.01  # bits per byte, at most, where nothing but the seed differs
PLAUSIBLE = 1.03  # bits per byte: merged records end at 1.06, hours of training have reached 1.04
_HEADING = re.compile(r"^#[ \t]+(.+)$", re.M)
_TOLD = re.compile(r"`([A-Z][A-Z0-9_]{2,})=([\w./-]+)`")


class Case:
    """One submission under audit. Every part is read once, when a rule first asks."""

    def __init__(self, folder: SubmissionFolder) -> None:
        self.folder = folder

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """The trainer first, then what it imports. Raises InputError where there is no readable trainer."""
        return read_sources(self.folder)

    @cached_property
    def trainer(self) -> Module:
        """The module that was run."""
        return self.modules[0]

    @cached_property
    def settings(self) -> Settings:
        """The submitted configuration."""
        return resolve(self.folder, self.modules)

    @cached_property
    def witness(self) -> Witness:
        """What the logs show of the program's own texts."""
        complete = any(run.headline is not None for run in self.logs)
        return Witness.of_logs(self.folder.logs, [module.text for module in self.modules], complete)

    @cached_property
    def program(self) -> Interpreter:
        """The program, walked from its first line."""
        from audit.interpret.interpreter import Interpreter

        settings = self.settings
        environment = {**self.processes(), **self.told_in_prose(), **settings.environment}
        logged = {
            name: setting.value
            for name, setting in settings.attributes.items()
            if not setting.why.startswith("default") and not any(v in settings.environment for v in setting.variables)
        }
        interpreter = Interpreter(
            self.modules,
            self.trainer,
            environment,
            settings.options(),
            attributes=logged,
            witness=self.witness,
            package=package_name(self.folder),
        )
        interpreter.run()
        silence(interpreter.timeline, self.witness)
        return interpreter

    @cached_property
    def timeline(self) -> Timeline:
        """What the program does, in order."""
        return self.program.timeline

    def processes(self) -> dict[str, str]:
        """How many processes ran, where all runs with a score say the same."""
        sizes = {run.world_size for run in self.logs if run.headline is not None}
        return {"WORLD_SIZE": str(sizes.pop())} if len(sizes) == 1 and None not in sizes else {}

    def told_in_prose(self) -> dict[str, str]:
        """Settings that the README names in running text as ``X=1``, else those that the title names by their feature.

        Only where no run command and no log gives any.
        """
        if self.folder.run_command is not None or self.folder.logs or self.settings.environment:
            return {}
        found: dict[str, set[str]] = {}
        for name, value in _TOLD.findall(self.folder.readme_text):
            if name in self.settings.configuration.variables:
                found.setdefault(name, set()).add(value)
        if found:
            return {name: values.pop() for name, values in found.items() if len(values) == 1}
        heading = _HEADING.search(self.folder.readme_text)
        title = f"{self.claims.name or ''}\n{heading[1] if heading else ''}"
        return titled(title, {name: row[0] for name, row in self.settings.configuration.variables.items()})

    @property
    def events(self) -> list[Event]:
        """The events of the timeline."""
        return self.timeline.events

    @cached_property
    def headline(self) -> Headline:
        """Which report makes the score, and which losses go into it."""
        return find_headline(self.timeline, self.claimed_stages, [r.headline.stage for r in self.logs if r.headline])

    @cached_property
    def claimed_stages(self) -> list[str]:
        """The stages of the logs whose figure, or whose mean over the runs, is the claimed one."""
        claimed = self.claims.val_bpb
        if claimed is None:
            return []
        figures: dict[str, list[float]] = {}
        for run in self.logs:
            for metric in run.metrics:
                if metric.val_bpb is not None:
                    figures.setdefault(metric.stage, []).append(metric.val_bpb)
        near = 6e-5
        exact = [
            stage
            for stage, found in figures.items()
            if abs(sum(found) / len(found) - claimed) <= near or any(abs(f - claimed) <= near for f in found)
        ]
        # a mean of some of the runs lies between them
        return exact or [
            stage for stage, found in figures.items() if min(found) < claimed < max(found) < min(found) + SEEDS_DIFFER
        ]

    @cached_property
    def training_breaches(self) -> list[Breach]:
        """Optimiser steps on validation tokens that a counted loss rests on too early."""
        return breaches(self.headline, list(self.timeline.of("step")), list(self.headline.losses))

    def front_only(self, breach: Breach) -> bool:
        """Say whether an update took in the front of a window of which only the rest is scored, one window a round.

        Of several windows in a round the front of one may be the rest of another.
        """
        if breach.how != "same round" or breach.loop is None:
            return False
        place = breach.loop.bit
        counted = [e for e in self.headline.scores if e.value.bits & breach.loss.bit]
        learned = breach.update.value.bits
        return bool(counted) and any(
            learned & front
            and not learned & rest
            and all(e.value.bits & rest and e.loops and e.loops[-1].bit == place for e in counted)
            for front, rest in self.program.cuts.values()
        )

    @cached_property
    def counting_breaches(self) -> list[Breach]:
        """Table increments with validation tokens that a counted look-up rests on too early."""
        counts = list(self.timeline.of("count"))
        own = {id(n) for e in counts for n in walk(e.node)}  # `d[k] = d.get(k, 0) + 1` reads what it adds to, no score
        reads = [e for e in self.timeline.of("read") if e.active and self.headline.rests_on(e)]
        return breaches(self.headline, counts, [e for e in reads if id(e.node) not in own])

    def reaches_artifact(self, update: Event) -> bool:
        """Say whether what an update changed is written to disk after it and before the last counted loss."""
        last = max((loss.order for loss in self.headline.losses), default=0)
        return any(update.order < e.order < last and e.value.bits & update.bit for e in self.timeline.of("save"))

    def counted(self, reading: Event) -> tuple[Event, ...]:
        """Where a loss or a look-up is added to the score: the first such place, if the headline has one."""
        places = (e for e in self.headline.scores if e.value.bits & reading.bit and e.order > reading.order)
        return tuple(sorted(places, key=lambda e: e.order)[:1])

    def scored_with(self, update: Event) -> Event | None:
        """The scoring of validation tokens before an update in the same loop: that loop is a pass of its own."""
        for event in self.timeline.of("score", "store"):
            if event.active and event.order < update.order and event.value.bits & VAL and common_loops(event, update):
                return event
        return None

    def keyed_by_target(self, lookup: Event) -> bool:
        """A key that ends on the token at the very index ends on the target, unless that is the model's input there."""
        return bool(lookup.data["target"]) or not lookup.value.bits & INPUT

    def repeats(self, event: Event) -> bool:
        """Say whether an event stands in a loop that goes over the same validation tokens again."""
        return any(loop.times != 1 and not event.value.loops & loop.bit for loop in event.loops)

    def scores_documents_alone(self) -> bool:
        """Say whether the counted losses are taken in a loop over documents that the program cut out itself."""
        losses = self.headline.losses
        return bool(losses) and all(any(loop.over == "data" for loop in loss.loops) for loss in losses)

    def under_masks(self, loss: Event) -> bool:
        """Say whether a loss is taken of a pass over validation tokens of which a random draw hid some."""
        drawn = GENERATED | VAL | TOKEN
        return any(
            e.active
            and e.order < loss.order
            and e.value.bits & (drawn | LEAF) == drawn
            and e.loops == loss.loops[: len(e.loops)]
            for e in self.timeline.of("forward")
        )

    def fitted(self, bits: int) -> bool:
        """Say whether a value rests on fresh tensors that an optimiser moved: then that step is the breach."""
        return any(e.data.get("leaf") and e.bit & bits for e in self.timeline.of("step"))

    @cached_property
    def logs(self) -> tuple[RunLog, ...]:
        """All runs of all logs."""
        from reproduce.table import read_all

        return tuple(read_all(self.folder))

    @cached_property
    def claims(self) -> Claims:
        """What submission.json and README claim."""
        from reproduce.claims import read_claims

        return read_claims(self.folder)

    @cached_property
    def by_file(self) -> dict[str, Module]:
        """The modules by file name."""
        return {module.file: module for module in self.modules}

    def excerpt(self, file: str, line: int) -> str:
        """Return a line of a module, without its indent."""
        module = self.by_file.get(file)
        return module.excerpt(line) if module is not None else ""

    def gaps(self) -> list[str]:
        """Return why the analysis could not tell, for a reader; empty where it followed the program to its score."""
        found = list(self.timeline.gaps)
        if self.trainer.problem:
            found.append(f"{self.trainer.file}: {self.trainer.problem}")
        unresolved = self.trainer.unpacked.unresolved if self.trainer.unpacked is not None else ()
        found += [f"could not be unpacked: {reason}" for reason in unresolved]
        if self.headline.report is None:
            found.append("; ".join([self.headline.why, *unreported.reasons(self)]))
        claimed = self.claims.val_bpb
        if claimed is not None and 0 < claimed < PLAUSIBLE:
            found.append(f"a score of {claimed:.4f} is claimed, accepted ones lie above {PLAUSIBLE}: see what earns it")
        return found
