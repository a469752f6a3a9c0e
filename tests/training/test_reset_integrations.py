"""The callbacks against the real Lightning and Transformers, where these are installed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import resetsgd as rs
from resetsgd.errors import DomainError, MissingExtra
from resetsgd.training import Resetter, coins, resets
from resetsgd.training.integrations import refuse_sharded
from resetsgd.training.integrations.lightning import ResetCallback as LightningCallback
from resetsgd.training.integrations.transformers import ResetCallback as TransformersCallback
from resetsgd.training.storage import digest

INPUTS = torch.randn(64, 5, generator=torch.Generator().manual_seed(1))
LABELS = INPUTS[:, :1] ** 2
PROTOCOL = rs.Geometric(probability=0.3)


@pytest.fixture(autouse=True)
def their_warnings() -> Iterator[None]:
    """Both packages warn of small data, few workers and each other; that is not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        yield
        logging.disable(logging.NOTSET)


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))


def test_an_absent_package_is_named() -> None:
    for name, callback in (
        ("lightning", LightningCallback),
        ("transformers", TransformersCallback),
    ):
        try:
            __import__(name)
        except ImportError:
            with pytest.raises(MissingExtra, match=rf"{name} is not installed.*integrations"):
                callback(PROTOCOL)


def test_sharded_parameters_are_refused() -> None:
    class FullyShardedDataParallel(nn.Module):
        pass

    refuse_sharded(network())
    with pytest.raises(DomainError, match="sharded"):
        refuse_sharded(nn.Sequential(network(), FullyShardedDataParallel()))


def by_hand(*, epochs: int, accumulate: int) -> tuple[str, list[int]]:
    """The same training in a plain loop: 8 batches of 8 an epoch, validation after each."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    resetter = Resetter(model, optimizer, PROTOCOL, seed=5)
    for _ in range(epochs):
        for start in range(0, 8, accumulate):
            optimizer.zero_grad()
            for index in range(start, start + accumulate):
                x, y = INPUTS[8 * index : 8 * index + 8], LABELS[8 * index : 8 * index + 8]
                (nn.functional.mse_loss(model(x), y) / accumulate).backward()
            optimizer.step()
            resetter.step()
        with torch.no_grad():
            resetter.observe(nn.functional.mse_loss(model(INPUTS), LABELS))
    return digest(dict(model.state_dict())), resetter.resets


class Lightning:
    """A module and its trainer, of the real package."""

    def __init__(self, folder: Path, *, log: bool = True, **options: Any) -> None:
        import lightning

        class Module(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.network = network()

            def training_step(self, batch: Any, index: int) -> torch.Tensor:
                return nn.functional.mse_loss(self.network(batch[0]), batch[1])

            def validation_step(self, batch: Any, index: int) -> None:
                if log:
                    self.log("val_loss", nn.functional.mse_loss(self.network(batch[0]), batch[1]))

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)

        self.module, self.options = Module(), options
        self.folder, self.package = folder, lightning

    def fit(self, callback: LightningCallback, epochs: int, **more: Any) -> Any:
        data = torch.utils.data.TensorDataset(INPUTS, LABELS)
        trainer = self.package.Trainer(
            max_epochs=epochs,
            callbacks=[callback],
            default_root_dir=self.folder,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            **self.options,
        )
        load = torch.utils.data.DataLoader
        trainer.fit(self.module, load(data, batch_size=8), load(data, batch_size=64), **more)
        return trainer


@pytest.mark.parametrize("accumulate", [1, 2])
def test_lightning_trains_as_the_plain_loop(accumulate: int, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    run = Lightning(tmp_path, accumulate_grad_batches=accumulate)
    callback = LightningCallback(PROTOCOL, seed=5)
    run.fit(callback, 4)
    expected, happened = by_hand(epochs=4, accumulate=accumulate)
    assert callback.resetter is not None
    assert callback.resetter.resets == happened != []
    assert digest(dict(run.module.network.state_dict())) == expected


def test_lightning_resumes_bit_for_bit(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    first = Lightning(tmp_path)
    trainer = first.fit(LightningCallback(PROTOCOL, seed=5), 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    second, callback = Lightning(tmp_path), LightningCallback(PROTOCOL, seed=5)
    second.fit(callback, 4, ckpt_path=tmp_path / "half.ckpt")
    expected, happened = by_hand(epochs=4, accumulate=1)
    assert callback.resetter is not None
    assert callback.resetter.resets == happened
    assert digest(dict(second.module.network.state_dict())) == expected


def test_lightning_is_told_what_is_wrong(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    with pytest.raises(DomainError, match=r"^monitor = 'val_loss': .*there are: "):
        Lightning(tmp_path, log=False).fit(LightningCallback(PROTOCOL), 1)
    run = Lightning(tmp_path, log=False)
    spikes = LightningCallback(
        resets.OnSpike(factor=1.0001, window=2), monitor=None, target=resets.Initial()
    )
    run.fit(spikes, 2)  # the loss of each step is there
    assert spikes.resetter is not None
    assert len(spikes.resetter.resets) == 3


class Wrapped(nn.Module):
    """What the Trainer expects of a model: a dictionary with its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        found = self.network(x)
        return {"loss": nn.functional.mse_loss(found, labels), "logits": found}


def transformers_run(
    folder: Path, callback: TransformersCallback, *, epochs: int, accumulate: int = 1, **how: Any
) -> nn.Module:
    from transformers import Trainer, TrainingArguments

    class InOrder(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    rows = [{"x": x, "labels": y} for x, y in zip(INPUTS, LABELS, strict=True)]
    model = Wrapped()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=8,
        per_device_eval_batch_size=64,
        gradient_accumulation_steps=accumulate,
        eval_strategy="epoch",
        save_strategy="epoch",
        max_grad_norm=0.0,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=0,
    )
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    trainer = InOrder(
        model,
        arguments,
        train_dataset=rows,
        eval_dataset=rows,
        optimizers=(optimizer, constant),
        callbacks=[callback],
    )
    trainer.train(**how)
    return model.network


@pytest.mark.parametrize("accumulate", [1, 2])
def test_transformers_trains_as_the_plain_loop(accumulate: int, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    callback = TransformersCallback(PROTOCOL, seed=5)
    model = transformers_run(tmp_path, callback, epochs=4, accumulate=accumulate)
    expected, happened = by_hand(epochs=4, accumulate=accumulate)
    assert callback.resetter is not None
    assert callback.resetter.resets == happened != []
    assert digest(dict(model.state_dict())) == expected


def test_transformers_resumes_bit_for_bit(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    transformers_run(tmp_path, TransformersCallback(PROTOCOL, seed=5), epochs=4)
    half = tmp_path / "checkpoint-16"
    assert (half / "resetter.safetensors").exists()
    callback = TransformersCallback(PROTOCOL, seed=5)
    model = transformers_run(tmp_path, callback, epochs=4, resume_from_checkpoint=str(half))
    expected, happened = by_hand(epochs=4, accumulate=1)
    assert callback.resetter is not None
    assert callback.resetter.resets == happened
    assert digest(dict(model.state_dict())) == expected
    (half / "resetter.safetensors").unlink()
    with pytest.raises(DomainError, match=r"^resume = .*checkpoint-16"):
        transformers_run(
            tmp_path,
            TransformersCallback(PROTOCOL, seed=5),
            epochs=4,
            resume_from_checkpoint=str(half),
        )


def test_transformers_is_told_what_is_wrong(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    with pytest.raises(DomainError, match=r"^monitor = 'accuracy': .*eval_loss"):
        transformers_run(tmp_path, TransformersCallback(PROTOCOL, monitor="accuracy"), epochs=1)
    with pytest.raises(DomainError, match=r"^protocol = .*watch the loss"):
        transformers_run(tmp_path, TransformersCallback(resets.OnSpike()), epochs=1)


def test_the_coin_is_the_same_in_every_loop() -> None:
    due = np.flatnonzero(coins(5, 0, np.arange(1, 33), 0.3)) + 1
    assert by_hand(epochs=4, accumulate=1)[1] == due[due > 8].tolist()
