"""Plot every schedule of the library: python examples/schedule_gallery.py [docs/pictures/schedules.png]."""

import io
import sys

from PIL import Image

from lightning_tricks import (
    cosine_decay,
    cosine_warm_restarts,
    exponential_decay,
    inverse_sqrt_decay,
    inverse_time_decay,
    join,
    linear_warmup,
    one_cycle,
    piecewise_constant,
    polynomial_decay,
    product,
    warmup_stable_decay,
)
from lightning_tricks.reports.lr_curves import plot_gallery

GALLERY = {
    "exponential_decay(0.95)": exponential_decay(0.95),
    "exponential_decay(0.5, 10, staircase=True)": exponential_decay(0.5, 10, staircase=True),
    "inverse_time_decay(0.2)": inverse_time_decay(0.2),
    "inverse_sqrt_decay()": inverse_sqrt_decay(),
    "piecewise_constant([20, 30], [1, 0.3, 0.1])": piecewise_constant([20, 30], [1, 0.3, 0.1]),
    "polynomial_decay(40, power=2)": polynomial_decay(40, power=2),
    "polynomial_decay(10, cycle=True)": polynomial_decay(10, cycle=True),
    "cosine_decay(40, 0.1)": cosine_decay(40, 0.1),
    "cosine_warm_restarts(10)": cosine_warm_restarts(10),
    "cosine_warm_restarts(4, 1.5, peak_decay=0.8)": cosine_warm_restarts(4, 1.5, peak_decay=0.8),
    "cosine_warm_restarts(16, 0.6)": cosine_warm_restarts(16, 0.6),
    "one_cycle(40)": one_cycle(40),
    "warmup_stable_decay(40, 10)": warmup_stable_decay(40, 10),
    "warmup_stable_decay(40, 20, 'sqrt')": warmup_stable_decay(40, 20, "sqrt"),
    "linear_warmup(10)": linear_warmup(10),
    "join([linear_warmup(5), cosine_decay(35)], [5])": join([linear_warmup(5), cosine_decay(35)], [5]),
    "product(linear_warmup(5), exponential_decay(0.9))": product(linear_warmup(5), exponential_decay(0.9)),
    "product(linear_warmup(5), warmup_stable_decay(40, 10))": product(linear_warmup(5), warmup_stable_decay(40, 10)),
    "product(cosine_warm_restarts(10), polynomial_decay(40))": product(cosine_warm_restarts(10), polynomial_decay(40)),
}


def main(file: str = "schedules.png") -> None:
    drawn = io.BytesIO()
    plot_gallery(GALLERY, end=40).savefig(drawn, dpi=110)
    Image.open(drawn).convert("RGB").quantize(64).save(file, optimize=True)  # few colors: a third of the file size
    print(f"{len(GALLERY)} schedules: {file}")


if __name__ == "__main__":
    main(*sys.argv[1:])
