"""Random batch step: what tricks with random draws for each training batch share: a seed per draw, and their state."""

from abc import abstractmethod
from typing import Any, ClassVar

from lightning_tricks.core.arguments import check_count, check_name
from lightning_tricks.engine.batch.batch_pipeline import BatchPipeline, Stage
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.functional.batch_entries import Path, check_key, find_input


class RandomBatchStep(Trick):
    """A trick that changes each training batch at random.

    Each batch has its own mark, made from ``seed``, the rank and the number of previous batches, which seeds the draws
    of a subclass, so that a resumed run draws the same numbers.

    Args:
        key: the entry of the input.
        seed: seed of the draws.
        name: distinguishes several callbacks of a class.
    """

    identity: ClassVar[tuple[str, ...]] = ("name",)
    stage: ClassVar[Stage]
    """Its position among the steps of the pipeline."""

    def __init__(self, key: int | str | None, seed: int, name: str | None) -> None:
        super().__init__()
        self.key = check_key("key", key)
        self.seed = check_count("seed", seed, 0, 2**63)
        self.name = check_name("name", name)
        self.reset()

    def reset(self) -> None:
        self.num_batches = 0
        """Number of training batches so far."""
        self._rank = 0
        self._path: Path | None = None

    def begin_fit(self, run: Run) -> None:
        """Join the batch pipeline."""
        self._rank = run.trainer.global_rank
        run.part(BatchPipeline).join(self.stage, self._act)

    def _act(self, batch: Any) -> Any:
        """Change a training batch; a bound method, through which a trial finds the state to restore."""
        return self.apply(batch) if self._run is not None and self._run.trainer.training else batch

    @abstractmethod
    def apply(self, batch: Any) -> Any:
        """Return a changed batch."""

    def find_input(self, batch: Any) -> Path | None:
        """Return where a batch's input is; ``None`` where it comes without."""
        path = find_input(batch, self.key, self._path)
        self._path = self._path if path is None else path
        return path

    def next_mark(self) -> str:
        """Return the mark of the next batch, which determines its draws, and count the batch."""
        mark = f"{self.seed}/{self._rank}/{self.num_batches}/{self.state_key}"
        self.num_batches += 1
        return mark

    def plain_state(self) -> dict[str, Any]:
        """Return the number of batches, which determines the next draw."""
        return {"num_batches": self.num_batches}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        self.num_batches = state["num_batches"]
