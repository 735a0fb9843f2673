"""The package's metadata, versions and links are stated once, or agree."""

import ast
import re
import runpy
import sys
from importlib.metadata import PackageNotFoundError, metadata, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import lightning_tricks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = {name: list(map(Requirement, lines)) for name, lines in PROJECT["optional-dependencies"].items()}
DEFAULT = {requirement.name.lower(): requirement for requirement in map(Requirement, PROJECT["dependencies"])}
WITH_EXTRA = {"matplotlib": "plot", "sklearn": "demo", "pytorch_lightning": "test"}
"""Packages that source files import only where they are installed, and the extra that brings them."""

FAMILIES = {
    "Apache": "Apache",
    "BSD": "BSD",
    "BSL": "BSL",
    "MIT": r"\bMIT\b",
    "MPL": "MPL",
    "PSF": "PSF|Python Software",
}
"""Families of licenses, and what the metadata of a package calls them."""


def test_the_version_is_written_in_the_package_alone() -> None:
    assert "version" not in PROJECT
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "src/lightning_tricks/__init__.py"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == lightning_tricks.__version__, "set the version of CITATION.cff as well"
    assert str(Version(lightning_tricks.__version__)) == lightning_tricks.__version__


def test_the_changelog_has_a_section_for_the_version_below_the_one_for_what_comes() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    coming, released = re.findall(r"^## (.+)$", changelog, flags=re.MULTILINE)[:2]
    assert coming == "Unreleased"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert released == f"{lightning_tricks.__version__} ({citation['date-released']})"


def test_the_oldest_versions_of_the_workflow_are_the_lower_bounds() -> None:
    lines = (ROOT / ".github" / "oldest.txt").read_text().splitlines()
    for pin in (Requirement(line) for line in lines if not line.startswith("#")):
        (bound,) = (spec.version for spec in DEFAULT[pin.name].specifier if spec.operator == ">=")
        (exact,) = (spec.version for spec in pin.specifier)
        assert Version(bound) == Version(exact), pin.name


def imported_packages(file: Path) -> set[str]:
    """The top-level packages that a file imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_every_imported_package_is_declared() -> None:
    files = [file for file in SRC.rglob("*.py") if "templates" not in file.parts]
    imported = set().union(*map(imported_packages, files)) - set(sys.stdlib_module_names)
    names = packages_distributions()
    for package in sorted(imported - {"lightning_tricks", "hydra_plugins"}):
        if package in WITH_EXTRA:
            assert WITH_EXTRA[package] in EXTRAS
            continue
        distributions = {name.lower() for name in names.get(package, [package])}
        assert distributions & set(DEFAULT), f"`{package}` is imported, but not in `dependencies`"


def test_every_dependency_has_its_license_listed() -> None:
    page = (ROOT / "docs" / "licenses.md").read_text()
    listed = set(re.findall(r"^\| ([\w-]+) \|", page, flags=re.MULTILINE)) - {"package", "---"}
    declared = {Requirement(line).name for line in PROJECT["dependencies"]}
    declared |= {requirement.name for extra in EXTRAS.values() for requirement in extra}
    assert listed == declared - {"lightning-tricks"}


def test_the_listed_licenses_are_those_of_the_installed_packages() -> None:
    page = (ROOT / "docs" / "licenses.md").read_text()
    checked = 0
    for name, license in re.findall(r"^\| ([\w-]+) \| ([^|]+) \|", page, flags=re.MULTILINE)[2:]:
        try:
            about = metadata(name)
        except PackageNotFoundError:  # of an extra that is not installed
            continue
        classifiers = " ".join(line for line in about.get_all("Classifier") or [] if line.startswith("License"))
        stated = (
            f"{about.get('License-Expression')} {classifiers or (about.get('License') or '')[:40]}"  # not a whole text
        )
        families = {family for family in FAMILIES if family in license}
        assert families, f"{name}: {license}"
        assert families == {family for family, word in FAMILIES.items() if re.search(word, stated)}, f"{name}: {stated}"
        checked += 1
    assert checked >= len(DEFAULT) - 1, "tomli is installed on Python 3.10 alone"


@pytest.mark.parametrize("file", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda file: file.stem)
def test_workflows_and_forms_are_valid_yaml(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    if file.parent.name == "workflows":
        assert content["permissions"] == {"contents": "read"}
        assert all(job["steps"] for job in content["jobs"].values())
    elif file.stem != "config":
        assert {"name", "description", "body"} <= set(content)


def test_links_of_the_readme_become_absolute_for_a_package_index() -> None:
    absolute_links = runpy.run_path(str(ROOT / ".github" / "absolute_links.py"))["absolute_links"]
    text = absolute_links((ROOT / "README.md").read_text(), "https://host/owner/name", "v1.0")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 40
    assert all(link.startswith("https://") for link in links)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(pictures) >= 2
    assert all(link.startswith("https://host/owner/name/raw/v1.0/docs/pictures/") for link in pictures)


@pytest.mark.parametrize("documentation", ["", "https://docs.host/name"])
def test_a_release_states_the_urls_of_the_project(documentation: str) -> None:
    with_urls = runpy.run_path(str(ROOT / ".github" / "project_urls.py"))["with_urls"]
    text = with_urls((ROOT / "pyproject.toml").read_text(), "https://host/owner/name", documentation)
    stated = {"Repository": "https://host/owner/name", "Issues": "https://host/owner/name/issues"}
    stated |= {"Documentation": documentation} if documentation else {}
    assert tomllib.loads(text) == PYPROJECT | {"project": PROJECT | {"urls": stated}}
