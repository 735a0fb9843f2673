"""Example pages: one page per example with its output and its picture, and a gallery of all.

Examples that take a few seconds run when the site is built. The pictures of the others are those in `docs/pictures`,
which the same programs drew.
"""

import ast
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from builder.markdown import code, directive, figure, toctree
from builder.notebook_pages import notebooks
from builder.pages import DOCS, ROOT, write

EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Example:
    """One example of the gallery.

    Attributes:
        title: what it shows.
        alt: what its picture shows.
        picture: a file that it draws, or one in `docs/pictures`.
        arguments: its arguments, if it runs when the site is built.
    """

    title: str
    alt: str
    picture: str
    arguments: tuple[str, ...] | None = None


GALLERY = {
    "train": Example("Train with tricks selected on the command line", "Losses and learning rate of a run", "demo.png"),
    "find_lr": Example("Find a learning rate in two lines", "A range test", "lr.png", ("lr.png",)),
    "schedule_gallery": Example("All schedules", "Sixteen schedules", "schedules.png", ("schedules.png",)),
    "no_improvement": Example(
        "Halve the learning rate on a plateau", "Validation loss and reductions", "no_improvement.png", (".",)
    ),
    "live_control": Example(
        "Lower a learning rate while training", "Loss before and after the order", "live_control.png", (".",)
    ),
    "doctor": Example("A model with four faults", "The doctor's report on it", "doctor_four_faults.png"),
    "eight_faults": Example("A program with eight faults", "The doctor's report", "doctor.png"),
    "eight_faults_fixed": Example("The same program without them", "The doctor's report: healthy", "doctor_fixed.png"),
    "exploding_gradients": Example(
        "An LSTM whose gradients explode", "Gradient norms and their threshold", "gradientclipping.png", (".",)
    ),
    "fine_tune": Example("Fine-tune in four ways", "Test accuracy of four ways to fine-tune", "fine_tune.png"),
    "random_or_grid": Example("Random search or grid", "Best validation loss", "random_or_grid.png"),
    "find_batch_size": Example("Find a batch size", "Validation accuracy of batch sizes over time", "sizes_batch.png"),
    "few_rows": Example("Train from ten rows per class", "Test accuracy of three ways", "few_rows.png"),
    "optuna_pruning": Example(
        "Stop unpromising trainings with Optuna", "Losses with and without a pruner", "optuna_pruning.png"
    ),
    "report": Example("The reports of a healthy and of a sick run", "The report of the sick run", "report_sick.png"),
}


def write_example_pages(target: Path, work: Path) -> None:
    """Run the quick examples and write the page of each, and the gallery.

    Args:
        target: the source folder of the site.
        work: the folder in which the examples run.
    """
    with ThreadPoolExecutor(2) as pool:
        outputs = dict(zip(GALLERY, pool.map(lambda name: _run(name, work / name), GALLERY), strict=True))
    pictures = target / "gallery" / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for name, example in GALLERY.items():
        folder = DOCS / "pictures" if example.arguments is None else work / name
        (pictures / f"{name}.png").write_bytes((folder / example.picture).read_bytes())
        write(target / "gallery" / f"{name}.md", _page(name, example, outputs[name]))
    write(target / "gallery" / "index.md", _index())


def _run(name: str, folder: Path) -> str:
    """Run an example in a separate folder and return what it prints."""
    arguments = GALLERY[name].arguments
    if arguments is None:
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"examples/{name}.py failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip()


def _page(name: str, example: Example, output: str) -> str:
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    parts = [f"# {example.title}", code("text", docstring), figure(f"pictures/{name}.png", example.alt)]
    parts += [f"`examples/{name}.py`:", code("python", source)]
    if output:
        parts += ["It prints:", code("text", output)]
    return "\n\n".join(parts) + "\n"


def _index() -> str:
    cells = []
    for name, example in GALLERY.items():
        options = [f":link: {name}", ":link-type: doc", f":img-top: pictures/{name}.png", f":img-alt: {example.alt}"]
        cells.append(directive("grid-item-card", f"`{name}.py`", example.title, options))
    grid = directive("grid", "\n".join(cells), "1 2 2 3", [":gutter: 2"])
    text = "One idea in less than 80 lines each; the tests run them. `examples/digits.py` has the data and the models."
    lessons = [
        directive(
            "grid-item-card",
            "A notebook with its output.",
            title,
            [
                f":link: /notebooks/{name}",
                ":link-type: doc",
                f":img-top: /notebooks/{picture}",
                ":img-alt: Its last picture",
            ],
        )
        for name, (title, picture) in notebooks().items()
    ]
    return "\n\n".join([
        "# Examples",
        "## Notebooks",
        directive("grid", "\n".join(lessons), "1 2 2 2", [":gutter: 2"]),
        "## Programs",
        text,
        grid,
        toctree([*(f"/notebooks/{name}" for name in notebooks()), *GALLERY], ":maxdepth: 1"),
    ]) + "\n"  # fmt: skip
