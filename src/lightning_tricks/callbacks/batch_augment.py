"""Batch augmentation: any transform, applied to training batches on their device."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lightning_tricks.core.arguments import check_flag, shown_with_type
from lightning_tricks.core.object_snapshot import remember_random_state, seed_random_state
from lightning_tricks.engine.batch.batch_pipeline import Stage
from lightning_tricks.engine.batch.random_batch_step import RandomBatchStep
from lightning_tricks.functional.batch_entries import describe_batch, read_entry, replace_entry


class BatchAugment(RandomBatchStep):
    """Apply a transform to the inputs of training batches, on their device.

    Use when: training data are scarce, and some changes of an input do not change its target: flips, crops, noise.
    Transforms of torchvision (v2) and kornia and your own functions can be used.

    Where it acts: on training batches after their transfer and after normalization, before mixing; validation batches
    are not changed. The transform gets the whole batch of inputs at once; kornia draws for each row, torchvision once
    per batch.

    Interacts with: the random generators of python, numpy and torch: during the transform they are seeded by ``seed``,
    the rank and the number of the batch, and they are restored after it. A resumed run draws exactly the same numbers.

    Args:
        transform: a callable from inputs to inputs; a module is moved to their device.
        key: the entry that is the input: a name, a place, or both joined by dots, as in ``"labeled.0"``; ``None``: the
            first floating tensor.
        whole_batch: pass the whole batch to the transform instead, for instance images with their masks.
        seed: seed of the draws, >= 0; each process draws its own.
        name: distinguishes several callbacks of this class in checkpoints.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range; at the first batch, there is no such input, or the transform does not
            return a tensor.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import BatchAugment
        >>> trainer = Trainer(callbacks=[BatchAugment(lambda images: images.flip(-1))])

        With Hydra: ``tricks=[batch_augment] tricks.batch_augment.transform={_target_:my_code.Flip}``

    See :func:`lightning_tricks.functional.batch_entries.find_input` for how the input is found.
    """

    stage: ClassVar[Stage] = Stage.AUGMENT
    checklist_roles = ("augmentation",)

    def __init__(
        self,
        transform: Callable[[Any], Any],
        *,
        key: int | str | None = None,
        whole_batch: bool = False,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(key, seed, name)
        if not callable(transform):
            raise TypeError(f"`transform` must be callable, got {shown_with_type(transform)}.")
        self.transform = transform
        self.whole_batch = check_flag("whole_batch", whole_batch)

    @torch.no_grad()
    def apply(self, batch: Any) -> Any:
        """Return an augmented batch."""
        mark = self.next_mark()
        if self.whole_batch:
            with seeded_globals(mark):
                return self.transform(batch)
        path = self.find_input(batch)
        if path is None:
            return batch
        values = read_entry(batch, path)
        if isinstance(self.transform, nn.Module):
            self.transform.to(values.device)
        with seeded_globals(mark):
            changed = self.transform(values)
        if not isinstance(changed, Tensor):
            raise ValueError(
                f"`transform` must return a tensor, got {describe_batch(changed)}. Use `whole_batch=True` for a "
                "transform of whole batches."
            )
        return replace_entry(batch, path, changed)


@contextmanager
def seeded_globals(mark: str) -> Iterator[None]:
    """Seed the global generators of python, numpy and torch from a text, and restore them afterwards.

    Example:
        >>> with seeded_globals("a"):
        ...     first = torch.rand(1)
        >>> with seeded_globals("a"):
        ...     bool(first == torch.rand(1))
        True
    """
    restore = remember_random_state()
    seed = random.Random(mark).getrandbits(63)
    try:
        seed_random_state(seed)
        yield
    finally:
        restore()
