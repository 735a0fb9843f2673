"""Capacity sweeps: the jobs of each size depend on the results of the previous sizes."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from lightning_tricks.core.arguments import check_choice, check_count, check_list, check_text
from lightning_tricks.hydra.random_sweep import RandomSweep
from lightning_tricks.hydra.sampled_overrides import SampledOverrides, read_overrides, without_keys
from lightning_tricks.hydra.sweep_folder import essential
from lightning_tricks.hydra.sweep_plan import SweepPlan, plain_settings
from lightning_tricks.sweeps.capacity import FEWEST_SEEDS, Growth, Size
from lightning_tricks.sweeps.sweep_records import GROWS, SweepRecord, read_job, write_sweep

log = logging.getLogger(__name__)

_SETTINGS = ("units", "max_units", "layers", "max_layers", "seeds")


@dataclass(frozen=True)
class CapacityPlan(SweepPlan):
    """A plan whose jobs are the sizes of a network, each with several seeds.

    Attributes:
        growth: the rule by which the next size is chosen.
        keys: the keys of units and seed, and of layers if they grow.
        seeds: the seeds of each size.
    """

    growth: Growth | None = None
    keys: tuple[str, str, str | None] = ("", "", None)
    seeds: tuple[int, ...] = ()

    def draw(self, stage: int, base: Any = ()) -> list[list[str]]:
        """Return the jobs of the first size."""
        assert self.growth is not None
        return self.jobs_of(Size(self.growth.units, self.growth.layers))

    def jobs_of(self, size: Size) -> list[list[str]]:
        """Return the overrides of each job of a size."""
        units, seed, layers = self.keys
        deep = [] if layers is None else [f"{layers}={size.layers}"]
        return [[*self.fixed, f"{units}={size.units}", *deep, f"{seed}={each}"] for each in self.seeds]

    def record(self, jobs: list[list[str]]) -> SweepRecord:
        """Return the record of the sweep for its folder; the largest sizes may change."""
        assert self.growth is not None
        units, seed, layers = self.keys
        space = {units: f"{GROWS}{self.growth.units})"}
        if layers is not None:
            space[layers] = f"{GROWS}{self.growth.layers})"
        space[seed] = ",".join(map(str, self.seeds))
        return SweepRecord("capacity", 0, len(self.seeds), [space], sorted(self.fixed), jobs)


class CapacitySweep(RandomSweep):
    """One start of a capacity sweep, which reads completed sizes and runs the others."""

    def _read_plan(self) -> SweepPlan:
        settings = self._settings
        check_choice("hydra.sweeper.direction", settings.direction, ("minimize", "maximize"))
        given, keys = plain_settings(settings.capacity), plain_settings(settings.keys)
        unknown = sorted(given.keys() - set(_SETTINGS))
        if unknown:
            raise ValueError(
                f"`hydra.sweeper.capacity` has no setting `{unknown[0]}`; the settings are {', '.join(_SETTINGS)}."
            )
        if settings.stages or settings.ablate is not None:
            raise ValueError("`hydra.sweeper.capacity` cannot be combined with `stages` or `ablate`.")
        layers = keys.get("layers")
        growth = Growth(
            units=given.get("units", 16),
            max_units=given.get("max_units", 1024),
            layers=None if layers is None else given.get("layers", 1),
            max_layers=given.get("max_layers", 8),
            direction=settings.direction,
        )
        units = check_text("hydra.sweeper.keys.units", keys.get("units"))
        seed = check_text("hydra.sweeper.keys.seed", keys.get("seed"))
        fixed = self._fixed(units, seed, *([] if layers is None else [layers]))
        return CapacityPlan(1, 0, "grid", [SampledOverrides()], fixed, None, growth, (units, seed, layers),
                            _read_seeds(given.get("seeds")))  # fmt: skip

    def _fixed(self, *grown: str) -> list[str]:
        """Return the overrides that all jobs share, which must not include values that the sweep sets."""
        params = plain_settings(self._settings.params)
        lines = [f"{key}={value}" for key, value in params.items() if value is not None]
        typed = read_overrides([*lines, *self._arguments], self._loader)
        if typed.space:
            raise ValueError(
                f"A capacity sweep draws nothing, and `{next(iter(typed.space))}` has several values. Give it one; "
                "the sizes and seeds are in `hydra.sweeper.capacity`."
            )
        clash = [line for line in typed.fixed if line not in without_keys(typed.fixed, [f"{key}=" for key in grown])]
        if clash:
            raise ValueError(
                f"A capacity sweep sets `{clash[0]}` itself: `hydra.sweeper.capacity` has the first value."
            )
        return typed.fixed

    def _drawn_before_start(self, plan: SweepPlan) -> list[list[str]]:
        return self._record.jobs if self._record else plan.draw(0)

    def _run_in_parts(self, plan: SweepPlan) -> Iterator[list[JobReturn]]:
        """Yield the launcher's results for each size, until the score stops improving."""
        assert isinstance(plan, CapacityPlan)
        assert plan.growth is not None
        scores: dict[Size, list[float]] = {}
        while (step := plan.growth.next(scores)).size is not None:
            numbers = [self._number_of(job) for job in plan.jobs_of(step.size)]
            write_sweep(self._folder, plan.record(self._jobs))
            yield self._launch(numbers)
            scores[step.size] = [score for number in numbers if (score := self._score(number)) is not None]
        chosen = "no size" if step.best is None else " ".join(plan.jobs_of(step.best)[0][len(plan.fixed) : -1])
        log.info(f"Capacity: {chosen}; {step.reason}")

    def _number_of(self, job: list[str]) -> int:
        """Return the number of a job; a new number if the sweep does not have the job yet."""
        known = [essential(each) for each in self._jobs]
        if essential(job) in known:
            return known.index(essential(job))
        self._jobs.append(job)
        self._folders.append(self._compose(len(self._jobs) - 1, job))
        return len(self._jobs) - 1

    def _score(self, number: int) -> float | None:
        folder: Path = self._folders[number]
        record = read_job(folder)
        return record.result if record is not None and record.status == "completed" else None


def _read_seeds(value: Any) -> tuple[int, ...]:
    seeds = [check_count("hydra.sweeper.capacity.seeds", seed, 0) for seed in check_list("seeds", value)]
    if len(set(seeds)) < FEWEST_SEEDS or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"`hydra.sweeper.capacity.seeds` must be at least {FEWEST_SEEDS} different numbers, to measure a spread, "
            f"got {seeds}."
        )
    return tuple(seeds)
