"""Find a learning rate in two lines, plot the curve, and train with it: python examples/find_lr.py [lr.png]."""

import sys

import lightning as L

from digits import CNN, Digits
from lightning_tricks import LRFinder, find_lr


def main(file: str = "lr.png") -> None:
    L.seed_everything(0)
    result = find_lr(CNN(), datamodule=Digits())
    print(result)
    result.plot().savefig(file, dpi=110)
    print(f"figure: {file}")

    # the same at the start of a fit, which then trains with the rate that was found
    trainer = L.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[LRFinder()]
    )
    model, data = CNN(), Digits()
    trainer.fit(model, data)
    print(f"test accuracy {trainer.test(model, data, verbose=False)[0]['test_accuracy']:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
