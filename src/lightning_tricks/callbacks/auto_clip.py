"""AutoClip: bound the gradient norm by a percentile of the norms so far."""

from collections.abc import Sequence

from torch import Tensor

from lightning_tricks.core.arguments import check_count, check_flag, check_number
from lightning_tricks.engine.clip.clip_state import ClipState, GradientNorms
from lightning_tricks.engine.clip.clipper import Clipper
from lightning_tricks.engine.clip.norm_groups import measure_norms, name_thresholds, scale_to
from lightning_tricks.functional.clip_thresholds import (
    NormHistory,
    empty_history,
    observe_percentile,
    resize_history,
)


class AutoClip(Clipper):
    """Bound the norm of each step's gradient by a percentile of the norms of the last steps.

    Use when: the scale of the gradient is not known, or changes during training, so that no fixed threshold fits
    (Seetharaman et al. 2020).

    Where it acts: ``on_before_optimizer_step``, after accumulation, all-reduce and unscaling, with one history for each
    optimizer; also under manual optimization, fp16-AMP with fused optimizers and FSDP2.

    Interacts with: ``Trainer(gradient_clip_val=...)``, which it refuses. The history is part of the checkpoint;
    non-finite norms are not added to it. A skipped step changes neither weights nor the optimizer's state. Fused
    optimizers skip without a host synchronization, others read one flag per step; under a GradScaler the scaler skips.
    LBFGS: each evaluation is clipped, the first of a step is recorded; ``skip_nonfinite`` is refused.

    Args:
        percentile: percentile of the norms so far, including the current one, in ``[0, 100]``; the paper uses 10, which
            clips nine steps in ten.
        window: number of most recent norms that are kept, 1 to 1,000,000; the paper keeps all.
        per_group: a history and a threshold for each parameter group.
        skip_nonfinite: skip a step whose gradient, or its norm, is NaN or infinite; counted in ``num_skipped``.
        max_skips: maximum number of consecutive skips; one more raises and names parameters; ``None``: no limit.
        log: log ``grad_norm``, ``grad_norm_clipped``, ``clip_rate`` (of the steps since the last logged one) and
            ``clip_threshold`` every ``log_every_n_steps``, and ``num_skipped`` at the end of an epoch.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import AutoClip
        >>> trainer = Trainer(callbacks=[AutoClip(10, window=1_000)])

        With Hydra: ``tricks=[auto_clip] tricks.auto_clip.percentile=25``

    See :func:`lightning_tricks.functional.clip_thresholds.observe_percentile` for the mathematics.
    """

    def __init__(
        self,
        percentile: float = 10.0,
        *,
        window: int = 1000,
        per_group: bool = False,
        skip_nonfinite: bool = True,
        max_skips: int | None = None,
        log: bool = False,
    ) -> None:
        self.percentile = check_number("percentile", percentile, 0, 100)
        self.window = check_count("window", window, 1, 1_000_000)
        self.per_group = check_flag("per_group", per_group)
        super().__init__(skip_nonfinite, max_skips, log)

    def measure(self, groups: Sequence[Sequence[Tensor]]) -> GradientNorms:
        return measure_norms(groups, 2.0, self.per_group)

    def clip(self, measured: GradientNorms, state: ClipState, observe: bool) -> Tensor:
        for group, (_, norm) in measured.parts.items():
            history = state.rules.get(group) or empty_history(self.window, norm.device)
            history, state.thresholds[group] = observe_percentile(history, norm, self.percentile)
            if observe:
                state.rules[group] = history
        return scale_to(measured, state.thresholds)

    def restore_rule(self, tensors: dict[str, Tensor]) -> NormHistory:
        """Return a history; a window changed since the checkpoint takes precedence."""
        return resize_history(NormHistory(**tensors), self.window)

    def more_to_log(self, state: ClipState) -> dict[str, Tensor]:
        return name_thresholds(state.thresholds)
