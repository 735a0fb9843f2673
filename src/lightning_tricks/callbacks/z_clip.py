"""ZClip: clip gradient norms that are outliers among the norms so far."""

from collections.abc import Sequence

from torch import Tensor

from lightning_tricks.core.arguments import check_count, check_flag, check_number
from lightning_tricks.engine.clip.clip_state import ClipState, GradientNorms
from lightning_tricks.engine.clip.clipper import Clipper
from lightning_tricks.engine.clip.norm_groups import measure_norms, name_thresholds, scale_to
from lightning_tricks.functional.clip_thresholds import (
    NormStatistics,
    empty_statistics,
    observe_zscore,
    outlier_level,
)


class ZClip(Clipper):
    """Clip only steps whose gradient norm is more than ``z`` standard deviations above the mean.

    Use when: training is smooth except for rare spikes, as in language models; typical steps are not changed (Kumar
    et al. 2025).

    Where it acts: ``on_before_optimizer_step``, after accumulation, all-reduce and unscaling, with separate statistics
    for each optimizer; also under manual optimization, fp16-AMP with fused optimizers and FSDP2.

    Interacts with: ``Trainer(gradient_clip_val=...)``, which it refuses. The statistics are part of the checkpoint;
    non-finite norms are not added to them. A skipped step changes neither weights nor the optimizer's state.
    Fused optimizers skip without a host synchronization, others read one flag per step; under a GradScaler the scaler
    skips. LBFGS: each evaluation is clipped, the first of a step is recorded; ``skip_nonfinite`` is refused.

    Args:
        z: maximum number of standard deviations above the mean, > 0; the paper uses 2.5.
        alpha: weight of the old mean and variance at each step, in ``[0, 1)``; the paper uses 0.97.
        warmup: number of norms from which the first mean and variance are computed, before any step is clipped, at
            least 1; the paper uses 25.
        max_norm: an additional bound for all steps, from the first on, > 0; ``None``: none. It does not affect the
            statistics.
        per_group: statistics and a threshold for each parameter group.
        skip_nonfinite: skip a step whose gradient, or its norm, is NaN or infinite; counted in ``num_skipped``.
        max_skips: maximum number of consecutive skips; one more raises and names parameters; ``None``: no limit.
        log: log ``grad_norm``, ``grad_norm_clipped``, ``clip_rate`` (of the steps since the last logged one) and
            ``clip_threshold`` every ``log_every_n_steps``, and ``num_skipped`` at the end of an epoch.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import ZClip
        >>> trainer = Trainer(callbacks=[ZClip(2.5, max_norm=1.0)])

        With Hydra: ``tricks=[z_clip] tricks.z_clip.alpha=0.99``

    See :func:`lightning_tricks.functional.clip_thresholds.observe_zscore` for the mathematics.
    """

    def __init__(
        self,
        z: float = 2.5,
        *,
        alpha: float = 0.97,
        warmup: int = 25,
        max_norm: float | None = None,
        per_group: bool = False,
        skip_nonfinite: bool = True,
        max_skips: int | None = None,
        log: bool = False,
    ) -> None:
        self.z = check_number("z", z, 0, low_open=True)
        self.alpha = check_number("alpha", alpha, 0, 1, high_open=True)
        self.warmup = check_count("warmup", warmup, 1)
        self.max_norm = None if max_norm is None else check_number("max_norm", max_norm, 0, low_open=True)
        self.per_group = check_flag("per_group", per_group)
        super().__init__(skip_nonfinite, max_skips, log)

    def measure(self, groups: Sequence[Sequence[Tensor]]) -> GradientNorms:
        return measure_norms(groups, 2.0, self.per_group)

    def clip(self, measured: GradientNorms, state: ClipState, observe: bool) -> Tensor:
        for group, (_, norm) in measured.parts.items():
            before = state.rules.get(group) or empty_statistics(norm.device)
            after, threshold = observe_zscore(before, norm, self.z, self.alpha, self.warmup)
            state.thresholds[group] = threshold if self.max_norm is None else threshold.clamp(max=self.max_norm)
            if observe:
                state.rules[group] = after
        return scale_to(measured, state.thresholds)

    def restore_rule(self, tensors: dict[str, Tensor]) -> NormStatistics:
        """Return the statistics unchanged."""
        return NormStatistics(**tensors)

    def more_to_log(self, state: ClipState) -> dict[str, Tensor]:
        """Return the norm above which the next step would be clipped; infinite during the warm-up."""
        levels = {group: outlier_level(rule, self.z, self.warmup) for group, rule in state.rules.items()}
        if self.max_norm is not None:
            levels = {group: level.clamp(max=self.max_norm) for group, level in levels.items()}
        return name_thresholds(levels)
