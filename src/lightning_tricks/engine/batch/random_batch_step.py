"""Random batch step: what tricks share that draw for each training batch: a mark for each draw, and their state."""

from abc import abstractmethod
from typing import Any, ClassVar

from lightning_tricks.core.arguments import check_count, check_name
from lightning_tricks.engine.batch.batch_pipeline import BatchPipeline, Stage
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.functional.batch_entries import Path, check_key, find_input


class RandomBatchStep(Trick):
    """A trick that changes each training batch at random.

    Each batch has a mark of its own, made from ``seed``, the rank and the number of batches before it, from which a
    subclass draws: a resumed run draws on exactly.

    Args:
        key: the entry that is the input.
        seed: of the draws.
        name: tells two callbacks of a class apart.
    """

    identity: ClassVar[tuple[str, ...]] = ("name",)
    stage: ClassVar[Stage]
    """Its place among the steps of the pipeline."""

    def __init__(self, key: int | str | None, seed: int, name: str | None) -> None:
        super().__init__()
        self.key = check_key("key", key)
        self.seed = check_count("seed", seed, 0, 2**63)
        self.name = check_name("name", name)
        self.reset()

    def reset(self) -> None:
        self.num_batches = 0
        """Training batches that came by."""
        self._rank = 0
        self._path: Path | None = None

    def begin_fit(self, run: Run) -> None:
        """Join the pipeline of batches."""
        self._rank = run.trainer.global_rank
        run.part(BatchPipeline).join(self.stage, self._act)

    def _act(self, batch: Any) -> Any:
        """Change a batch in training alone; a bound method, through which a trial finds the state to restore."""
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
        """Return the mark of the next batch, from which its draws follow, and count the batch."""
        mark = f"{self.seed}/{self._rank}/{self.num_batches}/{self.state_key}"
        self.num_batches += 1
        return mark

    def plain_state(self) -> dict[str, Any]:
        """Return the number of batches, from which the next draw follows."""
        return {"num_batches": self.num_batches}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        self.num_batches = state["num_batches"]
