"""Selection check: warn about selected options that reach no Trainer or overwrite the application's own.

Hydra composes everything that is selected, and cannot know whether the application builds it.
"""

import re
from collections.abc import Iterator
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_tricks.hydra.suggestions import misspelt_groups
from lightning_tricks.hydra.task_config import callbacks_of_new_trainer, config_of_task

_PLACED = re.compile(r"\+{0,2}(?:tricks|recipes)@([\w.]+)=")
_BY_TRAINER = {"ModelCheckpoint", "ModelSummary", "RichModelSummary", "RichProgressBar", "TQDMProgressBar"}
"""Callbacks that a Trainer adds by default, so that their presence does not indicate a selection."""


class SelectionCheck(Callback):
    """Check once, when a fit begins, whether any of the selected callbacks is present; then remove this callback.

    Args:
        package: the package of the options, usually ``"tricks"``.
        selected: class names by option name.
        notices: what else the command line brought about without a word, a sentence each.
    """

    def __init__(self, package: str, selected: dict[str, str], notices: list[str]) -> None:
        self.package, self.selected, self.notices = package, selected, notices

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Warn and remove this callback, in a new list, because Lightning is iterating over the old one."""
        if stage != "fit":
            return
        trainer.callbacks = [callback for callback in trainer.callbacks if callback is not self]  # type: ignore[attr-defined]
        present = {_name_of(type(callback)) for callback in trainer.callbacks}  # type: ignore[attr-defined]
        if self.selected and present.isdisjoint(self.selected.values()):
            rank_zero_warn(_unused(self.package, list(self.selected)))
        for sentence in self.notices:
            rank_zero_warn(sentence)


def checks_of_job() -> list[Callback]:
    """Return the checks for a Trainer that is being built; none outside of Hydra jobs or without selections."""
    cfg = config_of_task()
    if cfg is None or not HydraConfig.initialized():
        return []
    try:
        return list(_checks(cfg))
    except OmegaConfBaseException:  # the application reports a node that cannot be resolved
        return []


def _checks(cfg: DictConfig) -> Iterator[Callback]:
    present = {_name_of(type(callback)) for callback in callbacks_of_new_trainer()}
    overrides = list(HydraConfig.get().overrides.task)
    placed = [match.group(1) for match in map(_PLACED.match, overrides) if match]
    if misspelt := list(misspelt_groups(overrides)):
        yield SelectionCheck("tricks", {}, misspelt)
    for package in dict.fromkeys(["tricks", *placed]):
        selected = dict(_selected(OmegaConf.select(cfg, package)))
        if selected:
            changes = list(_overwritten(cfg, package, overrides)) if package in placed else []
            if changes or present.isdisjoint(selected.values()):  # Lightning logs each callback that it adds
                yield SelectionCheck(package, selected, changes)


def _selected(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the entries of a node that belong to this library, by name; all entries of ``tricks`` do."""
    if not isinstance(node, DictConfig):
        return
    for key, entry in OmegaConf.to_container(node).items():  # type: ignore[union-attr]
        target = entry.get("_target_") if isinstance(entry, dict) else None
        name = _short(str(target))
        if target and name.rpartition(".")[2] not in _BY_TRAINER and name.partition(".")[0] in ("ours", "lightning"):
            yield str(key), name


def _short(target: str) -> str:
    """Return the package and class of a target, because a class may be imported from another module than its own.

    Example:
        >>> _short("lightning_tricks.callbacks.one_cycle.OneCycle"), _short("pytorch_lightning.callbacks.Timer")
        ('ours.OneCycle', 'lightning.Timer')
    """
    package, name = target.partition(".")[0], target.rpartition(".")[2]
    family = {"lightning_tricks": "ours", "lightning": "lightning", "pytorch_lightning": "lightning"}
    return f"{family.get(package, package)}.{name}"


def _name_of(kind: type) -> str:
    return _short(f"{kind.__module__}.{kind.__name__}")


def _unused(package: str, names: list[str]) -> str:
    chosen = ",".join(names)
    return (
        f"The configuration selects `{package}=[{chosen}]`, but the Trainer has none of these callbacks: the "
        f"application does not build `cfg.{package}`. Either put the options where it builds its callbacks "
        f"(`+tricks@callbacks=[{chosen}]`, if that is its `callbacks` node), or give the Trainer "
        f"`callbacks=instantiate_callbacks(cfg.{package})`, from `lightning_tricks.hydra`."
    )


def _overwritten(cfg: DictConfig, package: str, overrides: list[str]) -> Iterator[str]:
    """Yield a sentence for each of the application's own nodes that the selection was merged into."""
    own = _application_alone(package, overrides)
    merged = OmegaConf.to_container(OmegaConf.select(cfg, package))
    for name, before in own.items():
        after = merged.get(name) if isinstance(merged, dict) else None
        if not isinstance(before, dict) or not isinstance(after, dict):
            continue
        if before.get("_target_") in (None, after.get("_target_")):
            continue
        changed = {key: value for key, value in before.items() if key != "_target_" and after.get(key) != value}
        if changed:
            yield _merged_over(f"{package}.{name}", before["_target_"], changed, after)


def _application_alone(package: str, overrides: list[str]) -> dict[Any, Any]:
    """Compose the package again without the selected tricks; empty if that is not possible."""
    without = [
        text for text in overrides if not _PLACED.match(text) and not text.lstrip("+~").startswith(f"{package}.")
    ]
    try:
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration(HydraConfig.get().job.config_name, without, RunMode.RUN)
        node = OmegaConf.select(config, package)
    # a launcher's worker is not inside of a Hydra application
    except (AssertionError, HydraException, OmegaConfBaseException):
        return {}
    content = OmegaConf.to_container(node) if isinstance(node, DictConfig) else {}
    return content if isinstance(content, dict) else {}


def _merged_over(path: str, target: str, changed: dict[Any, Any], after: dict[Any, Any]) -> str:
    now = ", ".join(f"`{key}` is {after.get(key)!r} and was {value!r}" for key, value in changed.items())
    keep = " ".join(f"{path}.{key}={'null' if value is None else value}" for key, value in changed.items())
    return (
        f"The selected option is merged over the application's own `{path}` ({target}), and its values win: {now}. "
        f"To keep the application's: {keep}"
    )
