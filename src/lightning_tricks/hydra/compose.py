"""Compose tricks from overrides alone, for commands that run without an application."""

from collections.abc import Sequence

from hydra.errors import HydraException
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hydra import compose, initialize_config_module
from lightning_tricks.hydra.suggestions import misspelt_groups, suggestions_for

REFUSALS = (ValueError, TypeError, MisconfigurationException, HydraException, OmegaConfBaseException)
"""The exceptions of composing and building tricks."""


def compose_tricks(overrides: Sequence[str]) -> DictConfig | None:
    """Return the node of the selected tricks, as in a Hydra application with these overrides.

    Args:
        overrides: ``tricks=[...]`` or ``recipes=NAME`` selects packaged options, ``tricks.NAME.KEY=VALUE`` changes
            their settings; with or without a leading ``+``, which an application without tricks in its defaults needs.

    Returns:
        The node, or ``None`` if nothing was selected.

    Raises:
        hydra.errors.HydraException: an override cannot be read.
        ValueError: an override names an unknown option or setting; the message suggests close matches.

    Example:
        >>> compose_tricks(["tricks=[cosine_decay]", "tricks.cosine_decay.end_factor=0.1"]).cosine_decay.end_factor
        0.1
    """
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise ValueError(f"`{text}` is not an override. Select tricks by name, as in tricks=[{text}].")
    for sentence in misspelt_groups(overrides):
        raise ValueError(sentence)
    given = [f"+{text}" if text.startswith(("tricks=", "recipes=")) else text for text in overrides]
    with initialize_config_module("lightning_tricks.conf", version_base=None, job_name="lightning-tricks"):
        try:
            tricks: DictConfig | None = compose(overrides=given).get("tricks")
        except HydraException as error:
            offer = suggestions_for(overrides)
            if not offer:
                raise
            first = str(error).splitlines()[0].removeprefix("In '_dummy_empty_config_': ").rstrip(".")
            raise ValueError(f"{first}.{offer}") from error
    return tricks
