"""Random sweeps: all jobs are determined before the first one starts, and completed jobs are not run again."""

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from lightning_tricks.hydra.sampled_overrides import without_keys
from lightning_tricks.hydra.sweep_folder import (
    JobNumbers,
    SweepError,
    essential,
    only_sweep_in,
    refuse_another,
    refuse_foreign_jobs,
    refuse_inner_process,
)
from lightning_tricks.hydra.sweep_plan import Settings, SweepPlan, read_plan
from lightning_tricks.sweeps.sweep_records import JOB_FILE, read_job, read_sweep, write_sweep
from lightning_tricks.sweeps.sweep_standing import read_standing

log = logging.getLogger(__name__)


class RandomSweep:
    """One start of a sweep, which runs the remaining jobs.

    Args:
        settings: the settings of the sweeper.
        context: Hydra's context, which composes the configurations of the jobs.
        config: the configuration of the sweep.
        launcher: runs the jobs.
        arguments: the overrides of the command line.
    """

    def __init__(
        self,
        settings: Settings,
        context: HydraContext,
        config: DictConfig,
        launcher: Launcher,
        arguments: Sequence[str],
    ) -> None:
        self._settings, self._config, self._launcher, self._arguments = settings, config, launcher, arguments
        self._loader = context.config_loader
        self._folder = Path(config.hydra.sweep.dir)
        self._jobs: list[list[str]] = []
        self._folders: list[Path] = []
        self._failed: dict[int, str] = {}

    def run(self) -> list[JobReturn]:
        """Check everything, run the jobs that are missing or failed, and report the outcome.

        Raises:
            SweepError: the sweep cannot be run as requested, or a job failed.
        """
        refuse_inner_process()
        try:
            plan = self._read_plan()
            plan = self._continue_sweep(plan)
            self._jobs = self._drawn_before_start(plan)
        except (TypeError, ValueError) as error:
            raise SweepError(str(error)) from error
        self._check(plan)
        with only_sweep_in(self._folder):
            self._save_config()
            returns: list[JobReturn] = []
            try:
                for jobs in self._run_in_parts(plan):
                    returns += jobs
            finally:
                log.info(self._progress())
        if self._failed:
            raise SweepError(self._failures())
        return returns

    def _read_plan(self) -> SweepPlan:
        return read_plan(self._settings, self._arguments, self._loader, self._config)

    def _run_in_parts(self, plan: SweepPlan) -> Iterator[list[JobReturn]]:
        """Yield what the launcher returned for the jobs of each stage."""
        for stage in range(len(plan.stages)):
            yield self._run_stage(plan, stage)

    # -- planning -----------------------------------------------------------------------------------------

    def _continue_sweep(self, plan: SweepPlan) -> SweepPlan:
        """Continue the sweep in the folder, if there is one."""
        self._record = read_sweep(self._folder)
        asked = self._settings.seed
        if self._record is not None:
            refuse_another(self._record, plan, asked, self._folder)
            return replace(plan, seed=self._record.seed)
        if asked is None:
            plan = replace(plan, seed=random.SystemRandom().randrange(2**31))
            log.info(f"hydra.sweeper.seed={plan.seed} was drawn now and recorded")
        return plan

    def _drawn_before_start(self, plan: SweepPlan) -> list[list[str]]:
        drawn = plan.draw(0)
        known = self._record.jobs if self._record else []
        for number, (was, now) in enumerate(zip(known, drawn, strict=False)):
            if essential(was) != essential(now):
                raise ValueError(f"{self._folder} contains another sweep: its job {number} was {was} and is now {now}.")
        return [*drawn, *known[len(drawn) :]]

    def _check(self, plan: SweepPlan) -> None:
        """Compose every job, and one of each later stage, so that unknown overrides fail here."""
        self._folders = [self._compose(number, job) for number, job in enumerate(self._jobs)]
        if self._record is None:
            refuse_foreign_jobs(self._folder, self._folders)
        if len(set(self._folders)) < len(self._folders):
            raise SweepError(
                f"Two jobs would share a folder: `hydra.sweep.subdir` names {self._folders[0]} for more than one."
            )
        base = self._sampled(0, plan)
        for stage in range(1, len(plan.stages)):
            job = plan.draw(stage, base)[0]
            self._compose(len(self._jobs), job)
            base = without_keys(job, plan.fixed)

    def _compose(self, number: int, overrides: Sequence[str]) -> Path:
        """Return the folder of a job, which its configuration defines."""
        config = self._loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.num = config.hydra.job.id = number
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(config)  # an interpolation such as ${hydra:job.num} is resolved there
        try:
            return self._folder / str(OmegaConf.select(config, "hydra.sweep.subdir"))
        finally:
            HydraConfig.instance().cfg = before

    # -- running ---------------------------------------------------------------------------------------------------

    def _run_stage(self, plan: SweepPlan, stage: int) -> list[JobReturn]:
        start = stage * plan.n_trials
        if stage and len(self._jobs) <= start:
            self._jobs += plan.draw(stage, self._best(plan, start))
            new = enumerate(self._jobs[start:], start)
            self._folders += [self._compose(number, job) for number, job in new]
        end = start + plan.n_trials if plan.method != "grid" else len(self._jobs)
        write_sweep(self._folder, plan.record(self._jobs))
        return self._launch(range(start, end))

    def _launch(self, wanted: Sequence[int]) -> list[JobReturn]:
        """Run those of some jobs that are not done."""
        numbers = [number for number in wanted if not self._is_done(number)]
        if not numbers:
            return []
        self._refuse_running(numbers)
        if len(numbers) < len(wanted):
            log.info(f"{len(wanted) - len(numbers)} of {len(wanted)} jobs in {self._folder} are done already")
        jobs = [self._jobs[number] for number in numbers]
        returns = self._launcher.launch(jobs, initial_job_idx=JobNumbers(numbers))
        for number, returned in zip(numbers, returns, strict=True):
            if returned.status is not JobStatus.COMPLETED:
                record = read_job(self._folders[number])
                self._failed[number] = record.error if record and record.error else "unknown reason; see its log"
        return list(returns)

    def _refuse_running(self, numbers: Sequence[int]) -> None:
        """Raise an error for a job that is still running: a launcher's jobs can outlive a killed sweep."""
        for number in numbers:
            record = read_job(self._folders[number])
            if record and record.can_be_seen() and record.is_alive():
                raise SweepError(
                    f"Job {number} in {self._folder} is running as process {record.process}. Wait for it or stop it; "
                    f"if "
                    f"that process is another program, remove {self._folders[number] / JOB_FILE}."
                )

    def _is_done(self, number: int) -> bool:
        record = read_job(self._folders[number])
        return record is not None and record.status == "completed"

    def _best(self, plan: SweepPlan, count: int) -> list[str]:
        """Return the values of the best of the first jobs."""
        best = self._best_job(count)
        if best is None:
            raise SweepError(
                f"None of the first {count} jobs in {self._folder} returned a finite number. A sweep with stages needs "
                f"an application that returns one, such as the validation loss, and at least one job that finishes."
            )
        number, result = best
        log.info(f"The next stage starts from job {number}, which returned {result:.6g}")
        return self._sampled(number, plan)

    def _best_job(self, count: int) -> tuple[int, float] | None:
        """Return the number and result of the best of the first jobs; ``None`` if none returned a finite number."""
        results = {}
        for number in range(count):
            record = read_job(self._folders[number])
            if record and record.status == "completed" and record.result is not None:
                results[number] = record.result
        if not results:
            return None
        choose = min if self._settings.direction == "minimize" else max
        best = choose(results, key=lambda number: results[number])
        return best, results[best]

    def _sampled(self, number: int, plan: SweepPlan) -> list[str]:
        return without_keys(self._jobs[number], plan.fixed)

    def _save_config(self) -> None:
        """Write the configuration of the sweep as Hydra's own sweepers do."""
        path = self._folder / "multirun.yaml"
        if not path.exists():
            OmegaConf.save(self._config, path)

    # -- reporting -----------------------------------------------------------------------------------------

    def _progress(self) -> str:
        done = sum(self._is_done(number) for number in range(len(self._jobs)))
        text = f"{done} of {len(self._jobs)} jobs are done. To compare them: lightning-tricks compare {self._folder}"
        if (best := self._describe_best()) is not None:
            text = f"{text}\nBest: job {best[0]} {best[1]}: {' '.join(map(quote, self._jobs[best[0]]))}"
        if done == len(self._jobs):
            return text
        return f"{text}\nTo run the others, repeat the command with hydra.sweep.dir={self._folder}"

    def _describe_best(self) -> tuple[int, str] | None:
        """Return the number of the best job and what it returned; what it logged where no job returned a number."""
        best = self._best_job(len(self._jobs))
        if best is not None:
            return best[0], f"returned {best[1]:.6g}"
        sweep = read_standing(self._folder)
        if sweep is None or not isinstance(sweep.ranked()[0].job, int):
            return None
        return int(sweep.ranked()[0].job), f"reached {sweep.metric} {sweep.ranked()[0].best:.6g}"

    def _failures(self) -> str:
        lines = [f"{len(self._failed)} of {len(self._jobs)} jobs failed; the others were run."]
        lines += [f"  #{number} {' '.join(self._jobs[number])}: {why}" for number, why in self._failed.items()]
        return "\n".join(lines)
