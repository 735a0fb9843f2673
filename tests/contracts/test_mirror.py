"""The tests mirror the source: a test file has the path of the module that it tests, or a reason why it has none."""

from pathlib import Path

import pytest
from patient import Patient, all_patients

import lightning_tricks
from lightning_tricks.doctor.rules.registry import find_rule

SRC = Path(lightning_tricks.__file__).parent
TESTS = Path(__file__).parents[1]
EXAMPLES = TESTS.parent / "examples"

WITHOUT_MODULE = {
    "callbacks/test_live_actions.py": "what LiveControl does on an order; test_live_control.py is how it reads one",
    "cli/test_doctor_in_ci.py": "the command of doctor.py as a continuous integration runs it",
    "doctor/rules/test_patients.py": "all rules, each on its own patients",
    "doctor/show/test_show.py": "one report in each of its forms",
    "doctor/test_architectures.py": "the whole doctor on architectures of transformers",
    "doctor/test_never_harm.py": "the whole doctor on modules and loaders that break under its hands",
    "doctor/test_other_styles.py": "the whole doctor on healthy programs in the styles of tutorials",
    "doctor/test_precision.py": "the whole doctor on healthy programs",
    "doctor/test_run_precision.py": "the whole doctor on healthy trainings",
    "engine/checkup/test_watch_faults.py": "what the checkup does when one of its own parts fails",
    "engine/clip/test_sharded_clipping.py": "all clipping callbacks on two sharded processes",
    "engine/trial/test_other_programs.py": "trials in modules, optimizers and loaders of other programs",
    "engine/watch/test_metric_sources.py": "where and when a score is logged, for all that watch one",
    "engine/watch/test_swapped_weights.py": "best weights next to callbacks that swap weights",
    "examples/test_notebooks.py": "the notebooks are examples/notebooks/*.ipynb",
    "examples/test_sweep.py": "examples/train.py under Hydra's multirun",
    "functional/test_schedule_decays.py": "the decays of schedules.py; test_schedules.py has the rest",
    "functional/test_sharded_gradients.py": "gradients.py and clipping.py on tensors cut over two processes",
    "hydra/test_fine_tune_recipe.py": "a recipe is YAML, in conf",
    "hydra/test_options.py": "options are YAML, in conf",
    "hydra/test_packaged_options.py": "options are YAML, in conf",
    "hydra/test_recipes.py": "recipes are YAML, in conf",
    "hydra/test_sweep_options.py": "options are YAML, in conf",
    "reports/test_notebooks.py": "each result as a notebook shows it",
}
"""Test files that are about more or less than one module."""
OF_THE_WHOLE = {"contracts", "gpu", "peers", "walks", "world"}
"""Rooms of tests that walk all public names, devices, or other libraries and their programs."""

FILES = sorted(file.relative_to(TESTS) for file in TESTS.rglob("test_*.py") if file.parent != TESTS)


def module_of(file: Path) -> Path:
    """`callbacks/test_x.py` -> `src/lightning_tricks/callbacks/x.py`, `examples/test_x.py` -> `examples/x.py`."""
    room, name = file.parent, file.name.removeprefix("test_")
    return EXAMPLES / name if room == Path("examples") else SRC / room / name


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_test_file_has_its_module_or_a_reason(file: Path) -> None:
    if file.parts[0] in OF_THE_WHOLE:
        return
    has_reason = file.as_posix() in WITHOUT_MODULE
    assert module_of(file).is_file() != has_reason, f"{file}: move it to the path of its module, or list a reason here"


def test_reasons_are_of_files_that_exist() -> None:
    assert {name for name in WITHOUT_MODULE if not (TESTS / name).is_file()} == set()


@pytest.mark.parametrize("patient", all_patients(), ids=lambda patient: patient.name)
def test_a_patient_stands_in_the_file_of_its_rule(patient: Patient) -> None:
    file = Path(patient.build.__code__.co_filename).relative_to(TESTS / "doctor" / "patients")
    assert find_rule(patient.code).check.__module__ == "lightning_tricks.doctor.rules." + ".".join(
        file.with_suffix("").parts
    )
