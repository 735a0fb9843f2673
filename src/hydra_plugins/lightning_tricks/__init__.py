"""Put the packaged options of lightning-tricks on the search path of every Hydra application.

Hydra imports this file at each start of any Hydra application in the environment, so it imports only hydra.
"""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class LightningTricksSearchPathPlugin(SearchPathPlugin):
    """Append ``pkg://lightning_tricks.conf`` after the application's own folders."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the packaged options; an application's file with the same name takes precedence.

        Errors in how a command line selects them suggest close matches from here on.
        """
        from lightning_tricks.hydra.override_hints import add_hints

        search_path.append(provider="lightning-tricks", path="pkg://lightning_tricks.conf")
        add_hints()
