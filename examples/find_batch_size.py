"""Find a batch size for a CNN on digits, and draw the trials: python examples/find_batch_size.py [sizes.png] [30s]."""

import sys

import lightning as L

from digits import CNN, Digits
from lightning_tricks import find_batch_size


def main(file: str = "sizes.png", budget: str = "30s") -> None:
    L.seed_everything(0)
    trainer = L.Trainer(accelerator="cpu", max_epochs=10, logger=False, enable_checkpointing=False)
    model, data = CNN(), Digits()
    result = find_batch_size(
        model, datamodule=data, budget=budget, monitor="val_accuracy", mode="max", lr_rule="linear", trainer=trainer
    )
    print(result)
    result.plot().savefig(file, dpi=110)
    print(f"figure: {file}")


if __name__ == "__main__":
    main(*sys.argv[1:])
