"""Run every benchmark of this folder: `make bench`. Figures are ratios to a peer in the same run."""

from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    for file in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n{file.stem.removeprefix('bench_')}")
        import_module(file.stem).main()
