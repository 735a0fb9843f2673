"""``python -m lightning_tricks``: run the command if the folder of scripts is not on the path."""

import sys

from lightning_tricks.cli.main import main

sys.exit(main())
