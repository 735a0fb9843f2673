"""Page URL: the address of a rule's page on the documentation site, if the address of the site is known."""

import os
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

from lightning_tricks.doctor.rules.registry import all_rules

VARIABLE = "LIGHTNING_TRICKS_DOCS"
_PACKAGE, _LABEL = "lightning-tricks", "documentation"


def page_url(code: str) -> str | None:
    """Return the address of a rule's page; ``None`` for a rule of another package, or if no address is known.

    Example:
        >>> from unittest.mock import patch
        >>> with patch.dict(os.environ, {VARIABLE: "https://docs.example/lt/"}):
        ...     page_url("PLC001"), page_url("OWN001")
        ('https://docs.example/lt/rules/PLC001.html', None)
    """
    site = site_url()
    is_packaged = any(rule.code == code for rule in all_rules())
    return f"{site}/rules/{code}.html" if site and is_packaged else None


def site_url() -> str | None:
    """Return the address of the documentation site without a slash at its end.

    It is the value of the environment variable ``LIGHTNING_TRICKS_DOCS``, otherwise the URL *Documentation* in the
    metadata of the installed package, otherwise ``None``.
    """
    return os.environ.get(VARIABLE, "").strip().rstrip("/") or _site_of_package()


@cache
def _site_of_package() -> str | None:
    """Return the project URL with the label *Documentation*, as ``[project.urls]`` of a release states it."""
    try:
        lines = metadata(_PACKAGE).get_all("Project-URL") or []
    except PackageNotFoundError:  # run from a source tree
        return None
    urls = {label.strip().lower(): url.strip() for label, _, url in (line.partition(",") for line in lines)}
    return urls.get(_LABEL, "").rstrip("/") or None
