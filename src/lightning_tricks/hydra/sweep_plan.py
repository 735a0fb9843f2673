"""Sweep plans: check the settings and the command line of a sweep, and derive the overrides of each job."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from lightning_tricks.core.arguments import check_choice, check_count
from lightning_tricks.hydra.sampled_overrides import (
    SampledOverrides,
    read_overrides,
    without_keys,
    write_overrides,
)
from lightning_tricks.sweeps.search_space import METHODS, Choice, Method, Trial, draw_trials
from lightning_tricks.sweeps.sweep_records import SweepRecord


class Settings(Protocol):
    """The settings of a sweeper, which the plugin documents."""

    n_trials: Any
    seed: Any
    method: Any
    params: Any
    stages: Any
    keys: Any
    ablate: Any
    direction: Any
    capacity: Any


@dataclass(frozen=True)
class SweepPlan:
    """The plan of a sweep.

    Attributes:
        n_trials: number of jobs per stage; not used by a grid.
        seed: seed of the values.
        method: how the values are drawn.
        stages: the parameters of each stage; most sweeps have one stage.
        fixed: the overrides that all jobs share.
        ablated: the node whose entries are disabled, and the entries.
    """

    n_trials: int
    seed: int
    method: Method
    stages: list[SampledOverrides]
    fixed: list[str]
    ablated: tuple[str, list[str]] | None = None

    def draw(self, stage: int, base: Sequence[str] = ()) -> list[list[str]]:
        """Return the overrides of each job of a stage.

        Args:
            stage: the number of the stage.
            base: overrides to start from; those that the stage draws are replaced.
        """
        trials = draw_trials(self._space(stage), self.n_trials, self.seed + stage, self.method)
        jobs = []
        for trial in trials:
            drawn = self._overrides(trial)
            jobs.append([*self.fixed, *without_keys(base, drawn), *drawn])
        return jobs

    def _space(self, stage: int) -> dict[str, Any]:
        space = dict(self.stages[stage].space)
        if self.ablated:
            node, names = self.ablated
            cases = ["", *names, ",".join(names)] if len(names) > 1 else ["", *names]
            space[_switched_off(node)] = Choice(tuple(cases))
        return space

    def _overrides(self, trial: Trial) -> list[str]:
        if not self.ablated:
            return write_overrides(trial)
        node = self.ablated[0]
        off = str(trial.pop(_switched_off(node)))
        return [*write_overrides(trial), *(f"{node}.{name}=null" for name in off.split(",") if name)]

    def record(self, jobs: list[list[str]]) -> SweepRecord:
        """Return the record of the sweep for its folder."""
        space = [dict(stage.texts) for stage in self.stages]
        if self.ablated:
            space[0][_switched_off(self.ablated[0])] = ",".join(self.ablated[1])
        return SweepRecord(self.method, self.seed, self.n_trials, space, sorted(self.fixed), jobs)


def _switched_off(node: str) -> str:
    return f"{node} disabled"


def read_plan(settings: Settings, arguments: Sequence[str], loader: ConfigLoader, config: DictConfig) -> SweepPlan:
    """Check the settings and the command line.

    Args:
        settings: the settings of the sweeper.
        arguments: the overrides of the command line.
        loader: reads the application's configuration.
        config: the configuration composed for the sweep.

    Raises:
        ValueError: nothing to draw, no budget, an interval without `low < high`, or another value out of range.
        TypeError: a value has the wrong type.
    """
    check_choice("hydra.sweeper.method", settings.method, METHODS)
    check_choice("hydra.sweeper.direction", settings.direction, ("minimize", "maximize"))
    n_trials = check_count("hydra.sweeper.n_trials", settings.n_trials, 1)
    seed = 0 if settings.seed is None else check_count("hydra.sweeper.seed", settings.seed, 0)
    params = [f"{key}={value}" for key, value in plain_settings(settings.params).items() if value is not None]
    typed = read_overrides([*params, *arguments], loader)
    stages = _read_stages(settings, typed, loader)
    if len(stages) > 1 and (settings.method == "grid" or settings.ablate is not None):
        raise ValueError(
            "`hydra.sweeper.stages` draw random values: they cannot be combined with a grid or with `ablate`."
        )
    ablated = None
    if settings.ablate is not None:
        ablated = str(settings.ablate), _entries(str(settings.ablate), typed.fixed, loader, config)
    elif not any(stage.space for stage in stages):
        raise ValueError(
            "There is nothing to draw: give at least one interval, range or choice, as in "
            "`lr=tag(log, interval(1e-5, 1))`."
        )
    return SweepPlan(n_trials, seed, settings.method, stages, typed.fixed, ablated)


def _read_stages(settings: Settings, typed: SampledOverrides, loader: ConfigLoader) -> list[SampledOverrides]:
    """Return the parameters of each stage; the command line takes precedence."""
    keys = plain_settings(settings.keys)
    stages = []
    used: set[str] = set()
    for given in plain_settings(settings.stages):
        named = {keys.get(name, name): text for name, text in given.items() if text is not None}
        lines = [f"{key}={text}" for key, text in named.items() if key is not None]
        stage = read_overrides(without_keys(lines, typed.fixed), loader)
        if stage.fixed:
            raise ValueError(
                f"A stage must draw values, but {', '.join(stage.fixed)} has a single value. Set it on "
                f"the command line."
            )
        for key in stage.space.keys() & typed.space.keys():
            stage.space[key], stage.texts[key] = typed.space[key], typed.texts[key]
        used |= stage.space.keys()
        if stage.space:
            stages.append(stage)
    first = stages[0] if stages else SampledOverrides()
    further = [key for key in typed.space if key not in used]
    space = {**{key: typed.space[key] for key in further}, **first.space}
    texts = {**{key: typed.texts[key] for key in further}, **first.texts}
    return [replace(first, space=space, texts=texts), *stages[1:]]


def _entries(node: str, fixed: Sequence[str], loader: ConfigLoader, config: DictConfig) -> list[str]:
    """Return the entries of a node of the configuration that can be disabled."""
    found = OmegaConf.select(loader.load_sweep_config(config, list(fixed)), node)
    names = [str(name) for name in found if found[name] is not None] if isinstance(found, DictConfig) else []
    if not names:
        raise ValueError(
            f"`hydra.sweeper.ablate={node}`: the configuration has nothing to disable at `{node}`. Select some "
            f"tricks, as in `{node}=[one_cycle,gradient_clipping]`."
        )
    return names


def plain_settings(value: Any) -> Any:
    """Return a node of a configuration as ordinary lists and dicts, interpolations resolved."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
