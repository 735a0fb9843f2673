"""A walk through docs/entry-points.md: LightningCLI, a script that knows of nothing, and the cells of a notebook."""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

from subprocesses import Completed, import_paths, run_forked

import lightning_tricks as lt

PAGE = (Path(__file__).parents[2] / "docs" / "entry-points.md").read_text()
QUIET = ["--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.logger=false"]


def run(words: list[str], script: str, folder: Path, **environment: str) -> Completed:
    (folder / "train.py").write_text(script)
    return run_forked(words, cwd=folder, environment=import_paths() | environment)


def lines(start: str) -> list[str]:
    text = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)).replace("\\\n", " ")
    return [line.partition("   #")[0] for line in text.splitlines() if line.startswith(start)]


def test_lightning_cli_takes_the_line_of_the_page(tmp_path: Path) -> None:
    script = "from lightning.pytorch.cli import LightningCLI\nfrom tiny import Net\nLightningCLI(Net)\n"
    words = shlex.split(lines("python train.py fit --trainer.callbacks+=lightning_tricks.LRFinder")[0])[1:]
    done = run([*words, *QUIET], script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_that_knows_of_nothing_gets_the_tricks_of_the_variable(tmp_path: Path) -> None:
    script = (
        "from lightning.pytorch import Trainer\nfrom tiny import Net\n"
        "trainer = Trainer(accelerator='cpu', max_epochs=1, logger=False, enable_checkpointing=False)\n"
        "trainer.fit(Net())\nprint(*trainer.callbacks, sep='\\n')\n"
    )
    (line,) = (line for line in lines("LIGHTNING_TRICKS=") if "@" not in line)
    variable, *words = shlex.split(line)
    done = run(words[1:], script, tmp_path, LIGHTNING_TRICKS=variable.partition("=")[2])
    assert done.returncode == 0, done.stderr
    assert "CosineDecay()\nEarlyStopping()" in done.stdout
    assert "Training ended at max_epochs=1 (epoch 0, step 6). Best val_loss" in done.stderr


def shown(cell: str, space: dict[str, Any]) -> Any:
    """Run a cell as a notebook does, and return the value of its last line if that is an expression."""
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), space)


def test_the_cells_of_a_notebook_show_pictures_and_short_texts() -> None:
    space: dict[str, Any] = {}
    (page,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert shown(page, space) is None
    callbacks = shown("callbacks", space)
    assert repr(callbacks) == "[OneCycle(pct_start=0.2), GradientClipping()]"
    preview = shown("from lightning_tricks import preview_lr\npreview_lr(callbacks, 10, 100, lr=0.1)", space)
    assert isinstance(preview, lt.callbacks.lr_preview.LRPreview)
    assert "data:image/png;base64," in preview._repr_html_()
    assert shown("preview_lr(callbacks, 10, 100).plot()", space)._repr_png_().startswith(b"\x89PNG")
