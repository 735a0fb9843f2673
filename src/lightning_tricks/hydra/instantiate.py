"""Instantiate the tricks that a configuration selects, with all checks and clear errors before training."""

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

from hydra.utils import get_object, instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from omegaconf import DictConfig, ListConfig, OmegaConf

from lightning_tricks.core.close_names import close_names, did_you_mean

_SEARCH_PATH = "hydra.searchpath=[pkg://lightning_tricks.conf]"


def instantiate_callbacks(cfg: Any) -> list[Callback]:
    """Turn the node of a configuration into callbacks, in a valid order.

    Args:
        cfg: what Hydra composed, usually ``cfg.tricks``: a mapping from names to nodes with a ``_target_`` (or a list
            of such nodes), in which ``None`` entries are skipped; or ``None`` for no callbacks. Plain dicts and lists
            are accepted.

    Returns:
        The callbacks in the given order, except that a learning-rate finder comes first. Callbacks of Lightning and of
        other libraries are allowed.

    Raises:
        ValueError: a bare string (the options were not found), a missing value, an unknown setting, or no entry with a
            ``_target_``.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: an entry is not a callback, or two
            callbacks cannot be distinguished.
        hydra.errors.InstantiationException: an argument is not valid; the message names the key.

    Example:
        >>> instantiate_callbacks({"cosine_decay": {"_target_": "lightning_tricks.CosineDecay", "end_factor": 0.1}})
        [CosineDecay(end_factor=0.1)]
    """
    if cfg is None:
        return []
    if not OmegaConf.is_config(cfg):
        if not isinstance(cfg, (dict, list, tuple)):
            raise TypeError(f"`cfg` must be a mapping of tricks, got {cfg!r} ({type(cfg).__name__}).")
        cfg = OmegaConf.create(cfg if isinstance(cfg, dict) else list(cfg))
    path = cfg._get_full_key(None) or "tricks"
    nodes = dict(_nodes(cfg, path))
    _refuse_missing(cfg, nodes, path)
    for key, node in nodes.items():
        _refuse_unknown(node, f"{path}.{key}")
    callbacks = [instantiate(node) for node in nodes.values()]
    for key, callback in zip(nodes, callbacks, strict=True):
        if not callable(getattr(callback, "on_fit_start", None)):
            raise MisconfigurationException(f"`{path}.{key}` is not a callback (got `{type(callback).__name__}`).")
    _refuse_same_keys(callbacks)
    return sorted(callbacks, key=lambda callback: not getattr(callback, "goes_first", False))


def _nodes(cfg: DictConfig | ListConfig, path: str) -> Iterator[tuple[str, DictConfig]]:
    """Yield the entries to build; settings of an option that is no longer selected are skipped with a warning."""
    leftovers = []
    found = False
    for key in cfg if isinstance(cfg, DictConfig) else range(len(cfg)):
        node = None if OmegaConf.is_missing(cfg, key) else cfg[key]  # type: ignore[index]
        if node is None:
            continue
        if isinstance(node, str):
            raise ValueError(_bare_string(node, path))
        if isinstance(node, DictConfig) and "_target_" in node:
            found = True
            yield str(key), node
        else:
            leftovers.append(str(key))
    if not leftovers:
        return
    names = ", ".join(f"`{path}.{key}`" for key in leftovers)
    if not found:
        raise ValueError(
            f"{names} has no `_target_`, so there is nothing to build. Select the option with that name "
            f"(`{path}=[{','.join(leftovers)}]`, or `+{path}=[...]` if the application's defaults have no tricks)."
        )
    warnings.warn(
        f"{names} has no `_target_` and is skipped: its settings exist, but the option is not selected.",
        stacklevel=3,
    )


def _bare_string(name: str, path: str) -> str:
    return (
        f"`{path}` contains the bare string {name!r}: Hydra found no options in that group and used the list "
        f"unchanged. The options of lightning-tricks are not on its search path, because the package is not installed "
        f"in this environment or another distribution hides the `hydra_plugins` namespace. Check with `--info "
        f"searchpath`; `'{_SEARCH_PATH}'` on the command line adds them manually."
    )


def _refuse_missing(cfg: DictConfig | ListConfig, nodes: dict[str, DictConfig], path: str) -> None:
    relative = {key.removeprefix(f"{path}.") for key in OmegaConf.missing_keys(cfg)}
    missing = sorted(key for key in relative if key.split(".")[0].split("[")[0] in nodes or key.startswith("["))
    if missing:
        listed = " ".join(f"{path}.{key}=..." for key in missing)
        raise ValueError(f"{len(missing)} value(s) have no default and must be given: {listed}")


def _refuse_unknown(node: DictConfig, path: str) -> None:
    """Refuse settings that a callback of ours does not take; the message suggests close matches."""
    target = str(node["_target_"])
    if not target.startswith("lightning_tricks."):
        return
    known = list(inspect.signature(get_object(target)).parameters)
    unknown = [str(key) for key in node if not str(key).startswith("_") and key not in known]
    if unknown:
        listed = " ".join(f"There is no `{path}.{key}`.{did_you_mean(close_names(key, known))}" for key in unknown)
        raise ValueError(f"{listed} `{target.rpartition('.')[2]}` takes {', '.join(known)}.")


def _refuse_same_keys(callbacks: list[Callback]) -> None:
    tricks: list[Any] = [callback for callback in callbacks if hasattr(callback, "same_key_message")]
    keys = [trick.state_key for trick in tricks]
    twins = {key: trick for key, trick in zip(keys, tricks, strict=True) if keys.count(key) > 1}
    if twins:
        raise MisconfigurationException(" ".join(trick.same_key_message() for trick in twins.values()))
