"""LR factors: the base class of callbacks that only contribute factors to the learning rate."""

from typing import Any, ClassVar

from lightning_tricks.engine.lr.lr_contributor import LRContributor
from lightning_tricks.engine.lr.lr_product import LRProduct
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick


class LRFactor(Trick, LRContributor):
    """A trick that contributes named factors to ``lr = base × factor × factor …``.

    A subclass implements ``factors_at`` and, if it has lengths to measure, ``prepare``; it sets ``follows_clock`` if
    the factors follow from the time alone, as those of a schedule do. The LR callbacks of a run share one
    :class:`LRProduct`, which writes the rates.
    """

    identity: ClassVar[tuple[str, ...]] = ("name",)

    name: str | None

    def reset(self) -> None:
        self.loaded = None

    def begin_fit(self, run: Run) -> None:
        run.part(LRProduct).join(self)

    def summary_sentences(self) -> list[str]:
        """Return the learning-rate part of the closing line, which is the same for all LR callbacks."""
        return self.lr_sentences()

    def plain_state(self) -> dict[str, Any]:
        return {"lr": self.lr_state()}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        self.load_lr_state(state["lr"])
