"""The sweeper ``hydra/sweeper=lightning_tricks_random``: the class that Hydra loads.

Hydra imports this file at each start of any Hydra application in the environment, so the implementation is imported
late.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LightningTricksRandomSweeper(Sweeper):
    """Draw the values of all jobs before the first one starts, and run the jobs that are not done yet.

    Args:
        n_trials: number of jobs, per stage if there are stages; ``method="grid"`` runs every combination.
        seed: seed of the values; ``None``: drawn once and recorded in the sweep's folder.
        method: ``"random"``, ``"sobol"`` or ``"grid"``.
        params: overrides by key that apply to every command line; overrides on the command line take precedence.
        stages: parameters by name and stage; each stage starts from the best job so far, judged by what the
            application returns.
        keys: the application's keys for the names in ``stages``; ``None`` omits a parameter.
        ablate: a node with tricks; each of them is disabled in turn, and finally all of them.
        direction: ``"minimize"`` or ``"maximize"`` the result.
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
        """Build the launcher, for jobs that write a record."""
        from lightning_tricks.hydra.recorded_job import RecordedJob

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=RecordedJob(task_function), config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep that the arguments describe; return the launcher's results."""
        from lightning_tricks.hydra.capacity_sweep import CapacitySweep
        from lightning_tricks.hydra.random_sweep import RandomSweep

        if self.hydra_context is None or self.config is None or self.launcher is None:
            raise RuntimeError("Hydra calls `setup` before `sweep`.")
        kind = RandomSweep if self.capacity is None else CapacitySweep
        return kind(self, self.hydra_context, self.config, self.launcher, arguments).run()
