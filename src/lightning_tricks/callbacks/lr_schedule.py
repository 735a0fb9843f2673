"""LR schedule: multiply the learning rate by a function of time and a warm-up."""

import inspect
import math
import pickle
from collections.abc import Callable
from multiprocessing.context import get_spawning_popen
from typing import Any, ClassVar, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning_utilities.core.rank_zero import rank_zero_warn

from lightning_tricks.core.arguments import check_choice, check_flag, check_name, check_number, shown_with_type
from lightning_tricks.core.docstrings import inherit_arguments
from lightning_tricks.core.durations import (
    Duration,
    Moment,
    RunLength,
    Unit,
    measure,
    measure_together,
    parse_duration,
    placeholder_lengths,
)
from lightning_tricks.engine.lr.lr_factor import LRFactor
from lightning_tricks.engine.run.combinations import Purpose, pace_of
from lightning_tricks.engine.run.run import Run
from lightning_tricks.functional.learning_rates import Factor
from lightning_tricks.functional.run_plan import Fact, RatePlan
from lightning_tricks.functional.schedule_cycles import moves_early
from lightning_tricks.functional.schedule_shape import cycles_of, fall_end_of, is_pure
from lightning_tricks.functional.schedules import Schedule, linear_warmup
from lightning_tricks.reports.checklist import Role


class LRSchedule(LRFactor):
    """Multiply the learning rate by any function of time.

    Use when: no named schedule fits, but your own function or a combination with :func:`join` and :func:`product` does.

    Where it acts: the rate of a step is set right after the step before it (``on_train_batch_end``; the first in
    ``on_train_start``), from the Trainer's own progress; under manual optimization also in
    ``on_before_optimizer_step``. Accumulation does not advance it.

    Interacts with: every other LR callback, whose factors multiply in any order. A module that returns its own
    scheduler raises an error, unless ``replace_scheduler=True``.

    Args:
        schedule: called with a time, returns a multiplier: a :class:`Schedule` or any function, which must be
            picklable under ``ddp_spawn``.
        unit: unit of the schedule's time, ``"ep"`` epochs or ``"st"`` optimizer steps.
        warmup: length of a linear warm-up that multiplies the schedule and does not shift it, a Duration; typically
            0 to 5 epochs, or ``"0.05dur"`` (Goyal et al. 2017 use 5 epochs).
        warmup_start: the multiplier at the first step of the warm-up, in ``[0, 1]``.
        log_factors: log each factor as ``<callback>/<factor>``, every ``log_every_n_steps``.
        replace_scheduler: drop the scheduler that the module returns instead of raising an error.
        name: distinguishes several callbacks of this class in checkpoints and logs.

    Raises:
        TypeError: ``schedule`` cannot be called, or an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import LRSchedule, cosine_decay, join, linear_warmup
        >>> schedule = join([linear_warmup(2), cosine_decay(8)], boundaries=[2])
        >>> trainer = Trainer(max_epochs=10, callbacks=[LRSchedule(schedule)])

        With Hydra: ``tricks=[lr_schedule]
        tricks.lr_schedule.schedule='{_target_:lightning_tricks.cosine_decay,decay_steps:10}'``

    See :mod:`lightning_tricks.functional.schedules` for the mathematics.
    """

    follows_clock = True
    checklist_roles: ClassVar[tuple[Role, ...]] = ("schedule",)

    def __init__(
        self,
        schedule: Callable[[float], float],
        *,
        unit: Literal["ep", "st"] = "ep",
        warmup: Duration = 0,
        warmup_start: float = 0.0,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        if not callable(schedule):
            raise TypeError(f"`schedule` must be a function of time, got {shown_with_type(schedule)}.")
        check_choice("unit", unit, ("ep", "st"))
        self.schedule = schedule
        self.unit = unit
        self._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)

    def _init_common(
        self, warmup: Duration, warmup_start: float, log_factors: bool, replace_scheduler: bool, name: str | None
    ) -> None:
        """Check and store the arguments shared by all schedules."""
        super().__init__()
        parse_duration(warmup, "warmup")
        self.warmup = warmup
        self.warmup_start = check_number("warmup_start", warmup_start, 0, 1)
        self.log_factors = check_flag("log_factors", log_factors)
        self.replace_scheduler = check_flag("replace_scheduler", replace_scheduler)
        self.name = check_name("name", name)

    @property
    def purpose(self) -> Purpose | None:
        """A run has one schedule; a warm-up alone or a user-defined function can be combined with any."""
        rule = getattr(getattr(self, "schedule", None), "rule", None)
        return None if rule in (None, linear_warmup(0).rule) else "schedule"

    def plan(self, run: RunLength) -> tuple[Callable[[float], float], Unit]:
        """Return the function of time and its clock, for a run of that length."""
        return self.schedule, self.unit

    def plan_warmup(self, run: RunLength) -> tuple[Callable[[float], float], Unit]:
        """Return the warm-up and its clock: a separate factor, which may have a different clock."""
        lengths, unit = measure_together(run, warmup=self.warmup)
        return linear_warmup(lengths["warmup"], self.warmup_start), unit

    def prepare(self, run: RunLength, steps_per_epoch: int | None) -> None:
        """Measure the lengths; raise an error if the schedule changes inside a first epoch of unknown length."""
        self._plans = {"schedule": self.plan(run), "warmup": self.plan_warmup(run)}
        for factor, (rule, unit) in self._plans.items():
            if steps_per_epoch is None and unit == "ep" and moves_early(rule):
                lengths = "the warm-up" if factor == "warmup" else "all lengths of the schedule"
                raise MisconfigurationException(
                    f"The {factor} of `{self.state_key}` changes inside an epoch, but the training loader has no "
                    f"length, so a time inside the first epoch is unknown. Give {lengths} in optimizer steps "
                    '("500st"), or give the loader a length (`limit_train_batches`, or `__len__` of its dataset).'
                )
        rule, unit = self._plans["schedule"]
        if not isinstance(rule, Schedule):
            self._plans["schedule"] = (_CheckedSchedule(rule, self.state_key), unit)

    def plan_facts(self, run: Run) -> list[Fact]:
        """Return the shape of the schedule and the length of the warm-up."""
        (rule, unit), pace = self._plans["schedule"], pace_of(run)
        warmup, of_warmup = measure(parse_duration(self.warmup), run.clock.length, "warmup")
        known = rule if is_pure(rule) else None
        length = pace.span(float(warmup), of_warmup)
        return [RatePlan(self.state_key, unit, known, length, cycles_of(rule), fall_end_of(rule))]

    def factors_at(self, moment: Moment, optimizer: int) -> dict[str, Factor]:
        """Return the multipliers of the schedule and the warm-up."""
        times: dict[Unit, float] = {"ep": moment.time("ep"), "st": moment.step}
        return {name: rule(times[unit]) for name, (rule, unit) in self._plans.items()}

    def __getstate__(self) -> dict[str, Any]:
        """Raise an error if the schedule cannot be sent to a spawned process."""
        if get_spawning_popen() is not None:
            try:
                pickle.dumps(getattr(self, "schedule", None))
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise TypeError(
                    f"`schedule` of `{self.state_key}` cannot be sent to another process ({error}). Under "
                    "`ddp_spawn`, define it at the top level of a module or use one of "
                    "`lightning_tricks.functional.schedules`; or use `strategy='ddp'`, which starts the script again."
                ) from error
        return self.__dict__.copy()


class _CheckedSchedule:
    """A user-defined schedule whose values are converted to multipliers.

    The first value must be a multiplier. A later value that is not leaves the multiplier unchanged, with one warning,
    because an error would end the training.

    Args:
        schedule: returns a real number of Python or NumPy, or a tensor with one element.
        owner: the callback, for messages.
    """

    def __init__(self, schedule: Callable[[float], Any], owner: str) -> None:
        self._schedule, self._owner = schedule, owner
        self._last: float | None = None
        self._warned = False

    def __call__(self, t: float) -> float:
        value = self._schedule(t)
        if type(value) is not float or not 0 <= value < math.inf:
            value = self._convert(value, t)
        self._last = value
        return value

    def _convert(self, value: Any, t: float) -> float:
        try:
            number = math.nan if isinstance(value, str) else float(value)
        except (TypeError, ValueError, RuntimeError):  # torch raises the last one for a tensor with several elements
            number = math.nan
        if 0 <= number < math.inf:
            return number
        problem = (
            f"`schedule` of `{self._owner}` must return a finite multiplier >= 0, got {value!r} "
            f"({type(value).__name__}) at t = {t:g}."
        )
        if self._last is None:
            raise (ValueError if isinstance(value, (int, float)) else TypeError)(problem)
        if not self._warned:
            self._warned = True
            rank_zero_warn(f"{problem} The multiplier stays at {self._last:g}.")
        return self._last


class NamedSchedule(LRSchedule):
    """A named schedule of the library: the arguments of a pure schedule, with Durations for its lengths.

    A subclass defines the pure schedule and which of its arguments are lengths. Its constructor stores all of them and
    ends with ``_init_common``, so that Hydra, LightningCLI and readers see the whole signature. The arguments that all
    schedules share are documented at :class:`LRSchedule`.
    """

    pure: ClassVar[Callable[..., Schedule]]
    """The pure schedule; this class has the same arguments."""
    lengths: ClassVar[tuple[str, ...]] = ()
    """The arguments that are Durations here and times in the pure schedule."""

    @property
    def purpose(self) -> Purpose | None:
        """A named schedule covers the whole run."""
        return "schedule"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__doc__ = inherit_arguments(cls.__doc__ or "", lambda name: LRSchedule.__doc__ or "")

    def durations(self) -> dict[str, Duration]:
        """Return the lengths as given, by name."""
        return {length: getattr(self, length) for length in self.lengths}

    def make(self, measured: dict[str, float]) -> Schedule:
        """Return the pure schedule for measured lengths."""
        pure = type(self).pure
        return pure(**{name: measured.get(name, getattr(self, name)) for name in inspect.signature(pure).parameters})

    def _init_common(
        self, warmup: Duration, warmup_start: float, log_factors: bool, replace_scheduler: bool, name: str | None
    ) -> None:
        """Check everything that can be checked before the run, by building the pure schedule."""
        super()._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)
        self.make(placeholder_lengths(self.durations()))

    def plan(self, run: RunLength) -> tuple[Callable[[float], float], Unit]:
        """Return the schedule with its lengths measured, and their clock."""
        measured, unit = measure_together(run, **self.durations())
        return self.make(measured), unit
