"""Initial weights: reinitialize the weights of a model before its first fit, each layer for its activation."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from weakref import WeakSet

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tricks.core.arguments import check_count, check_flag, check_words
from lightning_tricks.doctor.facts.own_failures import OwnFailures
from lightning_tricks.engine.batch.batch_pipeline import BatchPipeline, Stage
from lightning_tricks.engine.checkup.examination import act_on_rank_zero, why_not_traced
from lightning_tricks.engine.initialization.choose_layers import ChosenLayers, choose_layers
from lightning_tricks.engine.initialization.initialize import (
    check_initialization,
    divide_,
    draw_,
    find_gains,
    needs_trace,
    scalable,
    seed_from,
)
from lightning_tricks.engine.initialization.trace_gains import restored_setup
from lightning_tricks.engine.initialization.unit_variance import measure_scales
from lightning_tricks.engine.run.ranks import gather_objects
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.engine.trial.loader_pass import read_once

_INITIALIZED: "WeakSet[LightningModule]" = WeakSet()


class InitializeWeights(Trick):
    """Reinitialize the weights of a model before its first fit, each layer for the activation after it.

    Use when: the doctor reports initial weights (INI001 to INI003), a deep network without normalization does not
    start to learn, or a model should use a different initialization without a change of its code.

    Where it acts: once for a module, when its first fit starts, before the learning-rate finder and before layers are
    frozen; never after a resume. Linear, convolutional and recurrent layers are drawn; their biases become 0, those of
    LSTM forget gates 1, and recurrent weights orthogonal. Norms, embeddings, weights tied to them, frozen layers and
    loaded weights are not changed. One log line lists what was initialized and what was not. ``lsuv`` scales each layer
    to unit variance on the first batch, normalized and not augmented.

    Interacts with: :class:`GradualUnfreezing`: layers that it freezes are also initialized. ``FSDPStrategy``, DeepSpeed
    and,
    for ``lsuv``, ``ModelParallelStrategy`` raise an error: call ``lightning_tricks.initialize_`` in the module's
    ``__init__`` instead. Under ``ModelParallelStrategy`` no step is traced.

    Args:
        scheme: ``he_normal``, ``he_uniform`` (He et al. 2015), ``xavier_normal``, ``xavier_uniform`` (Glorot & Bengio
            2010), ``lecun_normal`` (for SELU), ``orthogonal`` (Saxe et al. 2014), ``fan_in_uniform`` or ``lsuv``
            (Mishkin & Matas 2016).
        include: glob patterns on the names of weights.
        exclude: glob patterns on the names of weights, which take precedence over ``include``.
        nonlinearity: the activation after the layers, by its name in ``torch.nn.functional``; ``"auto"``: found for
            each layer by tracing a step.
        overwrite_pretrained: also reinitialize pretrained weights.
        seed: seed of the draws, >= 0; ``None``: derived from torch's seed and the current weights. Global generators
            are not used.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range; when fit starts, a pattern that matches nothing.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import InitializeWeights
        >>> trainer = Trainer(callbacks=[InitializeWeights("he_normal", exclude=["head.*"])])

        With Hydra: ``tricks=[initialize_weights] tricks.initialize_weights.scheme=he_normal``

    See :func:`lightning_tricks.functional.initial_weights.draw_weight` for the formulas.
    """

    begins_first: ClassVar[bool] = True

    def __init__(
        self,
        scheme: str = "he_normal",
        *,
        include: Sequence[str] = ("*",),
        exclude: Sequence[str] = (),
        nonlinearity: str = "auto",
        overwrite_pretrained: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_initialization(scheme, nonlinearity)
        self.scheme, self.nonlinearity = scheme, nonlinearity
        self.include = check_words("include", include, "glob patterns")
        self.exclude = check_words("exclude", exclude, "glob patterns")
        self.overwrite_pretrained = check_flag("overwrite_pretrained", overwrite_pretrained)
        self.seed = None if seed is None else check_count("seed", seed, 0, 2**63)
        self.reset()

    def reset(self) -> None:
        self.initialized: list[str] = []
        """The names of the parameters that were initialized."""
        self._chosen: ChosenLayers | None = None

    def begin_fit(self, run: Run) -> None:
        """Draw the weights, unless they come from a checkpoint or an earlier fit."""
        self._refuse(run)
        run.act_first(self)
        if run.trainer.ckpt_path or run.module in _INITIALIZED:
            return
        chosen = choose_layers(run.module, self.include, self.exclude, self.overwrite_pretrained)
        gains: dict[str, float] = {}
        if needs_trace(self.scheme, self.nonlinearity):
            gains = self._on_rank_zero(run, lambda batch, *given: find_gains(run.module, chosen, batch, *given))
        seed = gather_objects(seed_from(chosen) if self.seed is None else self.seed)[0]
        self.initialized = draw_(chosen, self.scheme, self.nonlinearity, gains, seed)
        _INITIALIZED.add(run.module)
        self._chosen = chosen
        rank_zero_info(f"`InitializeWeights`: {chosen.describe(self.scheme)}")

    def _refuse(self, run: Run) -> None:
        sharding = ["FSDPStrategy", "DeepSpeedStrategy", *(["ModelParallelStrategy"] if self.scheme == "lsuv" else [])]
        if run.strategy_is(*sharding):
            raise MisconfigurationException(
                f"`InitializeWeights` cannot act under {type(run.trainer.strategy).__name__}, which has already split "
                f"the weights when fit starts. Use `initialize_(self, ...)` in the module's `__init__`."
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Scale to unit variance, when the statistics of the inputs are known and training has not started."""
        chosen, self._chosen = self._chosen, None
        if self._run is None or chosen is None or self.scheme != "lsuv" or trainer.ckpt_path:
            return
        layers = scalable(chosen)

        def measure(batch: Any, *given: Any) -> dict[str, float]:
            with restored_setup(pl_module, batch, *given) as setup:
                return measure_scales(setup, layers)

        divide_(chosen, self._on_rank_zero(self._run, measure))

    def _on_rank_zero(self, run: Run, act: Callable[..., dict[str, float]]) -> dict[str, float]:
        """Return the result of process 0 on its first batch; nothing, with a warning, if that fails."""
        trainer, failures = run.trainer, OwnFailures()
        why = why_not_traced(trainer, run.module)
        batch = None if why else failures.attempt("read the first batch", lambda: self._first_batch(run), None)
        if not why and batch is None:
            why = "there is no batch"
        found = None
        if all(reason == "" for reason in gather_objects(why)):
            given = (trainer.optimizers, trainer.precision_plugin.forward_context)
            found = act_on_rank_zero(
                trainer,
                run.module,
                lambda: failures.attempt("follow a step", lambda: act(batch, *given), None),
                failures,
            )
        found = gather_objects(found)[0]
        if found is None:
            reasons = "; ".join([why, *failures.notes] if why else failures.notes)
            rank_zero_warn(f"`InitializeWeights` could not run a step ({reasons}); layers keep their default gain.")
        return found or {}

    def _first_batch(self, run: Run) -> Any:
        """Return the first training batch, normalized if the statistics are known, and not augmented."""
        with run.part(BatchPipeline).paused(Stage.AUGMENT):
            return next(iter([*read_once(run.trainer, run.module, "Reading a batch", 1)]), None)

    def plain_state(self) -> dict[str, Any]:
        """Return the names of the initialized parameters."""
        return {"initialized": self.initialized}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        self.initialized = list(state["initialized"])

    def end_fit(self, run: Run) -> None:
        """Release the module."""
        self._chosen = None
