"""MixUp: train on blends of two rows and of their targets."""

import random

from torch import Tensor

from lightning_tricks.engine.batch.batch_mixer import BatchMixer
from lightning_tricks.functional.mixing import blend_rows


class MixUp(BatchMixer):
    """Blend each row of a training batch with another, and their targets alike.

    Use when: few rows are there to learn from, and blends of two inputs make sense: images, spectra, tables of numbers.

    Where it acts: on training batches after their transfer, after normalization and augmentation; validation sees none
    of it. Targets given as class indices become probabilities ``(N, C)``, which ``cross_entropy`` takes; probabilities
    and regression values are blended as they are. Several targets are blended alike.

    Interacts with: metrics of the training step that expect class indices: compare with ``target.argmax(1)``. Losses
    without soft targets (``nll_loss``) fail. :class:`CutMix` in the same list mixes the mixed rows once more.

    Args:
        alpha: both parameters of the Beta distribution of the share that a row keeps, > 0; typical 0.1 to 0.4, larger
            blends more (Zhang et al. 2018, section 3.1).
        num_classes: number of classes of integer targets, a list for several of them; ``None``: integer targets are
            refused.
        key: the entry that is the input: a name, a place, or both joined by dots, as in ``"labeled.0"``; ``None``: the
            first floating tensor.
        targets: the entries that are mixed with it; ``None``: every entry after the input.
        p: share of the batches that are mixed, in [0, 1].
        seed: of the draws, >= 0; each process draws its own.
        name: tells two callbacks of this class apart, in checkpoints.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range; at the first batch, an entry that cannot be mixed.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import MixUp
        >>> trainer = Trainer(callbacks=[MixUp(0.2, num_classes=10)])

        With Hydra: ``tricks=[mix_up] tricks.mix_up.num_classes=10``

    See :func:`lightning_tricks.functional.mixing.blend_rows` for the formula.
    """

    def __init__(
        self,
        alpha: float = 0.2,
        *,
        num_classes: int | list[int] | None = None,
        key: int | str | None = None,
        targets: list[int | str] | None = None,
        p: float = 1.0,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(alpha, num_classes, key, targets, p, seed, name)

    def draw(self, values: Tensor, dice: random.Random, share: float) -> tuple[int, float]:
        """Return the distance of the partner and the share that a row keeps."""
        return dice.randrange(1, len(values)), share

    def mix_input(self, values: Tensor, drawn: tuple[int, float]) -> Tensor:
        return blend_rows(values, *drawn)

    def mix_target(self, target: Tensor, drawn: tuple[int, float], *, has_classes: bool) -> Tensor:
        return blend_rows(target, *drawn)
