"""Batch mixer: what mixing callbacks share: the mixed entries, the draws and the state."""

import random
from abc import abstractmethod
from itertools import repeat
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_tricks.core.arguments import check_count, check_list, check_number, shown
from lightning_tricks.engine.batch.batch_pipeline import Stage
from lightning_tricks.engine.batch.random_batch_step import RandomBatchStep
from lightning_tricks.engine.run.combinations import Purpose
from lightning_tricks.functional.batch_entries import (
    Key,
    Path,
    check_key,
    describe_batch,
    entries_after,
    find_entry,
    read_entry,
    replace_entry,
    spell,
)
from lightning_tricks.functional.mixing import check_class_indices, to_probabilities


class BatchMixer(RandomBatchStep):
    """A trick that mixes the rows of each training batch, both inputs and targets.

    Each batch has its own generator, and global generators are not used. A subclass defines how a draw changes inputs
    and targets.

    Args:
        alpha: both parameters of the Beta distribution of the share of a row that is kept.
        num_classes: number of classes of integer targets.
        key: the entry of the input.
        targets: the entries that are mixed with the input.
        p: the share of the batches that are mixed.
        seed: seed of the draws.
        name: distinguishes several callbacks of a class.
    """

    stage: ClassVar[Stage] = Stage.MIX
    checklist_roles = ("augmentation",)

    def __init__(
        self,
        alpha: float,
        num_classes: int | list[int] | None,
        key: int | str | None,
        targets: list[int | str] | None,
        p: float,
        seed: int,
        name: str | None,
    ) -> None:
        super().__init__(key, seed, name)
        self.alpha = check_number("alpha", alpha, 0, 1e6, low_open=True)
        self.num_classes = _check_classes(num_classes)
        self.targets = None if targets is None else [_check_target(item) for item in check_list("targets", targets)]
        self.p = check_number("p", p, 0, 1)

    @property
    def purpose(self) -> Purpose | None:
        """Mixers that each leave out some batches may be meant to take turns."""
        return "mixing" if self.p == 1 else None

    def reset(self) -> None:
        super().reset()
        self._was_checked = False

    @abstractmethod
    def draw(self, values: Tensor, dice: random.Random, share: float) -> Any:
        """Draw how a batch is mixed.

        Args:
            values: ``(N, *)``, the input.
            dice: the generator to draw from.
            share: the share of a row to keep, drawn from the Beta distribution.
        """

    @abstractmethod
    def mix_input(self, values: Tensor, drawn: Any) -> Tensor:
        """Return the mixed input."""

    @abstractmethod
    def mix_target(self, target: Tensor, drawn: Any, *, has_classes: bool) -> Tensor:
        """Return a mixed target.

        Args:
            target: ``(N, *)``, floating-point.
            drawn: the result of :meth:`draw`.
            has_classes: whether the target was class indices; its other dimensions then follow the class dimension.
        """

    def apply(self, batch: Any) -> Any:
        """Return a mixed batch; integer targets become probabilities even if nothing was mixed."""
        dice = random.Random(self.next_mark())
        path = self.find_input(batch)
        if path is None:
            return batch
        values = read_entry(batch, path)
        if not values.is_floating_point():
            raise ValueError(
                f"`{self.state_key}` mixes floating-point inputs, got {describe_batch(values)}. Add `NormalizeInputs`, "
                f"which converts images, or mix tokens after their embedding."
            )
        drawn = None
        if dice.random() < self.p and len(values) > 1:
            drawn = self.draw(values, dice, dice.betavariate(self.alpha, self.alpha))
        mixed = batch if drawn is None else replace_entry(batch, path, self.mix_input(values, drawn))
        classes = iter(self.num_classes) if isinstance(self.num_classes, list) else repeat(self.num_classes)
        for target_path in self._find_targets(batch, path):
            target = self._checked_target(batch, target_path, len(values))
            has_classes = not target.is_floating_point() and target.dtype != torch.bool
            if has_classes:
                target = self._to_probabilities(target, target_path, next(classes, None))
            target = target.to(torch.get_default_dtype()) if target.dtype == torch.bool else target
            new = target if drawn is None else self.mix_target(target, drawn, has_classes=has_classes)
            mixed = replace_entry(mixed, target_path, new)
        self._was_checked = True
        return mixed

    def _find_targets(self, batch: Any, path: Path) -> list[Path]:
        if self.targets is None:
            return entries_after(batch, path)
        found = (find_entry(batch, key) for key in self.targets)
        return [target for target in found if target is not None]

    def _checked_target(self, batch: Any, path: Path, rows: int) -> Tensor:
        target = read_entry(batch, path)
        if not isinstance(target, Tensor) or target.ndim == 0 or len(target) != rows:
            raise ValueError(
                f"`{self.state_key}` cannot mix the entry {spell(path)!r} of the batch, {describe_batch(target)}: it "
                f"is not a tensor of {rows} rows. Name the entries to mix with `targets`."
            )
        return target

    def _to_probabilities(self, target: Tensor, path: Path, num_classes: int | None) -> Tensor:
        if num_classes is None:
            raise ValueError(
                f"`{self.state_key}` cannot mix class indices (the entry {spell(path)!r}, {describe_batch(target)}) "
                "without `num_classes`. Give the number of classes, one for each integer target, or use probabilities "
                "as targets."
            )
        if not self._was_checked:
            check_class_indices(target, num_classes)
        return to_probabilities(target, num_classes)


def _check_classes(num_classes: object) -> int | list[int] | None:
    if num_classes is None:
        return None
    if isinstance(num_classes, int):
        return check_count("num_classes", num_classes, 2, 2**31)
    return [check_count("num_classes", count, 2, 2**31) for count in check_list("num_classes", num_classes)]


def _check_target(key: object) -> Key:
    checked = check_key("targets", key)
    if checked is None:
        raise TypeError(f"`targets` must be names or indices of entries, got {shown(key)}.")
    return checked
