"""The sweeper ``hydra/sweeper=lightning_tricks_random``: what Hydra must see of it.

Hydra imports this file at each start of any Hydra application in the environment: the work is imported when it begins.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LightningTricksRandomSweeper(Sweeper):
    """Draw the values of all jobs before the first one starts, and run those jobs that are not done yet.

    Args:
        n_trials: how many jobs, for each stage if there are stages; ``method="grid"`` runs every combination.
        seed: of the values; ``None``: drawn once, and recorded in the sweep's folder.
        method: ``"random"``, ``"sobol"`` or ``"grid"``.
        params: overrides, by key, that every command line has; those that are typed win.
        stages: parameters by name and stage; each stage starts from the best job so far, judged by what the
            application returns.
        keys: the application's keys for the names in ``stages``; ``None`` leaves a parameter out.
        ablate: a node with tricks, of which each is switched off in turn, then all.
        direction: ``"minimize"`` or ``"maximize"``: which result is best.
        capacity: grow a network instead: ``units``, ``max_units``, ``layers``, ``max_layers`` and ``seeds``.
    """

    def __init__(
        self,
        n_trials: int = 20,
        seed: int | None = None,
        method: str = "random",
        params: Mapping[str, Any] | None = None,
        stages: Sequence[Mapping[str, Any]] | None = None,
        keys: Mapping[str, str | None] | None = None,
        ablate: str | None = None,
        direction: str = "minimize",
        capacity: Mapping[str, Any] | None = None,
    ) -> None:
        self.n_trials, self.seed, self.method, self.direction = n_trials, seed, method, direction
        self.params, self.stages, self.keys, self.ablate = params or {}, stages or [], keys or {}, ablate
        self.capacity = capacity

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Build the launcher, for jobs that leave a record."""
        from lightning_tricks.hydra.recorded_job import RecordedJob

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=RecordedJob(task_function), config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep that the arguments describe; return what the launcher returned."""
        from lightning_tricks.hydra.capacity_sweep import CapacitySweep
        from lightning_tricks.hydra.random_sweep import RandomSweep

        if self.hydra_context is None or self.config is None or self.launcher is None:
            raise RuntimeError("Hydra calls `setup` before `sweep`.")
        kind = RandomSweep if self.capacity is None else CapacitySweep
        return kind(self, self.hydra_context, self.config, self.launcher, arguments).run()
