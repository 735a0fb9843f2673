"""A walk through docs/entry-points.md: LightningCLI, and a script that knows of nothing; test_notebook.py has cells."""

import re
import shlex
from pathlib import Path

from subprocesses import Completed, import_paths, run_forked

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
    recipe, names = (line for line in lines("LIGHTNING_TRICKS=") if "@" not in line)
    for line, added in ((recipe, ("LRFinder(", "PolynomialAveraging()")), (names, ("CosineDecay()\nEarlyStopping()",))):
        variable, *words = shlex.split(line, comments=True)
        done = run(words[1:], script, tmp_path, LIGHTNING_TRICKS=variable.partition("=")[2])
        assert done.returncode == 0, done.stderr
        assert all(text in done.stdout for text in added), done.stdout
        assert "Training ended at max_epochs=1 (epoch 0, step 6). Best val_loss" in done.stderr
