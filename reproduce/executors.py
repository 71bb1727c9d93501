"""Where work is done: in processes of this machine, or as tasks of a Ray cluster, which does all the scheduling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from reproduce.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Outcome:
    """What became of one item: its result, or the error that stands in its place."""

    index: int
    value: Any = None
    error: Exception | None = None


class Executor(Protocol):
    """Applies a function of a module to items, wherever; outcomes come as they are ready, in any order."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[Outcome]: ...


@dataclass(frozen=True)
class LocalExecutor:
    """``workers`` processes of this machine; with one, everything happens in this process."""

    workers: int = 1

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[Outcome]:
        """Outcomes as they are ready. An item whose process dies (memory, a crash of C code) has an error for one."""
        if self.workers <= 1:
            for index, item in enumerate(items):
                try:
                    yield Outcome(index, function(item))
                except Exception as error:
                    yield Outcome(index, error=error)
            return
        broken = []
        for outcome in _pool(function, items, range(len(items)), self.workers):
            if isinstance(outcome.error, BrokenProcessPool):
                broken.append(outcome.index)
            else:
                yield outcome
        # A dying process takes along whatever else was in flight: those are tried alone, which names the culprit.
        for index in broken:
            yield from _pool(function, items, [index], 1)


def _pool(function: Callable[[T], R], items: Sequence[T], indices: Sequence[int], workers: int) -> Iterator[Outcome]:
    with ProcessPoolExecutor(workers) as pool:
        futures = {pool.submit(function, items[index]): index for index in indices}
        for future in as_completed(futures):
            try:
                yield Outcome(futures[future], future.result())
            except Exception as error:
                yield Outcome(futures[future], error=error)


@dataclass(frozen=True)
class RayExecutor:
    """Tasks on the Ray cluster at ``address`` (None: the one RAY_ADDRESS names, else one started here).

    ``num_gpus`` and ``num_cpus`` are what one task takes. A task whose machine is lost is run again elsewhere, up to
    ``lost_machines`` times. golfproof must be installed on every machine, in the same version.
    """

    address: str | None = None
    num_gpus: float = 0.0
    num_cpus: float = 1.0
    lost_machines: int = 5

    def connect(self) -> Any:
        """The ray module, connected. Raises InputError where Ray is not installed or the cluster cannot be reached."""
        try:
            import ray
        except ImportError as error:
            raise InputError("--executor ray", "Ray (pip install 'golfproof[ray]')", "no module named ray") from error
        if not ray.is_initialized():
            try:
                ray.init(address=self.address, log_to_driver=False, configure_logging=False)
            except (ConnectionError, ValueError, RuntimeError) as error:
                first = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise InputError(self.address or "RAY_ADDRESS", "the address of a Ray cluster", first) from error
        return ray

    def remote(self, ray: Any, function: Callable[..., Any]) -> Any:
        """``function`` as a Ray task with this executor's needs; ``.remote(...)`` starts it."""
        return ray.remote(
            num_gpus=self.num_gpus, num_cpus=self.num_cpus, max_retries=self.lost_machines, retry_exceptions=False
        )(function)

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[Outcome]:
        """Outcomes as they are ready; an item given up on after too many lost machines has an error as outcome."""
        ray = self.connect()
        task = self.remote(ray, _call)  # Ray takes a plain function; ours may be a partial one
        running = {task.remote(function, item): index for index, item in enumerate(items)}
        while running:
            for reference in ray.wait(list(running))[0]:
                index = running.pop(reference)
                try:
                    yield Outcome(index, ray.get(reference))
                except ray.exceptions.RayTaskError as error:
                    yield Outcome(index, error=error.as_instanceof_cause())
                except ray.exceptions.RayError as error:
                    yield Outcome(index, error=error)


def _call(function: Callable[[T], R], item: T) -> R:
    return function(item)


def open_executor(
    name: str, *, workers: int = 1, address: str | None = None, num_gpus: float = 0.0, num_cpus: float = 1.0
) -> LocalExecutor | RayExecutor:
    """The executor called ``local`` or ``ray``. Raises InputError on another name."""
    if name == "local":
        return LocalExecutor(workers)
    if name == "ray":
        return RayExecutor(address, num_gpus, num_cpus)
    raise InputError("--executor", "local or ray", repr(name))
