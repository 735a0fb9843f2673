"""Gradient clipping: bound the norm of all gradients, or each element."""

import math
from collections.abc import Sequence

from torch import Tensor

from lightning_tricks.core.arguments import check_flag, check_number, shown
from lightning_tricks.doctor.facts.run_facts import ClipFact
from lightning_tricks.engine.clip.clip_state import ClipState, GradientNorms
from lightning_tricks.engine.clip.clipper import Clipper
from lightning_tricks.engine.clip.norm_groups import lies_within, measure_norms, scale_to
from lightning_tricks.engine.run.combinations import Purpose
from lightning_tricks.functional.clipping import check_norm_type, clip_by_value_
from lightning_tricks.functional.gradients import join_norms, real_parts, tensor_norms


class GradientClipping(Clipper):
    """Bound the gradient of each step by its norm or by value, and skip steps whose gradient is not finite.

    Use when: the loss spikes, becomes NaN, or belongs to a recurrent network or a transformer (Pascanu et al. 2013).

    Where it acts: ``on_before_optimizer_step``, after accumulation, all-reduce and unscaling, for each optimizer
    separately; also under manual optimization, fp16-AMP with fused optimizers and FSDP2, where the Trainer's own
    clipping cannot.

    Interacts with: ``Trainer(gradient_clip_val=...)``, which it refuses. A skipped step changes neither weights nor the
    optimizer's state; schedules advance. Fused optimizers skip without a host synchronization, others read one flag per
    step; under a GradScaler the scaler skips. LBFGS: each evaluation is clipped; ``skip_nonfinite`` is refused.

    Args:
        max_norm: bound of the norm over all parameters of an optimizer, > 0; typically 0.1 to 10, 1 for transformers.
            The default is 1.0 if ``clip_value`` is not given either.
        norm_type: order of the norm, > 0, including ``"inf"``.
        clip_value: bound of each element instead, > 0; typically 0.5 to 5.
        per_group: bound the norm of each parameter group separately.
        skip_nonfinite: skip a step whose gradient, or its norm, is NaN or infinite; counted in ``num_skipped``.
        max_skips: maximum number of consecutive skips; one more raises and names parameters; ``None``: no limit.
        log: log ``grad_norm``, ``grad_norm_clipped`` and ``clip_rate`` (of the steps since the last logged one) every
            ``log_every_n_steps``, and ``num_skipped`` at the end of an epoch.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: both bounds are given, or an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import GradientClipping
        >>> trainer = Trainer(callbacks=[GradientClipping(1.0, log=True)])

        With Hydra: ``tricks=[gradient_clipping] tricks.gradient_clipping.max_norm=0.5``

    See :func:`lightning_tricks.functional.clipping.clip_by_norm_` and ``clip_by_value_`` for the mathematics.
    """

    def __init__(
        self,
        max_norm: float | None = None,
        *,
        norm_type: float | str = 2.0,
        clip_value: float | None = None,
        per_group: bool = False,
        skip_nonfinite: bool = True,
        max_skips: int | None = None,
        log: bool = False,
    ) -> None:
        if max_norm is not None and clip_value is not None:
            raise ValueError(
                f"`max_norm` and `clip_value` are two ways to clip, got {shown(max_norm)} and "
                f"{shown(clip_value)}. Give one of them."
            )
        self.max_norm = None if max_norm is None else check_number("max_norm", max_norm, 0, low_open=True)
        self.clip_value = None if clip_value is None else check_number("clip_value", clip_value, 0, low_open=True)
        self.norm_type = check_norm_type(norm_type)
        self.per_group = check_flag("per_group", per_group)
        super().__init__(skip_nonfinite, max_skips, log)

    @property
    def fixed_limit(self) -> ClipFact | None:
        """Its argument; ``None`` if each group has its own limit."""
        name = type(self).__name__
        if self.clip_value is not None:
            return ClipFact(f"{name}(clip_value={self.clip_value:g})", self.clip_value, by_value=True)
        limit = 1.0 if self.max_norm is None else self.max_norm
        return None if self.per_group else ClipFact(f"{name}(max_norm={limit:g})", limit)

    @property
    def purpose(self) -> Purpose | None:
        """Clipping by value can be combined with clipping by norm."""
        return "norm clipping" if self.clip_value is None else None

    def measure(self, groups: Sequence[Sequence[Tensor]]) -> GradientNorms:
        return measure_norms(groups, self.norm_type, self.per_group)

    def clip(self, measured: GradientNorms, state: ClipState, observe: bool) -> Tensor | None:
        max_norm = 1.0 if self.max_norm is None else self.max_norm
        if lies_within(measured, max_norm if self.clip_value is None else self.clip_value):
            return None  # the gradients need no clipping
        if self.clip_value is None:
            return scale_to(measured, dict.fromkeys(measured.parts, max_norm))
        grads = [grad for of_group, _ in measured.parts.values() for grad in of_group]
        clipped = measured.total > self.clip_value  # a norm above the limit may contain an element above it
        if self._logs:  # in that case it matters, and another pass over every element is worth its cost
            clipped = join_norms(tensor_norms(real_parts(grads), math.inf), math.inf) > self.clip_value
        clip_by_value_(grads, self.clip_value, total_norm=measured.total)
        return clipped
