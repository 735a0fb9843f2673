"""Every code block of the pages is executed, composed or parsed, or has a reason why it is not.

`tests/test_docs.py` executes the blocks in Python; the other languages are here.
"""

import doctest
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CalledProcessError
from types import ModuleType
from typing import Any

import page_blocks
import pytest
import typed_commands
import yaml
from hydra.errors import ConfigCompositionException, InstantiationException, MissingConfigException
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from page_blocks import ROOT, Block, blocks_of, commands_of, written_pages
from reader_project import CONF, FILES, write_files
from typed_commands import check, composed

from lightning_tricks import instantiate_callbacks
from lightning_tricks.doctor.judging.own_rules import GROUP
from lightning_tricks.doctor.judging.project import plan_checks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = written_pages()
CHECKED = {"python", "bash", "yaml", "toml"}
REASONS = {
    "text": "the output of a program",
    "bat": "commands for Windows; tests/walks/test_other_platforms.py simulates what differs there",
}
"""Languages of blocks that are not checked, and why. Directives such as `{toctree}` are Sphinx's."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def pages_with(*languages: str) -> list[Path]:
    return [page for page in PAGES if blocks_of(page, *languages)]


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reader's project in the current folder, with the files that blocks of the pages are."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    write_files(FILES | {block.file: block.text for page in PAGES for block in blocks_of(page) if block.file})
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {file.partition("/")[0] for file in FILES}:
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_in_a_language_that_is_checked_or_has_a_reason(page: Path) -> None:
    for block in blocks_of(page):
        assert block.language in CHECKED | set(REASONS) or block.language.startswith("{"), str(block)


@pytest.mark.parametrize("module", [page_blocks, typed_commands], ids=lambda module: module.__name__)
def test_examples_in_docstrings_run(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted
    assert not failed


@pytest.mark.parametrize("page", pages_with("bash"), ids=name_of)
def test_commands_run_or_are_composed(page: Path, project: None) -> None:
    for block in blocks_of(page, "bash"):
        for command in commands_of(block.text):
            assert check(command, page) in ("run", "composed", "dry run", "looked up"), f"{block}: {command}"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("python train.py '+tricks=[cosine_decoy]'", MissingConfigException),
        ("python train.py '+tricks=[cosine_decay]' tricks.cosine_decay.warm=3", ConfigCompositionException),
        ("python train.py '+tricks=[cosine_decay]' tricks.cosine_decay.end_factor=3", InstantiationException),
        ("python train.py fit --trainer.callbacks+=lightning_tricks.OneCycle --trainer.callbacks.pct=3", SystemExit),
        ("LIGHTNING_TRICKS=cosine_decoy python train.py", MisconfigurationException),
        ("lightning-tricks doctor project.nets:make", AssertionError),
        ("pip install 'lightning-tricks[plots]'", AssertionError),
        ("make demos", CalledProcessError),
        ("python examples/trains.py", AssertionError),
        ("sbatch train.sh", ValueError),
    ],
)
def test_a_command_that_would_fail_is_found(command: str, error: type[BaseException], project: None) -> None:
    with pytest.raises(error):
        check(command, ROOT / "README.md")


@pytest.mark.parametrize("page", pages_with("yaml"), ids=name_of)
def test_yaml_is_taken_by_the_program_that_reads_it(page: Path, project: None) -> None:
    for block in blocks_of(page, "yaml"):
        content = yaml.safe_load(block.text)
        check_yaml(block, content)


def check_yaml(block: Block, content: Any) -> None:
    """Check a block by its keys: Hydra's, a workflow of GitHub or GitLab, hooks of pre-commit, or tricks of a file."""
    if isinstance(content, list):
        check_steps(block, content)
    elif "defaults" in content:
        compose_block(block)
    elif "jobs" in content:
        check_steps(block, [step for job in content["jobs"].values() for step in job["steps"]])
    elif "repos" in content:
        check_hooks(block, content["repos"])
    elif any("script" in (job or {}) for job in content.values()):
        check_steps(block, [{"run": line} for job in content.values() for line in job["script"]])
    else:
        Path("tricks.yaml").write_text(block.text)
        assert check("LIGHTNING_TRICKS=@tricks.yaml python train.py", block.page) == "composed"


def compose_block(block: Block) -> None:
    """Compose a configuration: the file that its first line names, or additional defaults of an application."""
    if block.file:
        folder, group, name = block.file.removesuffix(".yaml").split("/")
        shutil.copytree(ROOT / "tests" / "walks" / "template" / "configs", folder, dirs_exist_ok=True)
        with composed(Path(folder).absolute(), "train", [f"+{group}={name}"]) as cfg:
            assert instantiate_callbacks(cfg.callbacks)
    else:
        content = yaml.safe_load(block.text)
        write_files({"conf/block.yaml": yaml.safe_dump(content | {"defaults": ["config", *content["defaults"]]})})
        with composed(CONF.absolute(), "block", []) as cfg:
            assert instantiate(cfg.hydra.callbacks)


def check_steps(block: Block, steps: list[dict[str, Any]]) -> None:
    """Check the steps of a job: commands are checked like typed ones, inputs are those that `action.yml` declares."""
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    for step in steps:
        assert ("run" in step) != ("uses" in step), step
        if "run" in step:
            check(step["run"], block.page)
        elif "lightning-tricks@" in step["uses"]:
            assert {name for name, each in inputs.items() if each.get("required")} <= set(step["with"]) <= set(inputs)


def check_hooks(block: Block, repos: list[dict[str, Any]]) -> None:
    """Check hooks of pre-commit: ours exists, and its command runs with the arguments."""
    (ours,) = (repo for repo in repos if repo["repo"].endswith("lightning-tricks"))
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (used,) = ours["hooks"]
    assert used["id"] == hook["id"]
    words = shlex.join(used["args"])
    check(f"{hook['entry']} {words} --update-baseline", block.page)
    assert check(f"{hook['entry']} {words}", block.page) == "run"


@pytest.mark.parametrize("page", pages_with("toml"), ids=name_of)
def test_toml_is_accepted_as_settings_of_the_doctor_or_an_entry_point(page: Path, project: None) -> None:
    for block in blocks_of(page, "toml"):
        Path("pyproject.toml").write_text(block.text)
        content = tomllib.loads(block.text)
        if "tool" in content:
            checks = plan_checks()
            assert not checks.notes
            assert checks.options or checks.contracts or checks.ignore, f"{block} sets nothing"
        else:
            (group,) = content["project"]["entry-points"]
            assert group == GROUP
