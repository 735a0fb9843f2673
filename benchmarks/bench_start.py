"""What the package costs before anything is trained: its import, and a Hydra application that composes."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import lightning_tricks
from measure import interleaved, report, timed

SRC = str(Path(lightning_tricks.__file__).parents[1])

APP = """
import json, resource, sys
if {hidden}:
    sys.path[:] = [path for path in sys.path if path != {src!r}]
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    pass
main()
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
"""


def main(repeats: int = 15) -> None:
    """Print the differences of whole processes."""

    def python(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    sides = {
        "bare": timed(lambda: python("pass"), perf_counter),
        "ours": timed(lambda: python("import lightning_tricks"), perf_counter),
    }
    found = interleaved(sides, repeats)
    added = statistics.median(a - b for a, b in zip(found["ours"], found["bare"], strict=True))
    report("import lightning_tricks above bare Python", f"{1e3 * added:.1f} ms", "< 10 ms")

    with tempfile.TemporaryDirectory() as folder:
        memory: dict[str, list[float]] = {"without": [], "with": []}

        def app(name: str, *overrides: str) -> None:
            command = [sys.executable, f"{folder}/{name}.py", "hydra.run.dir=.", "hydra.output_subdir=null", *overrides]
            run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
            memory[name].append(json.loads(run.stdout.splitlines()[-1]))

        for name in memory:
            Path(folder, f"{name}.py").write_text(APP.format(hidden=name == "without", src=SRC))
        sides = {
            "without": timed(lambda: app("without"), perf_counter),
            "with": timed(lambda: app("with", "+tricks=[cosine_decay,cosine_warm_restarts]"), perf_counter),
        }
        found = interleaved(sides, repeats)
    added = statistics.median(a - b for a, b in zip(found["with"], found["without"], strict=True))
    larger = statistics.median(memory["with"]) - statistics.median(memory["without"])
    report("a Hydra application that composes two tricks, above one without", f"{added:.3f} s", "< 0.15 s")
    report("  the same, memory at its peak", f"{larger:.1f} MB", "< 8 MB")


if __name__ == "__main__":
    main()
