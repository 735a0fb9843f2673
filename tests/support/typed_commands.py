"""Check a command of a page: what is quick is run, what trains is composed, and for the rest its parts are looked up.

Each function takes the words of a command. The current folder is the reader's project (`reader_project`).
"""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.utils import instantiate
from omegaconf import DictConfig, read_write
from packaging.requirements import Requirement
from page_blocks import ROOT, TEMPLATE
from reader_project import CONF, prepared

from hydra import compose, initialize_config_dir
from lightning_tricks import instantiate_callbacks
from lightning_tricks.cli.main import main
from lightning_tricks.hydra.activation import VARIABLE, tricks_from_environment

HYDRA_APPS = {
    "train.py": (CONF, "config"),
    "src/train.py": (ROOT / "tests" / "walks" / "template" / "configs", "train"),
    "examples/train.py": (ROOT / "conf", "train"),
}
"""The configurations of the applications that the pages start."""
WITHOUT_PLUGIN = {"hydra/sweeper=optuna", "hydra/sweeper/sampler=random"}
"""Overrides of the extra `optuna-sweep`, which needs another optuna than the extra `optuna`."""
IN_RUNS = re.compile(r"torchrun .*?(?=train\.py)|srun python ")
"""Launchers of several processes: they are not started, the line of the application is checked."""


def check(command: str, page: Path) -> str:
    """Check a command and return how: run, composed, dry run, or looked up.

    Raises:
        ValueError: there is no way to check it; add one here, or a reason.
    """
    words = shlex.split(IN_RUNS.sub("python ", command))
    variables = [words.pop(0) for _ in range(len(words)) if re.match(r"[A-Z_]+=", words[0])]
    if variables:
        return _with_variables(variables)
    for pattern, checked in _CHECKS.items():
        if re.fullmatch(pattern, words[0]):
            return checked(words[1:], page)
    raise ValueError(f"`{command}` is not checked.")


def _run(words: list[str], page: Path) -> str:
    """Run a command of this package in the project."""
    with prepared(words):
        assert main(words) == 0, words
    return "run"


def _python(words: list[str], page: Path) -> str:
    """Compose what a training script would run with, and build its callbacks."""
    script, *arguments = words
    if words[:2] == ["-m", "venv"]:
        return "looked up"
    if arguments and arguments[0] in ("fit", "test"):
        return _lightning_cli(arguments)
    if script not in HYDRA_APPS:
        assert (ROOT / script).is_file(), script
        return "looked up"
    folder, name = (TEMPLATE / "conf", "train") if page.parent == TEMPLATE else HYDRA_APPS[script]
    overrides = [
        word
        for word in arguments
        if word not in ("-m", *([] if find_spec("hydra_plugins.hydra_optuna_sweeper") else WITHOUT_PLUGIN))
    ]
    parsed = OverridesParser.create().parse_overrides(overrides)
    with composed(folder.absolute(), name, list(map(first_value, parsed))) as cfg:
        instantiate_callbacks(cfg.get("callbacks") or cfg.get("tricks"))
        if "strategy" in cfg.trainer:
            instantiate(cfg.trainer.strategy)
    return "composed"


@contextmanager
def composed(folder: Path, name: str, overrides: list[str]) -> Iterator[DictConfig]:
    """What Hydra composes for a job, with the configuration of Hydra itself, as in that job."""
    with initialize_config_dir(str(folder), version_base="1.3"):
        cfg = compose(name, overrides, return_hydra_config=True)
    with read_write(cfg):
        cfg.hydra.runtime.output_dir = "outputs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HydraConfig.instance(), "cfg", cfg)
        yield cfg


def first_value(override: Override) -> str:
    """An override with the first value of its sweep.

    >>> parse = OverridesParser.create().parse_override
    >>> first_value(parse("a.b=1,2")), first_value(parse("+c=tag(log, interval(1e-4, 1))")), first_value(parse("d=[x]"))
    ('a.b=1', '+c=0.0001', 'd=[x]')
    """
    if not override.is_sweep_override():
        return str(override.input_line)
    value = override.value()
    first = value.start if isinstance(value, IntervalSweep) else next(override.sweep_string_iterator())
    return f"{override.input_line.partition('=')[0]}={first}"  # type: ignore[union-attr]


def _lightning_cli(arguments: list[str]) -> str:
    """Parse a line of LightningCLI, for the net of the tests, up to the configuration that it would run."""
    from lightning.pytorch.cli import LightningCLI
    from tiny import Net

    asks = any("help" in word for word in arguments) or "--print_config" in arguments
    words = [*arguments, *([] if asks else ["--print_config"])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["train.py", *words])
        try:
            LightningCLI(Net)
        except SystemExit as end:
            if end.code:
                raise
    return "composed"


def _with_variables(variables: list[str]) -> str:
    """Build the tricks that the variables add to each Trainer."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in variables:
            patch.setenv(*variable.split("=", 1))
        assert {variable.partition("=")[0] for variable in variables} == {VARIABLE}
        assert tricks_from_environment()
    return "composed"


def _make(words: list[str], page: Path) -> str:
    """Print what make would do."""
    folder = page.parent if page.parent == TEMPLATE else ROOT
    subprocess.run(["make", "-n", "-C", str(folder), *words], check=True, capture_output=True)
    return "dry run"


def _pip(words: list[str], page: Path) -> str:
    """Look up the extras and the files that pip would read; nothing is installed, because that needs a network."""
    assert words.pop(0) == "install"
    while words:
        word = words.pop(0)
        if word in ("-c", "-r"):
            assert (ROOT / words.pop(0)).is_file()
        elif word != "-e":
            requirement = Requirement(re.sub(r"^\.", "lightning-tricks", word))
            assert requirement.name == "lightning-tricks"
            assert requirement.extras <= set(metadata("lightning-tricks").get_all("Provides-Extra"))
    return "looked up"


_CHECKS: dict[str, Callable[[list[str], Path], str]] = {
    "lightning-tricks": _run,
    r"(\.venv/bin/)?python3?": _python,
    r"(\.venv/bin/)?pip": _pip,
    "make": _make,
}
