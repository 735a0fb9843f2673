"""Adaptive gradient clipping: bound the gradient of each unit by a share of the norm of its weights."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from lightning_tricks.core.arguments import check_number, check_words, shown
from lightning_tricks.engine.clip.clip_state import ClipState, GradientNorms
from lightning_tricks.engine.clip.clipper import Clipper
from lightning_tricks.engine.run.run import Run
from lightning_tricks.functional.clipping import adaptive_clip_
from lightning_tricks.functional.gradients import join_norms, tensor_norms
from lightning_tricks.functional.unit_norms import Units, measure_units

_PATTERNS = "glob patterns such as ['head.*']"


class AdaptiveGradientClipping(Clipper):
    """Bound the gradient of each output unit by a share of the norm of the unit's weights (AGC).

    Use when: networks without normalization, large batches or high learning rates, where no single threshold suits
    all layers (Brock et al. 2021).

    Where it acts: ``on_before_optimizer_step``, after accumulation, all-reduce and unscaling, for each optimizer
    separately; also under manual optimization, fp16-AMP with fused optimizers and FSDP2.

    Interacts with: ``Trainer(gradient_clip_val=...)``, which it refuses. It can be combined with
    :class:`GradientClipping`. A skipped step changes neither weights nor the optimizer's state. Fused optimizers skip
    without a host synchronization, others read one flag per step; under a GradScaler the scaler skips. LBFGS: each
    evaluation is clipped; ``skip_nonfinite`` is refused.

    Args:
        clip_factor: the share, > 0; the paper uses 0.01 for batches of 4,096 rows, up to 0.16 for batches of 256.
        eps: lower bound of the weight norm, > 0, so that a unit initialized with zeros can leave zero.
        exclude: glob patterns of parameters that are not clipped, such as ``["head.*"]``; the paper excludes the
            last linear layer.
        skip_nonfinite: skip a step whose gradient, or its norm, is NaN or infinite; counted in ``num_skipped``.
        max_skips: maximum number of consecutive skips; one more raises and names parameters; ``None``: no limit.
        log: log ``grad_norm``, ``grad_norm_clipped`` and ``clip_rate`` (of the steps since the last logged one) every
            ``log_every_n_steps``, and ``num_skipped`` at the end of an epoch.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import AdaptiveGradientClipping
        >>> trainer = Trainer(callbacks=[AdaptiveGradientClipping(0.02, exclude=["head.*"])])

        With Hydra: ``tricks=[adaptive_gradient_clipping] tricks.adaptive_gradient_clipping.exclude=['head.*']``

    See :func:`lightning_tricks.functional.clipping.adaptive_clip_` for the mathematics.
    """

    def __init__(
        self,
        clip_factor: float = 0.01,
        *,
        eps: float = 1e-3,
        exclude: Sequence[str] = (),
        skip_nonfinite: bool = True,
        max_skips: int | None = None,
        log: bool = False,
    ) -> None:
        self.clip_factor = check_number("clip_factor", clip_factor, 0, low_open=True)
        self.eps = check_number("eps", eps, 0, low_open=True)
        if isinstance(exclude, str):
            raise TypeError(f"`exclude` must be a list of {_PATTERNS}, got {shown(exclude)}.")
        self.exclude = tuple(check_words("exclude", exclude, _PATTERNS))
        self._excluded: frozenset[int] = frozenset()
        super().__init__(skip_nonfinite, max_skips, log)

    def begin_fit(self, run: Run) -> None:
        """Find the parameters that are not clipped."""
        super().begin_fit(run)
        named = run.module.named_parameters(remove_duplicate=False)
        names = {name.replace("_orig_mod.", ""): param for name, param in named}  # added by torch.compile
        for pattern in self.exclude:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise MisconfigurationException(
                    f"`exclude` of `AdaptiveGradientClipping` has a pattern {pattern!r} that matches no parameter. The "
                    f"parameters of the module are: "
                    f"{', '.join(list(names)[:10])}{', ...' if len(names) > 10 else ''}."
                )
        self._excluded = frozenset(
            id(param) for name, param in names.items() if any(fnmatchcase(name, pattern) for pattern in self.exclude)
        )

    def measure(self, groups: Sequence[Sequence[Tensor]]) -> GradientNorms:
        """Measure unit by unit; for excluded parameters only the gradients, which must also be finite."""
        params = [param for group in groups for param in group]
        if not self._excluded:
            return _measured(measure_units(params))
        alone = [param for param in params if id(param) in self._excluded]
        others = [param for param in params if id(param) not in self._excluded]
        if not alone:
            return _measured(measure_units(others))
        norms = tensor_norms([param.grad for param in alone])  # type: ignore[misc]
        if not others:
            return GradientNorms(alone, norms, [1] * len(alone), join_norms(norms))
        clipped = _measured(measure_units(others))
        evidence = torch.cat([clipped.evidence, norms.to(clipped.evidence)])
        entries = [*clipped.entries, *[1] * len(alone)]
        return GradientNorms([*clipped.params, *alone], evidence, entries, join_norms(evidence), clipped.parts)

    def clip(self, measured: GradientNorms, state: ClipState, observe: bool) -> Tensor | None:
        units: Units | None = measured.parts
        if units is None:
            return None
        clipped = units.any_below_one(units.factors(self.clip_factor, self.eps)) if self._logs else None
        adaptive_clip_(units.params, self.clip_factor, self.eps, units=units)
        return clipped


def _measured(units: Units) -> GradientNorms:
    return GradientNorms(units.params, units.evidence, units.entries, units.total(), units)
