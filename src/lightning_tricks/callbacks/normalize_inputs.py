"""Input normalization: mean and deviation of the training rows, applied to every stage's batches."""

from collections.abc import Callable
from typing import Any, ClassVar

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from torch import Tensor

from lightning_tricks.core.arguments import check_count, check_name, check_number
from lightning_tricks.core.devices import precise_dtype
from lightning_tricks.engine.batch.batch_pipeline import BatchPipeline, Stage, add_step
from lightning_tricks.engine.run.lightning_internals import loaded_checkpoint, owner_of_batch_hook
from lightning_tricks.engine.run.ranks import gather_objects
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.engine.run.wrapped_method import call_with
from lightning_tricks.engine.trial.loader_pass import count_own_rows, read_once
from lightning_tricks.functional.batch_entries import (
    Path,
    check_key,
    find_input,
    named_entry,
    read_entry,
    replace_entry,
    spell,
)
from lightning_tricks.functional.feature_statistics import (
    FeatureStatistics,
    check_mask,
    measure_features,
    merge_features,
    normalize_features,
)
from lightning_tricks.modules.input_normalizer import InputNormalizer, check_feature_dim, check_statistics


class NormalizeInputs(Trick):
    """Scale every input feature to mean 0 and standard deviation 1, measured on the training rows.

    Use when: features have different scales, images contain 0 to 255, or the doctor reports unscaled inputs (DAT001).

    Where it acts: one pass over the training loader before the first step (or the sanity check) measures mean and
    standard deviation in float64, over the rows of all processes. Every batch of every stage is then normalized after
    its transfer and after the module's own ``on_after_batch_transfer``, before augmentation. A resumed run, and
    ``validate``, ``test`` and ``predict`` (also with ``ckpt_path``), use the saved statistics.

    Interacts with: :class:`lightning_tricks.InputNormalizer`: if the module contains one, it is fitted and batches are
    not changed, so that a checkpoint is sufficient for inference. The measurement includes random transforms of the
    dataset. A module that takes ``dataloader_iter`` raises an error.

    Args:
        key: the entry of the batch that holds the input: its name, its index, or both joined by dots, as in
            ``"labeled.0"``. ``None``: the first floating-point tensor. Integer inputs, such as images of bytes, must be
            named and are converted to floating point.
        dim: dimension of the features, not 0: 1 for tables and images, -1 for sequences ``(N, L, C)``.
        eps: features with a smaller standard deviation are only centered, > 0.
        mask: the entry that is true where the input is not padding, in the shape of the input without ``dim``; padding
            is neither measured nor changed. ``None``: no padding.
        limit_batches: measure at most this many batches of each process; ``None``: all.
        name: distinguishes several callbacks of this class in checkpoints.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range; when fit starts, the input is sparse, not finite, empty or of varying
            size.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import NormalizeInputs
        >>> trainer = Trainer(callbacks=[NormalizeInputs(key="image")])

        With Hydra: ``tricks=[normalize_inputs] tricks.normalize_inputs.key=image``

    See :func:`lightning_tricks.functional.feature_statistics.merge_features` for the formula.
    """

    identity: ClassVar[tuple[str, ...]] = ("key", "name")
    checklist_roles = ("input_scale",)

    def __init__(
        self,
        *,
        key: int | str | None = None,
        dim: int = 1,
        eps: float = 1e-6,
        mask: int | str | None = None,
        limit_batches: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__()
        self.key = check_key("key", key)
        self.dim = check_feature_dim(dim)
        self.eps = check_number("eps", eps, 0, low_open=True)
        self.mask = check_key("mask", mask)
        self.limit_batches = None if limit_batches is None else check_count("limit_batches", limit_batches, 1)
        self.name = check_name("name", name)
        self._detach: list[Callable[[], None]] = []
        self.reset()

    def reset(self) -> None:
        self.statistics: FeatureStatistics | None = None
        """The measured statistics; ``None`` before."""
        self._path: Path | None = None
        self._normalizer: InputNormalizer | None = None
        self._on_device: tuple[Tensor, Tensor] | None = None

    # -- fit --------------------------------------------------------------------------------------------------------

    def begin_fit(self, run: Run) -> None:
        """Register as a batch step, or find the normalizer in the module."""
        twins = [other for other in run.members_of(NormalizeInputs) if other is not self and other.key == self.key]
        if twins:
            raise MisconfigurationException(self.same_key_message())
        self._normalizer = find_normalizer(run.module)
        step = self.apply if self._normalizer is None else _unchanged
        run.part(BatchPipeline).join(Stage.NORMALIZE, step, lambda: self._measure(run))

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure before the sanity check, which must see normalized batches."""
        if self._run is not None:
            self._measure(self._run)

    def _measure(self, run: Run) -> None:
        """Measure the training rows of all processes, unless a checkpoint contained the statistics."""
        if self.statistics is not None:
            return
        try:
            with run.part(BatchPipeline).paused():
                mine: Any = _to_plain(self._measure_own_rows(run))
        except ValueError as error:  # raised on all processes; otherwise the others would wait for this one
            mine = str(error)
        found = gather_objects(mine)
        errors = [part for part in found if isinstance(part, str)]
        if errors:
            raise ValueError(f"`{self.state_key}`: {errors[0]}")
        statistics = merge_features(_from_plain(part) for part in found)
        self.statistics = check_statistics(statistics, "the training data")
        if self._normalizer is not None:
            self._normalizer.set_statistics_(self.statistics)
        rank_zero_info(
            f"`{self.state_key}`: {len(self.statistics.mean)} features measured on {self.statistics.count:,} rows."
        )

    def _measure_own_rows(self, run: Run) -> FeatureStatistics:
        trainer, dim = run.trainer, self.dim if self._normalizer is None else self._normalizer.dim
        parts, rows = [], 0
        for batch in read_once(trainer, run.module, "Measuring inputs", self.limit_batches):
            path = self._find(batch)
            if path is None:
                continue
            values, mask = read_entry(batch, path), named_entry(batch, self.mask)
            left = count_own_rows(trainer) - rows
            rows += len(values)
            if left < len(values):  # the remaining rows are copies that pad this process's share
                values, mask = values[: int(left)], None if mask is None else mask[: int(left)]
            parts.append(measure_features(values, dim, mask))
        if not parts:
            raise ValueError("the training loader is empty, so there is nothing to measure. Check the dataset.")
        return merge_features(parts)

    def _find(self, batch: Any) -> Path | None:
        """Return where the input is; ``None`` where the batch comes without."""
        path = find_input(batch, self.key, self._path)
        if path is None or path == self._path:
            return path
        others = [] if self._run is None else self._run.members_of(NormalizeInputs)
        if any(other is not self and other._path == path for other in others):
            raise ValueError(f"two callbacks would normalize the entry {spell(path)!r}. Remove one of them.")
        self._path = path
        return path

    # -- batches --------------------------------------------------------------------------------------------------

    def apply(self, batch: Any) -> Any:
        """Return a batch with its input normalized."""
        if self.statistics is None:
            return batch
        path = self._find(batch)
        if path is None:
            return batch
        values, mask = read_entry(batch, path), named_entry(batch, self.mask)
        if values.ndim <= self.dim or values.shape[self.dim] != len(self.statistics.mean):
            raise ValueError(
                f"`{self.state_key}` has measured {len(self.statistics.mean)} features in dimension {self.dim}, but a "
                f"batch has an input of shape {tuple(values.shape)}."
            )
        if mask is not None:
            check_mask(values, self.dim, mask)
        if self._on_device is None or self._on_device[0].device != values.device:
            exact = precise_dtype(values.device)
            mean, std = (number.to(exact).to(values.device) for number in (self.statistics.mean, self.statistics.std))
            self._on_device = mean, std
        return replace_entry(batch, path, normalize_features(values, *self._on_device, self.dim, self.eps, mask))

    # -- validate, test and predict alone -----------------------------------------------------------------------------

    def begin_evaluation(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Normalize with the statistics of an earlier fit or of the loaded checkpoint."""
        self.end_evaluation()
        if find_normalizer(pl_module) is not None:
            return
        self._detach = [
            add_step(owner_of_batch_hook(trainer), Stage.NORMALIZE, self.apply),
            call_with(pl_module, "on_load_checkpoint", lambda: self._load_from(loaded_checkpoint(trainer))),
        ]

    def _load_from(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get("callbacks", {}).get(self.state_key)
        if state is not None:
            self.load_plain_state(state)

    def _warn_if_unfitted(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._detach and self.statistics is None:
            rank_zero_warn(
                f"`{self.state_key}` has no statistics, so inputs are not normalized. Fit first with this object, or "
                f"give the `ckpt_path` of a run that had it."
            )

    on_validation_start = on_test_start = on_predict_start = _warn_if_unfitted

    def end_evaluation(self) -> None:
        """Remove the batch step."""
        for detach in self._detach:
            detach()
        self._detach = []

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.end_evaluation()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.end_evaluation()

    # -- state ----------------------------------------------------------------------------------------------------

    def plain_state(self) -> dict[str, Any]:
        """Return the statistics."""
        return {} if self.statistics is None else {"statistics": _to_plain(self.statistics)}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        self.statistics = _from_plain(state["statistics"]) if "statistics" in state else None
        self._on_device = None


def _unchanged(batch: Any) -> Any:
    """Return a batch unchanged, because the module normalizes it."""
    return batch


def _to_plain(statistics: FeatureStatistics) -> dict[str, Any]:
    return {"count": statistics.count, "mean": statistics.mean.cpu(), "m2": statistics.m2.cpu()}


def _from_plain(plain: dict[str, Any]) -> FeatureStatistics:
    return FeatureStatistics(plain["count"], plain["mean"], plain["m2"])


def find_normalizer(pl_module: LightningModule) -> InputNormalizer | None:
    """Return the normalizer in a module.

    Raises:
        MisconfigurationException: there are several.
    """
    found = {path: module for path, module in pl_module.named_modules() if isinstance(module, InputNormalizer)}
    if len(found) > 1:
        raise MisconfigurationException(
            f"`NormalizeInputs` fits one `InputNormalizer`, but {type(pl_module).__name__} contains "
            f"{', '.join(found)}. "
            "Fit each with `fit_(loader, key=...)` and remove the callback."
        )
    return next(iter(found.values()), None)
